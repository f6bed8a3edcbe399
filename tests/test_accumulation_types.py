"""Tests that micro-batches lose nothing to types, undefined metrics or the size of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import Batch, init_state, make_train_step, weighted_mean

SGD = optax.sgd(1.0)
X = np.arange(-3.0, 5.0, dtype=np.float32)
STEPS = pytest.mark.parametrize("accumulate_steps", [2, 4, 8])


def step_once(loss_fn, batch, accumulate_steps, *, dtype=jnp.float32):
    step = make_train_step(loss_fn, SGD, accumulate_steps=accumulate_steps)
    state = init_state(jnp.ones((), dtype), SGD, key=jax.random.key(0))
    state, values = step(state, batch)
    return state.params, values


def loss_of(params, batch):
    return weighted_mean(batch.x * params.astype(jnp.float32), batch.weight)


@STEPS
@pytest.mark.parametrize("weight", [None, np.full(8, 0.3), np.arange(8), np.arange(8) > 2])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.float16, np.float32])
def test_a_constant_metric_of_any_type_is_its_mean(accumulate_steps, weight, dtype):
    def loss_fn(params, batch, _):
        return loss_of(params, batch), {"constant": jnp.asarray(1 if dtype is bool else 7, dtype)}

    _, values = step_once(loss_fn, Batch(X, None, weight), accumulate_steps)
    np.testing.assert_allclose(values["constant"], 1 if dtype is bool else 7, rtol=1e-6)


@STEPS
def test_a_boolean_metric_is_the_fraction_of_the_rows_where_it_holds(accumulate_steps):
    def loss_fn(params, batch, _):
        return loss_of(params, batch), {"positive": jnp.all(batch.x > 0)}

    _, values = step_once(loss_fn, Batch(X), accumulate_steps)
    positive = (X.reshape(accumulate_steps, -1) > 0).all(axis=1)
    assert values["positive"] == positive.mean()


@STEPS
def test_a_metric_counts_where_it_is_defined(accumulate_steps):
    def loss_fn(params, batch, _):
        has = batch.x > 0
        value = jnp.sum(jnp.where(has, batch.x, 0)) / jnp.sum(has, dtype=float)
        return loss_of(params, batch), {"of_positive": value, "never": jnp.nan * value}

    weight = np.arange(1.0, 9.0)
    _, values = step_once(loss_fn, Batch(X, None, weight), accumulate_steps)
    parts = list(
        zip(np.split(X, accumulate_steps), np.split(weight, accumulate_steps), strict=True)
    )
    defined = [(x[x > 0].mean(), w.sum()) for x, w in parts if (x > 0).any()]
    expected = np.average([v for v, _ in defined], weights=[w for _, w in defined])
    np.testing.assert_allclose(values["of_positive"], expected, rtol=1e-6)
    assert np.isnan(values["never"])


def test_a_loss_that_is_nan_in_one_micro_batch_is_not_left_out():
    def loss_fn(params, batch, _):
        return jnp.where(batch.x[0] > 0, jnp.nan, params), {}

    _, values = step_once(loss_fn, Batch(X), 4)
    assert np.isnan(values["loss"])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_gradients_of_16_bits_are_added_up_in_float32(dtype):
    def loss_fn(params, batch, _):
        return params * batch[0].astype(dtype), {}

    # 1 + 256 * 2 ** -9: in 16 bits, each small one would be rounded away.
    batch = np.float32([1.0] + [2.0**-9] * 255)
    params, values = step_once(loss_fn, batch, 256, dtype=dtype)
    mean = batch.mean(dtype=np.float64)
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(float(values["loss"]), mean, rtol=eps)
    np.testing.assert_allclose(1 - float(params), mean, rtol=eps, atol=eps)
    assert values["loss"].dtype == params.dtype == dtype


@STEPS
@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1e20, 1e37])
def test_the_scale_of_the_weights_does_not_count(accumulate_steps, scale):
    def loss_fn(params, batch, _):
        return loss_of(params, batch), {"mean": weighted_mean(batch.x, batch.weight)}

    weight = np.arange(1.0, 9.0)
    got = step_once(loss_fn, Batch(X, None, np.float32(weight * scale)), accumulate_steps)
    expected = step_once(loss_fn, Batch(X, None, weight), 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)
