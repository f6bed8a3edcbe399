"""Tests of what the error about NaN and infinity says of their cause, and of odd cases."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import DRIVERS, LINEAR, PARAMS, X, Y, assert_same, fit, fit_with, make_loader

import jaxmlp

SGD = optax.sgd(0.1)
ONE_BATCH = make_loader(batch_size=50)


def mean_of(params, batch, key):
    del key
    return jnp.mean(batch.x) * params["a"] + 0 * params["b"], {}


def sqrt_trap(params, batch, key):
    """Finite everywhere, but the gradient of the branch not taken is 0 * inf."""
    del batch, key
    a = params["a"]
    return jnp.where(a > 0, jnp.sqrt(a), 0) + params["b"] ** 2, {}


def runs_into_the_trap(params, batch, key):
    """`a` falls by 0.25 a step, from 1 to 0 after four."""
    del batch, key
    a = params["a"]
    return jnp.where(a > 0, 2.5 * a + 0 * jnp.sqrt(a), 0) + params["b"] ** 2, {}


def overflowing(params, batch, key):
    """Finite loss and gradient; the step is not."""
    del batch, key
    return 1e30 * params["a"] + params["b"], {}


def infinite(params, batch, key):
    del batch, key
    return jnp.exp(100 * params["b"]) + params["a"], {}


def scalars(a, b):
    return {"a": jnp.float32(a), "b": jnp.float32(b)}


def fail(loss_fn, params, data=ONE_BATCH, optimizer=SGD, **settings):
    with pytest.raises(jaxmlp.NonFiniteError) as info:
        fit(data, loss_fn=loss_fn, params=params, optimizer=optimizer, **settings)
    return info.value


@pytest.mark.parametrize("driver", ["step", "epoch"])
@pytest.mark.parametrize(
    ("loss_fn", "params", "optimizer", "step", "cause"),
    [
        (sqrt_trap, scalars(0, 1), SGD, 0, "finite, but not the gradient of ['a']; its"),
        (runs_into_the_trap, scalars(1, 1), SGD, 4, "finite, but not the gradient of ['a']; its"),
        (overflowing, scalars(0, 0), optax.sgd(1e30), 0, "not the updated parameter of ['a']; its"),
        (infinite, scalars(0, 1), SGD, 0, "the loss is inf; its"),
        (mean_of, scalars(np.nan, 1), SGD, 0, "the loss is nan; its"),
    ],
    ids=["gradient", "later gradient", "update", "loss", "first parameters"],
)
def test_the_cause_is_named(loss_fn, params, optimizer, step, cause, driver):
    error = fail(loss_fn, params, optimizer=optimizer, driver=driver)
    assert error.step == step
    assert cause in str(error)


def test_leaves_of_a_network_are_named_as_they_are_written():
    def loss_fn(params, batch, key):
        del batch, key
        kernel = params.hidden[0].kernel
        return jnp.sum(jnp.where(kernel > 9, jnp.sqrt(kernel - 9), 0)), {}

    assert "the gradient of hidden[0].kernel;" in str(fail(loss_fn, PARAMS))


@pytest.mark.parametrize("field", ["x", "y"])
def test_bad_data_are_named(field):
    fields = {"x": X.copy(), "y": Y.astype(np.float32)}
    fields[field][7] = np.inf

    def loss_fn(params, batch, key):
        del key
        return jnp.mean(jnp.sum(batch.x, axis=-1) * params["a"] - batch.y), {}

    loader = make_loader(**fields, batch_size=50, check_finite=False)
    assert f"the batch itself is not finite in {field}." in str(
        fail(loss_fn, scalars(1, 1), loader)
    )


def test_batches_with_python_numbers_can_be_named():
    def loss_fn(params, batch, key):
        del key
        return batch["scale"] * jnp.log(params["a"]) + jnp.mean(batch["x"]), {}

    error = fail(loss_fn, scalars(-1, 1), [{"x": X, "scale": 2.0}])
    assert "the batch itself" not in str(error)


def test_good_data_are_not_blamed():
    assert "the batch itself" not in str(fail(infinite, scalars(0, 1)))


def test_the_message_names_the_remedies():
    message = str(fail(runs_into_the_trap, scalars(1, 1)))
    for remedy in ("learning rate", "clip_by_global_norm", "nonfinite='skip'", "error.result"):
        assert remedy in message


def test_long_batches_are_named_by_their_first_rows():
    error = fail(infinite, scalars(0, 1), make_loader(batch_size=50, shuffle=False))
    assert "the rows 0, 1, 2, 3, 4, 5, 6, 7, ... (all of them in error.rows)" in str(error)
    assert error.rows.tolist() == list(range(50))


def test_padding_is_not_among_the_rows():
    error = fail(infinite, scalars(0, 1), make_loader(x=X[:5], y=Y[:5], weight=None))
    assert sorted(error.rows) == [0, 1, 2, 3, 4]


EXPLODING = {"optimizer": optax.sgd(300.0), "epochs": 60}


def quadratic(params, batch, key):
    del key
    residuals = batch.x @ params - batch.weight
    return jnp.mean(batch.weight * residuals**2), {}


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_an_exploding_learning_rate_is_found_at_the_same_step_by_every_driver(name, monkeypatch):
    with pytest.raises(jaxmlp.NonFiniteError) as info:
        fit_with(name, monkeypatch, loss_fn=quadratic, params=jnp.ones(4), **EXPLODING)
    # In float64 the same loop passes float32's largest number there.
    loader, params = make_loader(), np.ones(4)
    step = 0
    for batch in (batch for epoch in range(60) for batch in loader.epoch(epoch)):
        residuals = batch.x.astype(np.float64) @ params - batch.weight
        loss = np.mean(batch.weight * residuals**2)
        if loss > np.finfo(np.float32).max:
            break
        params = params - 300 * 2 * np.mean((batch.weight * residuals)[:, None] * batch.x, axis=0)
        step += 1
    assert info.value.step == step
    assert np.isfinite(info.value.result.params).all()


def test_micro_batches_are_repeated_as_they_were():
    def loss_fn(params, batch, key):
        # Rows 0 to 9 are a micro-batch of their own, and bad by themselves only.
        del key
        alone = (batch.x.shape[0] == 10) & (batch.y[0] == 0)
        return jnp.where(alone, jnp.inf, params["a"]), {}

    loader = make_loader(y=np.arange(50), batch_size=50, shuffle=False)
    error = fail(loss_fn, scalars(1, 1), loader, accumulate_steps=5)
    assert "the loss is inf" in str(error)


@pytest.mark.parametrize("nonfinite", ["stop", "skip"])
def test_bad_first_parameters_end_the_run_with_a_warning(nonfinite):
    params = scalars(np.nan, 1)
    with pytest.warns(RuntimeWarning, match="step 0 is not finite"):
        result = fit(ONE_BATCH, loss_fn=mean_of, params=params, nonfinite=nonfinite)
    assert result.stopped_by == "nonfinite"


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_validation_may_be_nan(driver):
    def loss_fn(params, batch, key):
        return jnp.nan if key is None else jnp.mean(batch.x) * params["a"], {}

    result = fit(ONE_BATCH, loss_fn=loss_fn, params=scalars(1, 1), validation=(X, Y), driver=driver)
    assert np.isnan(result.history["validation_loss"]).all()
    assert_same(result.params, result.state.params)


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_a_metric_may_be_nan(driver):
    def loss_fn(params, batch, key):
        del key
        return jnp.mean(batch.x) * params["a"], {"undefined": jnp.nan}

    result = fit(ONE_BATCH, loss_fn=loss_fn, params=scalars(1, 1), driver=driver)
    assert np.isnan(result.history["undefined"]).all()


def test_a_policy_of_skipping_reports_what_it_skipped_as_a_column():
    assert fit(**LINEAR, nonfinite="skip", epochs=2).history["skipped"].tolist() == [0, 0]
