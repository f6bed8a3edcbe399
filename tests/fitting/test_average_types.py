"""Tests that averages of parameters lose nothing to the type of the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import KEY, cut_calls, fit_with, make_loader

import jaxmlp

DTYPES = [jnp.bfloat16, jnp.float16, jnp.float32]
LOADER = make_loader()
STEPS = 5 * len(LOADER)


def straight(params, batch, key):
    """Every step moves the parameter by the learning rate."""
    del batch, key
    return -params, {"seen": params.astype(jnp.float32)}


def run(driver, monkeypatch, dtype, *, rate=1.0, start=0.0, **settings):
    fixed = {"loss_fn": straight, "optimizer": optax.sgd(rate), "params": jnp.asarray(start, dtype)}
    return fit_with(driver, monkeypatch, **fixed | settings)


@pytest.mark.parametrize("driver", ["step", "chunks of 2", "all epochs"])
@pytest.mark.parametrize("dtype", DTYPES)
class TestMovingAverage:
    def test_it_is_held_in_float32_and_given_in_the_type_of_the_parameters(
        self, driver, monkeypatch, dtype
    ):
        result = run(driver, monkeypatch, dtype, ema_decay=0.99)
        assert result.params.dtype == dtype
        mean = 0.0
        for step in range(STEPS):
            mean = 0.99 * mean + 0.01 * (step + 1)
        # 25 roundings in float32, and one to the type; in 16 bits, it would stay behind.
        rtol = max(float(jnp.finfo(dtype).eps), 2e-6)
        np.testing.assert_allclose(float(result.params), mean, rtol=rtol)

    def test_of_parameters_that_never_move_it_is_exactly_them(self, driver, monkeypatch, dtype):
        result = run(driver, monkeypatch, dtype, rate=0.0, start=0.3, ema_decay=0.7)
        assert result.params == jnp.asarray(0.3, dtype)


@pytest.mark.parametrize("driver", ["step", "chunks of 2", "all epochs"])
@pytest.mark.parametrize("dtype", DTYPES)
class TestPlainAverage:
    def test_it_is_held_in_float32_and_given_in_the_type_of_the_parameters(
        self, driver, monkeypatch, dtype
    ):
        result = run(driver, monkeypatch, dtype, swa_start=0)
        assert result.params.dtype == dtype
        # Mean of 5, 10, 15, 20 and 25.
        assert float(result.params) == 15

    def test_of_parameters_that_never_move_it_is_exactly_them(self, driver, monkeypatch, dtype):
        result = run(driver, monkeypatch, dtype, rate=0.0, start=0.3, swa_start=1)
        assert result.params == jnp.asarray(0.3, dtype)


@pytest.mark.parametrize("average", [{"ema_decay": 0.9}, {"swa_start": 0}])
def test_what_is_validated_has_the_type_of_the_parameters(average, monkeypatch):
    types = set()

    def loss_fn(params, batch, key):
        types.add(params.dtype)
        return straight(params, batch, key)

    settings = {"loss_fn": loss_fn, "validation": (np.ones((2, 4)), np.zeros(2))}
    result = run("all epochs", monkeypatch, jnp.bfloat16, **average, **settings)
    assert types == {jnp.dtype(jnp.bfloat16)}
    assert result.params.dtype == jnp.bfloat16


def test_an_interrupted_run_with_an_average_of_16_bits_goes_on_as_if_it_had_not(
    tmp_path, monkeypatch
):
    cut_calls(monkeypatch, chunk=2)
    fixed = {"loss_fn": straight, "optimizer": optax.sgd(0.1), "params": jnp.bfloat16(0.3)}
    settings = {"epochs": 4, "key": KEY, "ema_decay": 0.9, "driver": "chunk"}
    whole = jaxmlp.fit(**fixed, data=LOADER, **settings)
    first = jaxmlp.fit(
        **fixed, data=LOADER, **settings | {"epochs": 2}, checkpoint=tmp_path / "run"
    )
    assert first.params.dtype == jnp.bfloat16
    again = jaxmlp.fit(**fixed, data=LOADER, **settings, checkpoint=tmp_path / "run", resume=True)
    assert again.params == whole.params


def test_members_averages_are_held_in_float32():
    def member_loss(params, batch, key):
        return straight(params, batch, key)

    result = jaxmlp.fit_members(
        member_loss, optax.sgd(1.0), jnp.zeros(3, jnp.bfloat16), LOADER, epochs=5,
        keys=jax.random.split(KEY, 3), ema_decay=0.99,
    )  # fmt: skip
    assert result.params.dtype == jnp.bfloat16
    mean = 0.0
    for step in range(STEPS):
        mean = 0.99 * mean + 0.01 * (step + 1)
    np.testing.assert_allclose(np.float32(result.params), [mean] * 3, rtol=2.0**-7)
