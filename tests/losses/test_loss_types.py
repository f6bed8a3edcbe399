"""Tests that a loss depends on the numbers that it is given, not on their types."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jaxmlp
from jaxmlp import losses

NUMBERS = np.array([1.5, 2.5, -3.5, 0.5], np.float32)
OUTPUTS = np.array([[1], [2], [-3], [0]])
PER_OUTPUT = {
    "absolute_error": losses.absolute_error,
    "squared_error": losses.squared_error,
    "huber": losses.huber,
    "quantile": functools.partial(losses.quantile, levels=(0.3,)),
    "poisson": lambda outputs, targets: losses.poisson(outputs, np.abs(targets)),
    "hinge": lambda outputs, targets: losses.hinge(outputs, np.float32(targets > 0)),
    "sigmoid": lambda o, targets: losses.sigmoid_binary_cross_entropy(o, np.float32(targets > 0)),
}


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("name", PER_OUTPUT)
def test_integer_outputs_give_the_loss_of_their_floats(name, dtype):
    got = PER_OUTPUT[name](OUTPUTS.astype(dtype), NUMBERS)
    np.testing.assert_array_equal(got, PER_OUTPUT[name](OUTPUTS.astype(np.float32), NUMBERS))


def test_integer_outputs_of_gaussian_give_the_loss_of_their_floats():
    outputs = np.array([[1, 2], [3, -1]])
    got = losses.gaussian(outputs, NUMBERS[:2])
    np.testing.assert_array_equal(got, losses.gaussian(np.float32(outputs), NUMBERS[:2]))


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_boolean_and_unsigned_outputs_give_the_loss_of_their_floats(dtype):
    outputs = np.array([[0], [1]], dtype)
    got = losses.squared_error(outputs, NUMBERS[:2])
    np.testing.assert_array_equal(got, [2.25, 2.25])


@pytest.mark.parametrize("classes", [2, 127, 128, 255, 256, 257, 300])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("compiled", [False, True])
def test_labels_of_every_integer_type_name_every_class(dtype, classes, compiled):
    most = 1 if dtype is bool else min(classes - 1, np.iinfo(dtype).max)
    labels = np.arange(most + 1)
    logits = np.random.default_rng(0).normal(size=(len(labels), classes)).astype(np.float32)
    criterion = jax.jit(losses.softmax_cross_entropy) if compiled else losses.softmax_cross_entropy
    got = criterion(logits, labels.astype(dtype))
    np.testing.assert_array_equal(got, criterion(logits, labels.astype(np.int32)))
    assert np.isfinite(got).all()


def test_a_label_that_only_wraps_into_range_is_refused():
    message = r"targets must fit into int32; got values in \[4294967297, 4294967297\]"
    with pytest.raises(ValueError, match=message):
        losses.softmax_cross_entropy(np.zeros((1, 3), np.float32), np.array([2**32 + 1]))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["absolute_error", "squared_error", "huber", "quantile"])
def test_the_mean_over_outputs_of_16_bits_is_taken_in_float32(name, dtype):
    outputs = np.full((1, 300), 200, dtype)
    wide = PER_OUTPUT[name](np.full((1, 300), 200, np.float32), np.zeros((1, 300), np.float32))
    got = PER_OUTPUT[name](outputs, np.zeros((1, 300), np.float32))
    np.testing.assert_array_equal(np.float32(got), np.float32(np.asarray(wide).astype(dtype)))


def test_targets_keep_digits_that_outputs_of_16_bits_would_not_hold():
    outputs = np.full((1, 1), 2048, np.float16)
    # 2049 is no float16, and 70000 would be infinite.
    assert losses.absolute_error(outputs, np.array([2049.0])) == 1
    assert losses.absolute_error(np.full((1, 1), 60000, np.float16), np.array([70000.0])) == 10000


OPTIONS = {
    "delta": (0.5, lambda v: losses.huber(OUTPUTS, NUMBERS, delta=v)),
    "min_scale": (
        0.5,
        lambda v: losses.gaussian(np.float32([[1, 2], [3, -1]]), NUMBERS[:2], min_scale=v),
    ),
    "label_smoothing": (
        0.5,
        lambda v: losses.softmax_cross_entropy(
            np.float32([[1, 2], [3, -1]]), np.array([1, 0]), label_smoothing=v
        ),
    ),
    "smoothing of probabilities": (
        0.5,
        lambda v: losses.softmax_cross_entropy(
            np.float32([[1, 2], [3, -1]]), np.float32([[1, 0], [0.5, 0.5]]), label_smoothing=v
        ),
    ),
    "levels": (
        (0.25, 0.5),
        lambda v: losses.quantile(np.float32([[1, 2], [3, -1]]), NUMBERS[:2], levels=v),
    ),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIONS)
class TestOptions:
    def test_numpy_numbers_are_as_good_as_python_ones(self, name, dtype):
        value, criterion = OPTIONS[name]
        got = criterion(np.asarray(value, dtype)[()])
        np.testing.assert_array_equal(got, criterion(value))

    def test_jax_numbers_are_as_good_as_python_ones(self, name, dtype):
        value, criterion = OPTIONS[name]
        got = criterion(jnp.asarray(np.asarray(value, dtype)))
        np.testing.assert_array_equal(got, criterion(value))

    def test_traced_numbers_are_as_good_as_python_ones(self, name, dtype):
        value, criterion = OPTIONS[name]
        got = jax.jit(criterion)(np.asarray(value, dtype))
        # Fused operations round in another order.
        np.testing.assert_allclose(got, criterion(value), rtol=1e-6)

    def test_a_traced_number_out_of_range_gives_nan(self, name, dtype):
        value, criterion = OPTIONS[name]
        assert np.isnan(jax.jit(criterion)(-np.asarray(value, dtype))).all()


@pytest.mark.bad_input
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("value", ["a", None, 1j, [[0.5]], True])
def test_options_that_are_no_numbers_are_refused_by_name(name, value):
    argument = "label_smoothing" if name.startswith("smoothing") else name
    with pytest.raises(TypeError, match=f"{argument} must be .*; got "):
        OPTIONS[name][1](value)


def test_levels_may_be_a_tuple_of_traced_numbers():
    criterion = OPTIONS["levels"][1]
    got = jax.jit(lambda low, high: criterion((low, high)))(0.25, 0.5)
    np.testing.assert_allclose(got, criterion((0.25, 0.5)), rtol=1e-6)


@pytest.mark.parametrize("levels", [(), np.zeros(0), (0.5, 1.0), np.array([0.0, 0.5])])
def test_levels_out_of_range_are_refused(levels):
    with pytest.raises(ValueError, match=r"levels must be probabilities in \(0, 1\); got "):
        losses.quantile(np.zeros((1, 2), np.float32), NUMBERS[:1], levels=levels)


def test_the_gradient_with_respect_to_a_traced_delta_is_that_of_its_definition():
    def loss(delta):
        return losses.huber(np.float32([[3.0], [0.5]]), np.zeros(2, np.float32), delta=delta).sum()

    # d/dD D (r - D / 2) = r - D where r > D.
    np.testing.assert_allclose(jax.grad(loss)(1.0), 2.0)


def test_a_mean_over_a_swept_option_is_one_program():
    deltas = jnp.array([0.5, 1.0, 2.0])
    together = jax.vmap(lambda d: jaxmlp.losses.huber(OUTPUTS, NUMBERS, delta=d))(deltas)
    alone = [jaxmlp.losses.huber(OUTPUTS, NUMBERS, delta=d) for d in (0.5, 1.0, 2.0)]
    np.testing.assert_array_equal(together, np.stack(alone))
