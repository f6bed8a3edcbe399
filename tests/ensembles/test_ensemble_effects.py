"""Weights that a loss does not see are refused, and only those."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import LINEAR_CONFIG, ROWS, VALIDATION, make_loader

import jaxmlp

WEIGHTS = np.ones((2, ROWS), np.float32)
VALIDATION_WEIGHTS = np.ones((2, len(VALIDATION[0])), np.float32)


def values_of(params, batch):
    logits = jaxmlp.apply(params, batch.x, config=LINEAR_CONFIG)
    return jaxmlp.losses.softmax_cross_entropy(logits, batch.y)


def blind(params, batch, key):
    del key
    return jnp.mean(values_of(params, batch)), {}


def seeing(params, batch, key):
    del key
    values = values_of(params, batch)
    mean = jaxmlp.weighted_mean(values, batch.weight)
    return mean, {"blind": jnp.mean(values), "mean": mean}


def in_a_loop(params, batch, key):
    """Its weights go through a loop, a branch and a jitted function."""
    del key
    total = jax.jit(jnp.sum)(batch.weight)
    values = jax.lax.map(lambda pair: pair[0] * pair[1], (values_of(params, batch), batch.weight))
    return jax.lax.cond(total > 0, lambda: jnp.sum(values) / total, lambda: 0.0), {}


def fit_members(loss=seeing, **settings):
    settings = {
        "loss": loss,
        "optimizer": optax.sgd(0.1),
        "params": lambda key: jaxmlp.init_params(LINEAR_CONFIG, key=key),
        "data": make_loader(),
        "epochs": 1,
        "keys": jax.random.split(jax.random.key(0), 2),
        "mode": "min",
    } | settings
    return jaxmlp.fit_members(**settings)


VALIDATED = {"validation": VALIDATION, "validation_weights": VALIDATION_WEIGHTS}


def test_row_weights_that_the_loss_ignores_are_refused():
    with pytest.raises(ValueError, match=r"row_weights have no effect.*jaxmlp\.weighted_mean"):
        fit_members(blind, row_weights=WEIGHTS)
    with pytest.raises(ValueError, match="row_weights have no effect"):
        fit_members(
            lambda h: blind if h["blind"] else seeing,
            row_weights=WEIGHTS,
            hyperparameters={"blind": [False, True]},
        )


def test_validation_weights_that_the_monitored_metric_ignores_are_refused():
    with pytest.raises(ValueError, match=r"validation_weights .* metric 'blind' does not depend"):
        fit_members(monitor="blind", **VALIDATED)


def of_changed_params(params, batch, key):
    """Uses what only arrays of JAX offer."""
    output = params.output._replace(bias=params.output.bias.at[0].set(0.0))
    return seeing(params._replace(output=output), batch, key)


@pytest.mark.parametrize(
    "settings",
    [
        {"row_weights": WEIGHTS},
        {"loss": of_changed_params, "row_weights": WEIGHTS, **VALIDATED},
        {"row_weights": WEIGHTS, **VALIDATED},
        {"monitor": "mean", **VALIDATED},
        {"loss": in_a_loop, "row_weights": WEIGHTS, **VALIDATED},
        {"loss": blind},
        {"row_weights": WEIGHTS, "accumulate_steps": 2},
    ],
)
def test_weights_that_count_are_accepted(settings):
    assert fit_members(**settings).stopped_by.tolist() == ["epochs", "epochs"]


def test_weights_that_only_a_transform_uses_are_accepted():
    def weigh(batch):
        return batch._replace(y=jnp.where(batch.weight > 0, batch.y, 0))

    loader = make_loader(transform=weigh)
    assert len(fit_members(blind, data=loader, row_weights=WEIGHTS).stopped_by) == 2


def test_losses_of_traced_numbers_are_accepted():
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=(6,), out_features=3)

    def make_loss(h):
        return jaxmlp.make_loss(
            config, jaxmlp.losses.softmax_cross_entropy, dropout_rate=h["dropout_rate"]
        )

    result = fit_members(
        make_loss,
        params=lambda key: jaxmlp.init_params(config, key=key),
        hyperparameters={"dropout_rate": [0.0, 0.5]},
        row_weights=WEIGHTS,
    )
    assert result.stopped_by.tolist() == ["epochs", "epochs"]
