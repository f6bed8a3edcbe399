"""Tests of how `predict` cuts rows into calls: the memory that they lie in, and their number."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from fits import CONFIG, PARAMS, X

import jaxmlp
from jaxmlp.fitting import row_blocks

# Forward passes in another program, and sums in another order.
RTOL = 1e-5


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_rows_that_are_not_filled_are_never_looked_at(dtype, monkeypatch):
    # What memory holds may overflow in a cast, of which NumPy warns: an error in these tests.
    def whatever(shape, dtype):
        return np.full(shape, np.finfo(dtype).max, dtype)

    fake = SimpleNamespace(**vars(np) | {"empty": whatever})
    rows = np.ones((3, X.shape[1]), dtype)
    expected = jaxmlp.predict(PARAMS, rows, config=CONFIG)
    monkeypatch.setattr(row_blocks, "np", fake)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs = jaxmlp.predict(PARAMS, rows, config=CONFIG)
        np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "int16"])
@pytest.mark.parametrize("offset", [0, 4])
def test_many_calls_take_rows_from_memory_of_any_kind(dtype, offset):
    rows = 10 * np.random.default_rng(0).normal(size=(1000, X.shape[1]))
    memory = np.zeros(rows.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    placed = np.ndarray(rows.shape, dtype, memory, start)
    placed[...] = rows
    # 32 blocks of 4 rows in a call.
    got = jaxmlp.predict(PARAMS, placed, config=CONFIG, batch_size=4)
    kept = np.array(got)
    parts = [
        jaxmlp.predict(PARAMS, placed[i : i + 4], config=CONFIG, batch_size=4)
        for i in range(0, 1000, 4)
    ]
    np.testing.assert_array_equal(got, np.concatenate(parts))
    jaxmlp.predict(PARAMS, -placed, config=CONFIG, batch_size=4)
    np.testing.assert_array_equal(got, kept)


def test_a_transform_may_change_the_number_of_rows_and_their_type():
    rows = 10 * np.random.default_rng(0).normal(size=(1000, X.shape[1])).astype(np.float32)

    def pair(batch):
        x = batch.x[::2] + batch.x[1::2]
        # Of another type in some calls.
        return batch._replace(x=np.rint(x).astype(np.int8) if x[0, 0] > 0 else x)

    def wanted(first):
        x = pair(jaxmlp.Batch(rows[first:][:128], None, None)).x
        return jaxmlp.apply(PARAMS, x.astype(np.float32), config=CONFIG)

    loader = jaxmlp.DataLoader(rows, batch_size=4, transform=pair)
    got = jaxmlp.predict(PARAMS, loader, config=CONFIG, batch_size=4)
    assert got.shape == (500, CONFIG.out_features)
    # 32 blocks of 4 rows are read for a call.
    expected = np.concatenate([wanted(first) for first in range(0, 1000, 128)])
    np.testing.assert_allclose(got, expected, rtol=RTOL, atol=1e-5)
