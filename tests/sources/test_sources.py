"""Tests of rows in memory: trees of arrays, frames, tables, sparse rows; and of user's sources."""

import re
import subprocess
import sys
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from jaxmlp import Batch, DataLoader
from jaxmlp.sources import MemorySource, Source

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.arange(6, dtype=np.int32)
ROWS = np.array([4, 0, 4])
COLUMNS = {"age": X[:, 0].astype(np.float64), "height": X[:, 1].astype(np.float64)}
FRAMES = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["array", "float64", "frame"])
def test_rows_are_copied_once(kind):
    rows = np.ones((50_000, 20), np.float64 if kind == "float64" else np.float32)
    given = pd.DataFrame(rows) if kind == "frame" else rows
    tracemalloc.start()
    try:
        source = MemorySource(given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The copy, weights (4 bytes of the 80 of a row), and for a moment a check's booleans.
    assert peak < 1.4 * source.x.nbytes
    assert not np.shares_memory(source.x, rows)


class TestTrees:
    def test_named_inputs_and_targets_are_read_together(self):
        x = {"image": X.astype(np.uint8), "more": (jnp.asarray(Y), X)}
        batch = DataLoader(x, {"a": Y, "b": X}, batch_size=6).read(ROWS)
        expected = jax.tree.map(lambda a: np.asarray(a)[ROWS], (x, {"a": Y, "b": X}))
        assert_same((batch.x, batch.y), expected)

    def test_bytes_stay_bytes(self):
        assert MemorySource({"image": X.astype(np.uint8)}).read(ROWS).x["image"].dtype == np.uint8

    def test_they_are_copied(self):
        x = {"a": X.copy(), "b": [0.5] * 6}
        loader = DataLoader(x, batch_size=2)
        x["a"][:] = -1
        np.testing.assert_array_equal(loader.x["a"], X)

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (
                {"a": X, "b": X[:5]},
                None,
                "x['a'] and x['b'] must have the same number of rows; got",
            ),
            (
                {"a": X},
                (Y, Y[:5]),
                "x['a'] and y[1] must have the same number of rows; got 6 and 5",
            ),
            ({"a": X * np.nan}, None, "x['a'] must be finite; got nan at index (0, 0)"),
            ({}, None, "x must hold at least one array; got {}"),
            ({"a": np.float32(1)}, None, "x['a'] must have one row per example; got a single"),
        ],
    )
    def test_errors_name_the_leaf(self, x, y, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            DataLoader(x, y, batch_size=2)


@pytest.mark.parametrize("kind", FRAMES)
class TestFrames:
    def test_a_frame_is_one_matrix(self, kind):
        source = MemorySource(FRAMES[kind](COLUMNS))
        assert_same(source.x, X)

    def test_integers_stay_integers(self, kind):
        source = MemorySource(FRAMES[kind]({"a": Y.astype(np.uint8), "b": Y.astype(np.uint8)}))
        assert_same(source.x, np.stack([Y, Y], 1).astype(np.uint8))

    def test_integers_join_floats(self, kind):
        source = MemorySource(FRAMES[kind]({"a": Y, "b": X[:, 0], "c": Y > 2}))
        assert_same(source.x, np.stack([Y, X[:, 0], Y > 2], 1).astype(np.float32))

    def test_a_column_is_a_vector(self, kind):
        column = FRAMES[kind]({"y": Y.astype(np.int64)})["y"]
        assert_same(MemorySource(X, column).y, Y)

    @pytest.mark.parametrize(
        ("values", "error", "message"),
        [
            (["a"] * 6, TypeError, "x['bad'] must hold numbers; it holds "),
            ([1.0, np.inf] * 3, ValueError, "x['bad'], row 1, must be finite; got inf"),
            ([2**24 + 1] * 6, ValueError, "x['bad'], row 0, must be at most 16777216 in size b"),
            ([2**40] * 6, ValueError, "x['bad'], row 0, must be at most 16777216 in size b"),
        ],
    )
    def test_errors_name_the_column(self, kind, values, error, message):
        frame = FRAMES[kind](COLUMNS | {"bad": values})
        with pytest.raises(error, match=re.escape(message)):
            DataLoader(frame, batch_size=2)

    def test_nulls_are_refused_with_their_row(self, kind):
        numbers = [1, 2, None, 4, None, 6]
        values = pd.array(numbers, dtype="Int64") if kind == "pandas" else numbers
        message = re.escape("x['bad'], row 2, must have a value; got null, as in 2 of the 6 rows")
        with pytest.raises(ValueError, match=message):
            DataLoader(FRAMES[kind](COLUMNS | {"bad": values}), batch_size=2)


def test_pandas_nullable_integers_are_integers():
    frame = pd.DataFrame({"a": pd.array([1, 2, 3], dtype="Int64")})
    assert_same(MemorySource(frame).x, np.array([[1], [2], [3]], np.int32))


@pytest.mark.parametrize("kind", [pd.Categorical, pd.to_datetime])
def test_pandas_columns_of_no_numbers_are_refused(kind):
    with pytest.raises(TypeError, match=r"x\['bad'\] must hold numbers; it holds (cat|date)"):
        MemorySource(pd.DataFrame({"bad": kind([1, 2, 1])}))


def test_a_lazy_frame_is_refused_with_the_remedy():
    with pytest.raises(
        TypeError, match=r"x must be a frame with rows; got a lazy .* x.collect\(\)"
    ):
        MemorySource(pl.DataFrame(COLUMNS).lazy())


def test_tensors_that_numpy_cannot_read_are_named():
    torch = pytest.importorskip("torch")
    for tensor in (torch.ones(3, dtype=torch.bfloat16), torch.ones(3, requires_grad=True)):
        with pytest.raises(TypeError, match=r"y must be an array that NumPy can read; .* Convert"):
            MemorySource(np.ones(3), tensor)


def test_duplicate_columns_are_refused():
    frame = pd.DataFrame(np.ones((3, 3)), columns=["a", "b", "a"])
    table = pa.Table.from_arrays([pa.array([1.0])] * 2, names=["a", "a"])
    for duplicated in (frame, table):
        with pytest.raises(ValueError, match=r"columns of different names; got \['a'\] twice"):
            MemorySource(duplicated)


def test_a_frame_is_copied():
    values = X.copy()
    loader = DataLoader(pd.DataFrame(values, copy=False), batch_size=2)
    values[:] = -1
    np.testing.assert_array_equal(loader.x, X)


def test_no_frame_package_is_imported():
    script = (
        "import sys, numpy as np, jaxmlp; jaxmlp.DataLoader(np.eye(3), batch_size=2); "
        "print(sorted({'pandas', 'polars', 'pyarrow', 'torch', 'datasets', 'scipy.sparse'} "
        "& set(sys.modules) - before))"
    )
    script = "import sys, jax, optax; before = set(sys.modules); " + script
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


class TestSparse:
    @pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
    @pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
    def test_rows_of_a_batch_are_dense_and_the_rest_stays_sparse(self, kind, make):
        loader = DataLoader(make(X.astype(np.float64)).asformat(kind), Y, batch_size=2)
        assert scipy.sparse.issparse(loader.x)
        assert loader.rows is None
        assert_same(loader.read(ROWS).x, X[ROWS])

    def test_they_are_copied(self):
        rows = scipy.sparse.csr_array(X)
        loader = DataLoader(rows, batch_size=2)
        rows.data[:] = -1
        np.testing.assert_array_equal(loader.read(ROWS).x, X[ROWS])

    def test_numbers_must_be_finite(self):
        with pytest.raises(ValueError, match=r"x.data must be finite; got inf at index \(3,\)"):
            DataLoader(scipy.sparse.csr_array(np.where(X == 7, np.inf, X)), batch_size=2)

    def test_the_fingerprint_is_that_of_the_numbers(self):
        twice = scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
        once = scipy.sparse.coo_array(([3.0], ([0], [1])), shape=(2, 2))
        assert MemorySource(twice).fingerprint() == MemorySource(once).fingerprint()


class Rows:
    """A user's source, whose rows are made when they are read."""

    chunks = None

    def __init__(self, make, rows=6):
        self.make, self.rows = make, rows

    def __len__(self):
        return self.rows

    def read(self, rows):
        return self.make(rows)

    def fingerprint(self):
        return "made"


class TestSource:
    def test_it_gives_the_batches_of_the_same_rows_in_memory(self):
        source = Rows(lambda rows: Batch(X[rows].astype(np.float64), Y[rows].astype(np.int64)))
        assert isinstance(source, Source)
        settings = {"batch_size": 4, "shuffle": True, "seed": 2}
        for one, other in zip(
            DataLoader(source, **settings), DataLoader(X, Y, **settings), strict=True
        ):
            assert_same(one, other)

    def test_targets_and_weights_may_lie_in_memory(self):
        weight = np.arange(1.0, 7.0)
        loader = DataLoader(Rows(lambda rows: Batch(X[rows])), Y, weight, batch_size=3)
        expected = DataLoader(X, Y, weight, batch_size=3)
        assert_same(loader.read(ROWS), expected.read(ROWS))
        other = DataLoader(Rows(lambda rows: Batch(X[rows])), Y + 1, weight, batch_size=3)
        assert loader.source.fingerprint() != other.source.fingerprint()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda r: Batch(np.where(r == 4, np.nan, 1.0)),
                r"x must be finite; got nan at index \(4,\)",
            ),
            (lambda r: Batch(np.ones(len(r) + 5)), "x must have one row per row asked"),
            (lambda r: Batch(np.ones(2), None, r - 1), "weight must be at least 0, one per row"),
            (lambda r: Batch(np.ones((2, 1 + r.max() // 4))), r"first rows, float32\[1\]; got .*2"),
            (lambda r: Batch({"a": r} if r[0] < 4 else r), "must have the structure of the first"),
        ],
    )
    def test_what_it_reads_is_checked(self, make, message):
        with pytest.raises(ValueError, match=message):
            list(DataLoader(Rows(make), batch_size=2))

    def test_what_comes_twice_is_refused(self):
        with pytest.raises(ValueError, match="y must come from one place; got a Rows that gives y"):
            DataLoader(Rows(lambda rows: Batch(X[rows], Y[rows])), Y, batch_size=2)

    def test_it_has_no_arrays_to_show(self):
        loader = DataLoader(Rows(lambda rows: Batch(X[rows])), batch_size=2)
        with pytest.raises(AttributeError, match=r"loader.x needs rows in memory; .* from a Rows"):
            loader.x  # noqa: B018

    @pytest.mark.bad_input
    def test_it_must_read_a_batch(self):
        with pytest.raises(TypeError, match="A source must read a Batch; got a ndarray"):
            list(DataLoader(Rows(lambda rows: X[rows]), batch_size=2))
