"""Tests that the error about NaN names bad labels, and the learning rate only where it may be."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import LINEAR, PARAMS, X, Y, fit, make_loader
from jax.core import Tracer

import jaxmlp

CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=3)


def fail(loader, **settings):
    with pytest.raises(jaxmlp.NonFiniteError) as info:
        fit(loader, **LINEAR | settings)
    return str(info.value)


def labels(*, bad, at=7):
    y = Y.copy()
    y[at] = bad
    return y


@pytest.mark.parametrize("driver", ["step", "chunk", "epoch"])
@pytest.mark.parametrize("bad", [-1, 3, 255])
def test_a_label_that_is_no_class_is_named(bad, driver):
    message = fail(make_loader(y=labels(bad=bad), batch_size=50), driver=driver)
    limits = f"{min(0, bad)}, {max(2, bad)}"
    assert (
        "of its values the loss says: softmax_cross_entropy needs targets in [0, 2]; got values "
        f"in [{limits}]. Mend these values." in message
    )
    assert "learning rate" not in message


def test_it_is_named_at_later_steps_too():
    loader = make_loader(y=labels(bad=9, at=30), shuffle=False)
    assert "step 2 is not finite: the loss is nan" in (message := fail(loader))
    assert "needs targets in [0, 2]" in message
    assert "learning rate" not in message


def test_it_is_named_in_micro_batches():
    loader = make_loader(y=labels(bad=9), batch_size=50)
    assert "needs targets in [0, 2]" in fail(loader, accumulate_steps=5)


def test_it_is_named_behind_a_transform():
    loader = make_loader(batch_size=50, transform=lambda b: b._replace(y=b.y + 1))
    assert "needs targets in [0, 2]; got values in [1, 3]" in fail(loader)


def test_it_is_named_in_batches_from_an_iterable():
    batches = [jaxmlp.Batch(X, labels(bad=9))]
    assert "needs targets in [0, 2]; got values in [0, 9]" in fail(batches, driver="step")


@pytest.mark.parametrize(
    ("criterion", "y", "said"),
    [
        (jaxmlp.losses.poisson, -np.ones((50, 3)), r"poisson needs targets in [0, inf]"),
        (jaxmlp.losses.hinge, 2 * np.ones((50, 3)), "hinge needs targets in [0, 1]"),
        (
            jaxmlp.losses.softmax_cross_entropy,
            np.ones((50, 3), np.float32),
            "softmax_cross_entropy needs targets of at least 0 that sum to 1",
        ),
    ],
)
def test_targets_out_of_the_domain_of_any_criterion_are_named(criterion, y, said):
    loss_fn = jaxmlp.make_loss(CONFIG, criterion)
    loader = make_loader(y=y, batch_size=50)
    assert said in fail(loader, loss_fn=loss_fn, params=PARAMS)


def test_the_learning_rate_is_not_blamed_for_the_first_loss():
    def infinite(params, batch, key):
        del batch, key
        return jnp.inf * params, {}

    settings = {"loss_fn": infinite, "params": jnp.ones(())}
    message = fail(make_loader(batch_size=50), **settings)
    assert "learning rate" not in message
    assert "Look at these rows, and at the first parameters." in message


def test_the_learning_rate_is_named_where_the_first_update_is_not_finite():
    def steep(params, batch, key):
        del batch, key
        return 1e30 * params, {}

    settings = {"loss_fn": steep, "params": jnp.ones(()), "optimizer": optax.sgd(1e30)}
    assert "Lower the learning rate" in fail(make_loader(batch_size=50), **settings)


def test_parameters_that_were_bad_before_are_named():
    def loss_fn(params, batch, key):
        del batch, key
        return params["a"] + params["b"], {}

    settings = {"loss_fn": loss_fn, "params": {"a": jnp.float32(np.nan), "b": jnp.ones(())}}
    message = fail(make_loader(batch_size=50), **settings)
    assert "so were the parameters before it in ['a']" in message


def test_a_loss_that_fails_on_known_values_does_not_hide_the_error():
    def loss_fn(params, batch, key):
        del key
        if not isinstance(batch.x, Tracer):
            raise RuntimeError
        return params * jnp.nan, {}

    settings = {"loss_fn": loss_fn, "params": jnp.ones(())}
    assert "the loss is nan" in fail(make_loader(batch_size=50), **settings)
