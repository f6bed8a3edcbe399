"""Tests of what streams share with the threads that use them: settings, memory, and errors."""

import sys
import threading

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from fits import LINEAR, fit

from jaxmlp import DataLoader, sources
from jaxmlp.sources.arrays import ArraySource

ROWS = 403
X = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)


@pytest.fixture
def source(tmp_path):
    for name, array in {"x": X, "y": np.arange(ROWS)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    return sources.npy(tmp_path / "x.npy", tmp_path / "y.npy", chunk_rows=17)


def make_wide(folder):
    """Integers, of which those after the first window need 64 bits."""
    numbers = np.where(np.arange(100) < 50, 0, 2**33) + np.arange(100)
    pa.parquet.write_table(pa.table({"a": numbers}), folder / "a.parquet", row_group_size=10)
    source = sources.parquet(folder / "a.parquet", x="a", y=None, chunk_rows=10)
    return DataLoader(source, batch_size=10, window_chunks=1), numbers


@pytest.mark.usefixtures("x64")
def test_a_stream_has_the_64_bit_types_of_the_thread_that_iterates(tmp_path):
    loader, numbers = make_wide(tmp_path)
    found = np.concatenate([batch.x for batch in loader])
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, numbers)


def test_integers_that_do_not_fit_are_refused_also_where_memory_is_used_again(tmp_path):
    with jax.enable_x64(True):
        loader, _ = make_wide(tmp_path)
    with pytest.raises(ValueError, match=r"'a' of .*, row 50, must fit into int32; got 8589934642"):
        list(loader)


def test_iterators_of_one_loader_in_many_threads_share_no_memory(source):
    loader = DataLoader(source, batch_size=8, shuffle=True, window_chunks=3)
    orders = [loader.order(epoch) for epoch in range(4)]
    expected = np.concatenate(orders)[: 4 * ROWS]
    failed, interval = [], sys.getswitchinterval()

    def check(first):
        try:
            for _ in range(5):
                blocks = list(loader.blocks(first, batches=5, epochs=4 - first))
                numbers = np.concatenate([block.numbers.ravel() for block in blocks])
                real = numbers >= 0
                np.testing.assert_array_equal(numbers[real], expected[first * ROWS :])
                for name, values in (("x", X), ("y", np.arange(ROWS))):
                    leaves = [
                        getattr(b.batch, name)[: len(b.numbers)].reshape(-1, *values.shape[1:])
                        for b in blocks
                    ]
                    found = np.concatenate(leaves)[real]
                    np.testing.assert_array_equal(found, values[numbers[real]])
                next(loader.epoch(first))  # and one that is dropped
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=check, args=(first,)) for first in range(4)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == []


class Halved:
    """The rows of a source by its own means but for `read`, which changes them."""

    def __init__(self, source):
        self.source, self.chunks = source, source.chunks
        self.fingerprint = source.fingerprint

    def __getattr__(self, name):
        return getattr(self.source, name)

    def __len__(self):
        return len(self.source)

    def read(self, rows):
        batch = self.source.read(rows)
        return batch._replace(x=batch.x / 2)


class HalvedArrays(ArraySource):
    read = Halved.read
    source = property(lambda self: ArraySource(**vars(self)))


@pytest.mark.parametrize(
    "change", [Halved, lambda source: HalvedArrays(**vars(source))], ids=["wrapped", "inherited"]
)
@pytest.mark.parametrize("y", [None, np.arange(ROWS)])
def test_a_source_that_changes_what_another_reads_is_asked_for_all_rows(tmp_path, change, y):
    np.save(tmp_path / "x.npy", X)
    source = change(sources.npy(tmp_path / "x.npy", chunk_rows=17))
    batches = list(DataLoader(source, y, batch_size=8, window_chunks=3, drop_last=True))
    np.testing.assert_array_equal(np.concatenate([b.x for b in batches]), X[:400] / 2)


@pytest.mark.parametrize("driver", ["step", "chunk"])
def test_an_error_of_the_loss_that_is_kept_leaves_no_thread(source, driver):
    def loss_fn(*_):
        raise KeyError("label")

    loader = DataLoader(source, batch_size=8, window_chunks=3)
    with pytest.raises(KeyError, match="label") as caught:
        fit(loader, **LINEAR | {"loss_fn": loss_fn}, driver=driver)
    assert caught.value.__traceback__ is not None
    assert not [t for t in threading.enumerate() if t.name == "jaxmlp.read_ahead"]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batches": 0}, ValueError, "batches must be an int of at least 1; got 0"),
        ({"batches": 2.5}, TypeError, "batches must be an int of at least 1; got 2.5"),
        ({"batches": 1, "epochs": 0}, ValueError, "epochs must be an int of at least 1; got 0"),
        ({"batches": 1, "epochs": True}, TypeError, "epochs must be an int of at least 1; got T"),
    ],
)
def test_numbers_of_blocks_and_epochs_out_of_range_are_refused(source, settings, error, message):
    with pytest.raises(error, match=message):
        DataLoader(source, batch_size=8).blocks(0, **settings)


@pytest.mark.parametrize("step", [-1, 5])
def test_numbered_batches_start_within_the_epoch(source, step):
    for rows in (source, X):
        with pytest.raises(ValueError, match=f"step must be an int .* below 5; got {step}"):
            DataLoader(rows, batch_size=101).numbered(0, step)
