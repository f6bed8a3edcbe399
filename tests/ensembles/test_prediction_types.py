"""Tests that members' predictions are averaged in float32, whatever their types and weights."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxmlp import ensembles

generator = np.random.default_rng(0)
COUNTS = generator.integers(0, 100, (5, 7, 3))
WEIGHTS = np.array([0.5, 0.25, 0.0, 0.2, 0.05])
MEAN = np.average(COUNTS, axis=0, weights=WEIGHTS)
VARIANCE = np.average((COUNTS - MEAN) ** 2, axis=0, weights=WEIGHTS)
DTYPES = [bool, np.int8, np.uint8, np.int32, np.int64, np.float16, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
class TestTypes:
    def test_moments_are_those_of_the_numbers(self, dtype):
        values = COUNTS.astype(dtype)
        wide = np.float64(values)
        mixture = ensembles.mixture_moments(values, values, weights=WEIGHTS)
        mean = np.average(wide, axis=0, weights=WEIGHTS)
        spread = np.average((wide - mean) ** 2, axis=0, weights=WEIGHTS)
        np.testing.assert_allclose(mixture.mean, mean, rtol=1e-6)
        np.testing.assert_allclose(mixture.aleatoric, mean, rtol=1e-6)
        np.testing.assert_allclose(mixture.epistemic, spread, rtol=1e-5, atol=1e-5)
        assert mixture.mean.dtype == np.float32

    def test_quantiles_are_those_of_the_numbers(self, dtype):
        values, levels = COUNTS.astype(dtype), np.array([0.1, 0.5, 0.75])
        got = ensembles.member_quantiles(values, levels)
        expected = np.quantile(np.float64(values), levels, axis=0)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)

    def test_probabilities_and_entropies_are_those_of_the_numbers(self, dtype):
        logits = (COUNTS % 4).astype(dtype)
        wide = logits.astype(np.float32)
        got = ensembles.mean_probabilities(logits, weights=WEIGHTS)
        np.testing.assert_array_equal(got, ensembles.mean_probabilities(wide, weights=WEIGHTS))
        jax.tree.map(
            np.testing.assert_array_equal,
            ensembles.class_uncertainty(logits),
            ensembles.class_uncertainty(wide),
        )

    def test_greedy_selection_is_that_of_the_numbers(self, dtype):
        targets = jnp.asarray(MEAN, jnp.float32)

        def loss(prediction):
            return jnp.mean((prediction - targets) ** 2)

        values = COUNTS.astype(dtype)
        got = ensembles.select_greedily(values, loss, picks=20)
        expected = ensembles.select_greedily(values.astype(np.float32), loss, picks=20)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-20, 1e20, 1e40, 1e300])
def test_the_scale_of_weights_does_not_count(scale):
    got = ensembles.mixture_moments(COUNTS, weights=WEIGHTS * scale)
    np.testing.assert_allclose(got.mean, MEAN, rtol=1e-5)
    np.testing.assert_allclose(got.epistemic, VARIANCE, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1e20, 1e38])
def test_the_scale_of_traced_weights_does_not_count(scale):
    mean = jax.jit(lambda w: ensembles.mixture_moments(COUNTS, weights=w).mean)
    np.testing.assert_allclose(mean(np.float32(WEIGHTS * scale)), MEAN, rtol=1e-5)


@pytest.mark.bad_input
def test_lists_are_taken_as_arrays():
    mixture = ensembles.mixture_moments([[[1.0]], [[3.0]]], [[[0.5]], [[0.5]]])
    assert (mixture.mean, mixture.aleatoric, mixture.epistemic) == (2, 0.5, 1)


class TestTracedLevels:
    def test_they_give_what_known_ones_do(self):
        levels = np.array([0.1, 0.5])
        got = jax.jit(ensembles.member_quantiles)(COUNTS, levels)
        np.testing.assert_allclose(got, ensembles.member_quantiles(COUNTS, levels), rtol=1e-6)

    def test_out_of_range_they_give_nan(self):
        got = jax.jit(ensembles.member_quantiles)(COUNTS, np.array([0.5, 1.5, -0.5]))
        np.testing.assert_array_equal(np.isnan(got).all(axis=(1, 2)), [False, True, True])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ensembles.mixture_moments(np.array([["a"]])), "means must be an array of real"),
        (
            lambda: ensembles.mixture_moments(COUNTS, np.array([["a"]])),
            "variances must be an array of real numbers; got an array of <U1",
        ),
        (lambda: ensembles.mean_probabilities(1j * COUNTS), "logits must be an array of real"),
        (
            lambda: ensembles.mixture_moments(COUNTS, weights=["a"] * 5),
            "weights must be real numbers; got an array of <U1",
        ),
    ],
)
def test_what_is_no_number_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()
