"""Tests of what `DataLoader` takes: types of arrays, and every error."""

import pathlib
import re

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxmlp import DataLoader

X = np.arange(8, dtype=np.float32).reshape(4, 2)
Y = np.arange(4)


def first_batch(x, y=None, weight=None):
    return next(iter(DataLoader(x, y, weight, batch_size=3)))


class TestTypes:
    @pytest.mark.parametrize(
        ("dtype", "stored"),
        [
            (np.float64, np.float32),
            (np.float32, np.float32),
            (np.float16, np.float16),
            (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
            (np.int64, np.int32),
            (np.uint64, np.uint32),
            (np.int32, np.int32),
            (np.uint8, np.uint8),
            (np.bool_, np.bool_),
            (">f4", np.float32),
        ],
    )
    def test_arrays_have_the_type_that_jax_gives_them(self, dtype, stored):
        batch = first_batch(X.astype(dtype), X[:, 0].astype(dtype))
        assert (batch.x.dtype, batch.y.dtype) == (stored, stored)

    @pytest.mark.usefixtures("x64")
    @pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint64])
    def test_64_bit_numbers_stay_as_they_are_where_jax_has_them(self, dtype):
        batch = first_batch(X.astype(dtype), X[:, 0].astype(dtype))
        assert (batch.x.dtype, batch.y.dtype) == (dtype, dtype)

    @pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.bool_])
    def test_weights_are_float32(self, dtype):
        assert first_batch(X, Y, np.ones(4, dtype)).weight.dtype == np.float32

    def test_values_survive(self):
        batch = first_batch(X.astype(np.float64), np.array([2**31 - 1, -(2**31), 0, 1]))
        np.testing.assert_array_equal(batch.x, X[:3])
        np.testing.assert_array_equal(batch.y, [2**31 - 1, -(2**31), 0])

    def test_jax_arrays_are_taken(self):
        batch = first_batch(jnp.asarray(X), jnp.asarray(Y), jnp.ones(4))
        np.testing.assert_array_equal(batch.x, X[:3])
        np.testing.assert_array_equal(batch.y, Y[:3])

    @pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
    def test_batches_are_numpy_arrays(self, kind):
        batch = first_batch(kind(X), kind(Y), kind(np.ones(4, np.float32)))
        assert [type(array) for array in batch] == [np.ndarray] * 3

    def test_without_targets_they_are_none(self):
        assert first_batch(X).y is None

    @pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 3)])
    def test_rows_may_have_any_shape(self, shape):
        batch = first_batch(np.zeros(shape), np.zeros(shape))
        assert batch.x.shape == batch.y.shape == (3, *shape[1:])

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_nonfinite_numbers_are_taken_on_request(self, bad):
        x = np.where(X == 3, bad, X)
        batch = next(iter(DataLoader(x, batch_size=4, check_finite=False)))
        np.testing.assert_array_equal(batch.x, x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X.astype(str),), TypeError, "x must hold real numbers; got an array of <U"),
        ((X.astype(object),), TypeError, "x must hold real numbers; got an array of object"),
        ((X.astype(complex),), TypeError, "x must hold real numbers; got an array of complex128"),
        ((X, X.astype(str)), TypeError, r"y must hold real numbers.*np.unique\(values, return_inv"),
        ((X, Y, Y.astype(str)), TypeError, "weight must hold real numbers"),
        ((X[:0],), ValueError, r"x must have at least one row; got x.shape=\(0, 2\)"),
        ((X, Y, np.array([1, 1, -1, 1])), ValueError, r"weight must be at least 0, .* \[-1, 1\]"),
        ((X, Y, np.zeros(4)), ValueError, r"above 0 for some row; got values in \[0.0, 0.0\]"),
        ((X, Y, np.array([1, 1, np.nan, 1])), ValueError, "weight must be finite; got nan at inde"),
        ((X, Y, np.array([1, 1, np.inf, 1])), ValueError, "weight must be finite; got inf at inde"),
        (("x.npy",), TypeError, r"got the path 'x.npy'. Open the file, as in jaxmlp.sources.npy"),
        ((pathlib.Path("x.npy"),), TypeError, "x must be rows; got the path 'x.npy'"),
        ((np.ma.masked_equal(X, 3),), ValueError, r"x must not have masked values; got 1. Fill"),
        ((X, np.ma.masked_equal(Y, 3)), ValueError, "y must not have masked values; got 1"),
    ],
)
def test_arrays_without_a_meaning_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        DataLoader(*arguments, batch_size=2)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, 2.0], [3.0]],), "x must be a rectangular array; setting an array element"),
        ((X, [[1.0, 2.0], [3.0]]), "y must be a rectangular array; setting an array element"),
        ((np.float32(3),), "x must have one row per example; got a single number"),
        ((X, np.array(3)), "y must have one row per example; got a single number"),
        ((X, Y[:3]), "x and y must have the same number of rows; got 4 and 3"),
        ((X, np.arange(5)), "x and y must have the same number of rows; got 4 and 5"),
        ((X, Y, np.ones(3)), r"weight must have shape \(4,\), one per row; got \(3,\)"),
        ((X, Y, np.ones((4, 1))), r"weight must have shape \(4,\), one per row; got \(4, 1\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(*arguments, batch_size=2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["x", "y"])
def test_numbers_must_be_finite(name, dtype, bad):
    arrays = {"x": X.astype(dtype), "y": X.astype(dtype)}
    arrays[name][1, 1] = arrays[name][3, 0] = bad
    message = rf"{name} must be finite; got {bad} at index \(1, 1\) and 2 such values in all. Imp"
    with pytest.raises(ValueError, match=message):
        DataLoader(**arrays, batch_size=2)


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.int64(2**31), "int32"),
        (np.int64(-(2**31) - 1), "int32"),
        (np.uint64(2**32), "uint32"),
        (np.float64(1e300), "float32"),
        (np.float64(-1e39), "float32"),
    ],
)
def test_numbers_must_fit_into_32_bits(name, value, stored):
    arrays = {"x": X, "y": Y, name: np.array([0, value, 0, 0], value.dtype)}
    message = rf"{name} must fit into {stored}; got values in \[.*\]. Call jax.config.update\('jax_"
    with pytest.raises(ValueError, match=message):
        DataLoader(**arrays, batch_size=2)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("value", [np.int64(2**40), np.float64(1e300)])
def test_numbers_beyond_32_bits_are_kept_where_jax_has_64(value):
    batch = first_batch(np.array([value]))
    assert batch.x[0] == value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be an int of at least 1; got 0"),
        ({"batch_size": -1}, "batch_size must be an int of at least 1; got -1"),
        ({"seed": -1}, f"seed must be an int of at least 0 and below {2**64}; got -1"),
        ({"seed": 2**64}, f"seed must be an int of at least 0 and below {2**64}; got {2**64}"),
        (
            {"batch_size": 5, "drop_last": True},
            "drop_last=True leaves no batch, since 4 rows do not fill a batch of 5; lower batch_s",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DataLoader(X, Y, **{"batch_size": 2, **settings})


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["batch_size", "seed"])
@pytest.mark.parametrize("value", [2.0, True, "2", None])
def test_numbers_of_things_must_be_ints(name, value):
    with pytest.raises(TypeError, match=f"{name} must be an int of at least .*; got {value!r}"):
        DataLoader(X, Y, **{"batch_size": 2, name: value})


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["shuffle", "drop_last", "check_finite"])
@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_a_switch_must_be_true_or_false(name, value):
    with pytest.raises(TypeError, match=f"{name} must be True or False; got "):
        DataLoader(X, Y, **{"batch_size": 2, name: value})


def test_an_epoch_is_at_least_0():
    loader = DataLoader(X, Y, batch_size=2)
    with pytest.raises(ValueError, match="epoch must be an int of at least 0"):
        loader.epoch(-1)


@pytest.mark.bad_input
def test_an_epoch_is_an_int():
    loader = DataLoader(X, Y, batch_size=2, shuffle=True)
    with pytest.raises(TypeError, match=r"epoch must be an int of at least 0 .*; got 1.0"):
        loader.order(1.0)
