"""Tests that a weighted mean depends on the ratios of the weights only, and on no type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmlp
from jaxmlp import losses, weighted_mean

VALUES = np.array([3.0, -1.0, 7.5, 0.25], np.float32)
WEIGHT = np.array([0.5, 2.0, 1.25, 0.0])
EXPECTED = np.average(VALUES, weights=WEIGHT)


@pytest.mark.parametrize("scale", [1e-300, 1e-45, 1e-38, 1e-20, 1.0, 1e20, 1e38, 1e39, 1e300])
def test_weights_in_float64_may_be_of_any_size(scale):
    # One rounding of each weight.
    np.testing.assert_allclose(weighted_mean(VALUES, WEIGHT * scale), EXPECTED, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1.0, 1e20, 1e38])
def test_weights_in_float32_may_be_of_any_size_under_jit(scale):
    weight = np.float32(WEIGHT * scale)
    np.testing.assert_allclose(jax.jit(weighted_mean)(VALUES, weight), EXPECTED, rtol=1e-6)


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1, width=16), min_size=4, max_size=4),
    st.integers(-100, 100),
)
def test_a_power_of_two_on_all_weights_changes_no_bit(weight, exponent):
    weight = np.float32(weight)
    got = weighted_mean(VALUES, np.ldexp(weight, exponent))
    assert got == weighted_mean(VALUES, weight)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_gradients_do_not_depend_on_the_scale(scale):
    weight = np.float32(WEIGHT * scale)
    got = jax.grad(weighted_mean)(jnp.asarray(VALUES), weight)
    np.testing.assert_allclose(got, WEIGHT / WEIGHT.sum(), rtol=1e-6)


def test_products_with_large_values_do_not_overflow():
    values, weight = np.float32([1e30, 1e30]), np.float32([1e20, 1e20])
    np.testing.assert_allclose(weighted_mean(values, weight), 1e30, rtol=1e-6)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("weight", [None, np.array([0.5, 0.25, 0.25])])
def test_integer_values_have_a_floating_mean(dtype, weight):
    values = np.array([0, 1, 1], dtype)
    expected = np.average(np.float64(values), weights=weight)
    np.testing.assert_allclose(weighted_mean(values, weight), expected, rtol=1e-6)


def test_a_weight_of_nan_is_not_hidden():
    assert np.isnan(weighted_mean(VALUES, np.array([1, np.nan, 1, 1])))


def test_a_weight_of_infinity_is_not_hidden():
    assert np.isnan(weighted_mean(VALUES, np.array([1, np.inf, 1, 1])))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("values", "weight", "message"),
    [
        ([1.0], None, "values must be a real NumPy or JAX array; got a list"),
        (VALUES + 0j, None, "values must be a real NumPy or JAX array; got an array of complex"),
        (VALUES, [1.0] * 4, "weight must be a real NumPy or JAX array; got a list"),
        (VALUES, VALUES + 0j, "weight must be a real NumPy or JAX array; got an array of complex"),
    ],
)
def test_what_is_no_real_array_is_refused(values, weight, message):
    with pytest.raises(TypeError, match=message):
        weighted_mean(values, weight)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_a_loss_by_hand_takes_weights_of_any_size(scale):
    config = jaxmlp.MLPConfig(in_features=2, out_features=1)
    loss_fn = jaxmlp.make_loss(
        config, losses.squared_error, metrics={"mae": jaxmlp.metrics.mae, "r2": jaxmlp.metrics.r2}
    )
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    got = loss_fn(params, jaxmlp.Batch(x, VALUES, WEIGHT * scale), None)
    expected = loss_fn(params, jaxmlp.Batch(x, VALUES, WEIGHT), None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)
