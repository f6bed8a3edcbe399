"""Tests that an iterable may refill the arrays of its batches while the device still reads them."""

import jax.numpy as jnp
import numpy as np
import pytest
from fits import LINEAR, VALIDATION, X, Y, assert_same, fit

import jaxmlp


def aligned(values):
    """A copy whose memory a CPU device takes as it is, without copying."""
    raw = np.empty(values.nbytes + 64, np.uint8)
    offset = -raw.ctypes.data % 64
    copy = raw[offset : offset + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


class Refilling:
    """Gives one batch over and over, with other rows, and none after its last."""

    def __init__(self, wrap=jaxmlp.Batch):
        self.wrap = wrap

    def __iter__(self):
        x, y = aligned(X[:10]), aligned(Y[:10])
        for start in range(0, 50, 10):
            x[...], y[...] = X[start : start + 10], Y[start : start + 10]
            yield self.wrap(x, y, np.ones(10, np.float32))
        x[...] = np.nan


SEPARATE = [
    jaxmlp.Batch(X[start : start + 10], Y[start : start + 10], np.ones(10, np.float32))
    for start in range(0, 50, 10)
]


def test_fit_sees_the_rows_that_were_given():
    assert_same(fit(Refilling(), **LINEAR).params, fit(SEPARATE, **LINEAR).params)


def test_the_device_gets_arrays_that_nobody_refills():
    from jaxmlp.fitting import drivers

    buffer = aligned(X[:10])
    (batch, _), *_ = drivers._without_numbers([jaxmlp.Batch(buffer)], 0)
    assert not np.shares_memory(batch.x, buffer)


def test_arrays_of_jax_are_taken_as_they_are():
    from jaxmlp.fitting import drivers

    array = jnp.ones(3)
    (batch, _), *_ = drivers._without_numbers([{"x": array, "scale": 2.0}], 0)
    assert batch["x"] is array
    assert batch["scale"] == 2.0


def test_the_rows_of_a_bad_step_are_those_that_were_given():
    class Bad(Refilling):
        def __iter__(self):
            for number, batch in enumerate(super().__iter__()):
                batch.x[...] *= np.float32(np.nan if number == 3 else 1)
                yield batch

    with pytest.raises(jaxmlp.NonFiniteError, match="step 3 is not finite"):
        fit(Bad(), **LINEAR, validation=VALIDATION)
