"""Tests that hold for a source of any format: the rows asked, of the right types, unshared."""

import os

import numpy as np
import pytest
import table_files
from table_files import ROWS, WEIGHT, X, Y, make

from jaxmlp import DataLoader, sources
from jaxmlp.sources import Source


def reopen(kind, folder, **settings):
    """Makes the source again of the files that `make` wrote."""
    if kind == "npy":
        paths = {name: folder / f"{name}0.npy" for name in ("x", "y", "weight")}
        return sources.npy(**paths | settings)
    settings = {"y": "target", "weight": "weight"} | settings
    return table_files.KINDS[kind][1](folder / f"0.{kind}", **settings)


KINDS = pytest.mark.parametrize("kind", ["npy", "parquet", "arrow", "compressed", "csv"])
SHARDS = pytest.mark.parametrize("shards", [1, 3])


def assert_rows(batch, rows):
    np.testing.assert_array_equal(batch.x, X[rows])
    np.testing.assert_array_equal(batch.y, Y[rows])
    np.testing.assert_array_equal(batch.weight, WEIGHT[rows])


@KINDS
@SHARDS
class TestRows:
    def test_rows_come_in_the_order_asked(self, kind, shards, tmp_path):
        source = make(kind, tmp_path, shards=shards, chunk_rows=11)
        assert isinstance(source, Source)
        assert len(source) == ROWS
        for seed in range(3):
            rows = np.random.default_rng(seed).choice(ROWS, size=90)
            assert_rows(source.read(rows), rows)
        for rows in ([], [ROWS - 1], [0, 0], range(ROWS)):
            assert_rows(source.read(np.array(rows, np.int64)), np.array(rows, np.int64))

    def test_types_are_those_that_jax_has(self, kind, shards, tmp_path):
        batch = make(kind, tmp_path, shards=shards).read(np.arange(3))
        dtypes = (batch.x.dtype, batch.y.dtype, batch.weight.dtype)
        assert dtypes == (np.float32, np.int32, np.float32)

    def test_chunks_rise_from_0_to_the_rows(self, kind, shards, tmp_path):
        chunks = make(kind, tmp_path, shards=shards, chunk_rows=11).chunks
        assert (chunks[0], chunks[-1]) == (0, ROWS)
        assert (np.diff(chunks) > 0).all()

    def test_a_stream_gives_every_row_once(self, kind, shards, tmp_path):
        source = make(kind, tmp_path, shards=shards, chunk_rows=11)
        loader = DataLoader(source, batch_size=32, window_chunks=2, shuffle=True)
        seen = []
        for block in loader.blocks(0, batches=2):
            real, used = block.numbers >= 0, slice(len(block.numbers))
            np.testing.assert_array_equal(block.batch.x[used][real], X[block.numbers[real]])
            np.testing.assert_array_equal(block.batch.y[used][real], Y[block.numbers[real]])
            seen += block.numbers[real].tolist()
        assert sorted(seen) == list(range(ROWS))


@KINDS
class TestEachFormat:
    def test_batches_are_fresh(self, kind, tmp_path):
        source = make(kind, tmp_path)
        first = source.read(np.arange(5))
        for array in first:
            array[...] = 7
        assert_rows(source.read(np.arange(5)), np.arange(5))

    def test_rows_are_read_into_arrays_that_are_there(self, kind, tmp_path):
        source = make(kind, tmp_path, shards=3)
        to = source.read(np.arange(9))
        for rows in (np.arange(20, 29), np.array([8, 3, 50, 50, 1, 0, 31, 7, 2])):
            batch = source.read_into(rows, to)
            assert all(map(np.shares_memory, batch, to))
            assert_rows(batch, rows)

    @pytest.mark.usefixtures("x64")
    def test_64_bit_types_are_kept_where_jax_has_them(self, kind, tmp_path):
        source = make(kind, tmp_path)
        assert source.read(np.arange(3)).y.dtype == np.int64
        # Numbers in text are of 64 bits.
        expected = np.float64 if kind == "csv" else np.float32
        assert source.read(np.arange(3)).x.dtype == expected

    def test_row_numbers_out_of_range_are_refused(self, kind, tmp_path):
        source = make(kind, tmp_path)
        for rows in ([0, -1], [ROWS]):
            with pytest.raises(ValueError, match=rf"rows must be in \[0, {ROWS}\); got {rows[-1]}"):
                source.read(np.array(rows))

    @pytest.mark.parametrize("change", ["content", "time"])
    def test_the_fingerprint_tells_changed_data(self, kind, change, tmp_path):
        before = make(kind, tmp_path).fingerprint()
        assert reopen(kind, tmp_path).fingerprint() == before
        path = min(tmp_path.iterdir())
        time = path.stat().st_mtime_ns
        if change == "content":
            # The last digit of a number, or a bit of it, at the same size.
            content = bytearray(path.read_bytes())
            content[-2 if kind == "csv" else len(content) // 3] ^= 1
            path.write_bytes(content)
        os.utime(path, ns=(time, time + (change == "time")))
        assert reopen(kind, tmp_path).fingerprint() != before

    def test_the_fingerprint_does_not_depend_on_the_path(self, kind, tmp_path):
        (tmp_path / "one").mkdir()
        one = make(kind, tmp_path / "one")
        fingerprint = one.fingerprint()
        (tmp_path / "one").rename(tmp_path / "two")
        moved = reopen(kind, tmp_path / "two")
        assert moved.fingerprint() == fingerprint

    def test_the_fingerprint_depends_on_what_is_read(self, kind, tmp_path):
        make(kind, tmp_path)
        other = {"weight": None} if kind == "npy" else {"x": ["b", "a", "c"]}
        assert reopen(kind, tmp_path).fingerprint() != reopen(kind, tmp_path, **other).fingerprint()

    def test_no_file_stays_open(self, kind, tmp_path):
        source = make(kind, tmp_path, shards=3)
        source.read(np.arange(ROWS))
        links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert not [link for link in links if str(tmp_path) in link or "jaxmlp-csv" in link]
