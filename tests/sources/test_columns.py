"""Tests that columns of every kind become the same numbers, as in files, or are refused."""

import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from jaxmlp import DataLoader, sources
from jaxmlp.sources import MemorySource
from jaxmlp.sources.choice import match_columns, require_same_columns

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

VALUES = [3, 1, 2]

KINDS = {
    "pandas": pd.Series(VALUES),
    "nullable": pd.Series(VALUES, dtype="Int64"),
    "pandas with arrow": pd.Series(VALUES, dtype="int64[pyarrow]"),
    "sparse": pd.Series(pd.arrays.SparseArray(VALUES)),
    "polars": pl.Series("a", VALUES),
    "arrow": pa.array(VALUES),
    "chunks": pa.chunked_array([VALUES[:1], [], VALUES[1:]]),
    "dictionary": pa.array(VALUES).dictionary_encode(),
    "index": pd.Index(VALUES),
}


def frame_of(column):
    if isinstance(column, pl.Series):
        return pl.DataFrame({"a": column})
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return pa.table({"a": column})
    return pd.DataFrame({"a": column})


@pytest.mark.parametrize("kind", KINDS)
class TestNumbers:
    def test_targets_are_those_numbers(self, kind):
        y = MemorySource(np.zeros(3), KINDS[kind]).y
        assert (y.dtype, y.tolist()) == (np.int32, VALUES)

    def test_a_frame_is_a_matrix_of_them(self, kind):
        x = MemorySource(frame_of(KINDS[kind])).x
        assert (x.dtype, x.tolist()) == (np.int32, [[3], [1], [2]])

    def test_weights_are_those_numbers(self, kind):
        weight = MemorySource(np.zeros(3), weight=KINDS[kind]).weight
        assert (weight.dtype, weight.tolist()) == (np.float32, VALUES)


@pytest.mark.parametrize("dtype", ["Float64", "boolean", "double[pyarrow]", "bool[pyarrow]"])
def test_nullable_types_without_nulls_are_what_they_hold(dtype):
    x = MemorySource(pd.DataFrame({"a": pd.array([True, False, True], dtype=dtype)})).x
    assert (x.dtype == np.bool_) == ("bool" in dtype)
    assert x.tolist() == [[1], [0], [1]]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([1, 2, None], dtype="double[pyarrow]"),
        pd.Series([True, False, None], dtype="boolean"),
        pl.Series([1.0, 2.0, None]),
        pa.array([1, 2, None]),
        pa.chunked_array([[1, 2], [None]]),
        pa.DictionaryArray.from_arrays(pa.array([0, 0, 1]), pa.array([5, None])),
    ],
    ids=["Int64", "pyarrow", "boolean", "polars", "arrow", "chunks", "dictionary"],
)
def test_nulls_of_every_kind_are_named_in_the_same_words(column):
    message = r"row 2, must have a value; got null, as in 1 of the 3 rows read\. Impute or drop"
    with pytest.raises(ValueError, match=r"^x\['a'\], " + message):
        MemorySource(frame_of(column))
    with pytest.raises(ValueError, match=r"^y, " + message):
        MemorySource(np.zeros(3), column)


NO_NUMBERS = {
    "strings": pd.Series(["a", "b"]),
    "objects": pd.Series([1, 2], dtype=object),
    "categories": pd.Series([1, 2], dtype="category"),
    "dates": pd.Series(pd.to_datetime([1, 2])),
    "dates of pyarrow": pd.Series([1, 2], dtype="timestamp[ns][pyarrow]"),
    "polars strings": pl.Series(["a", "b"]),
    "polars dates": pl.Series([1, 2]).cast(pl.Date),
    "polars decimals": pl.Series([decimal.Decimal("1.5")] * 2),
    "polars categories": pl.Series(["a", "b"], dtype=pl.Categorical),
    "polars structures": pl.Series([{"a": 1}] * 2),
    "arrow strings": pa.array(["a", "b"]),
    "arrow decimals": pa.array([decimal.Decimal("1.5")] * 2),
    "arrow nothing": pa.nulls(2),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_refused_with_the_remedy(kind):
    message = (
        r"^x\['a'\] must hold numbers; it holds .*\. Encode categories .* leave the column out"
    )
    with pytest.raises(TypeError, match=message):
        MemorySource(frame_of(NO_NUMBERS[kind]))


@pytest.mark.bad_input
@pytest.mark.parametrize("value", [pd.Timestamp(0), pl.col("a"), pa.scalar(1)])
def test_what_is_no_column_is_refused(value):
    with pytest.raises(TypeError, match=r"^y must be a frame, a table or a column; got a "):
        MemorySource(np.zeros(3), value)


@pytest.mark.parametrize("kind", ["polars", "polars array", "arrow", "pandas"])
def test_a_column_of_lists_makes_rows_of_that_shape(kind):
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    frame = {
        "polars": lambda: pl.DataFrame({"a": images.tolist()}, {"a": pl.List(pl.List(pl.UInt8))}),
        "polars array": lambda: pl.DataFrame({"a": images}),
        "arrow": lambda: pa.table({"a": pa.array(images.tolist(), pa.list_(pa.list_(pa.uint8())))}),
        "pandas": lambda: pd.DataFrame(
            {"a": pd.Series(images.tolist(), dtype=pd.ArrowDtype(pa.list_(pa.list_(pa.uint8()))))}
        ),
    }[kind]()
    x = MemorySource(frame).x
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, images)


def test_lists_beside_numbers_are_refused():
    table = pa.table({"a": [1.0, 2.0], "image": pa.array([[1, 2], [3, 4]])})
    with pytest.raises(ValueError, match=r"x\['image'\] must have one number per row"):
        MemorySource(table)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_memory_and_files_give_the_same_types(make, tmp_path):
    columns = {
        "a": np.array([1, 2], np.uint8),
        "b": np.array([-3, 4], np.int16),
        "c": np.array([True, False]),
    }
    for names in ("ab", "ac", "abc", "c"):
        table = {name: columns[name] for name in names}
        pa.parquet.write_table(pa.table(table), tmp_path / "a.parquet")
        of_file = sources.parquet(tmp_path / "a.parquet", y=None).read(np.arange(2)).x
        in_memory = MemorySource(make(table)).x
        assert in_memory.dtype == of_file.dtype
        np.testing.assert_array_equal(in_memory, of_file)


COLUMNS = {"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]}


class TestMatching:
    @pytest.mark.parametrize("train", [pd.DataFrame, pl.DataFrame, pa.table])
    @pytest.mark.parametrize("other", [pd.DataFrame, pl.DataFrame, pa.table])
    def test_columns_in_another_order_are_put_into_that_of_training(self, train, other):
        source = DataLoader(train(COLUMNS), batch_size=2).source
        given = other({name: COLUMNS[name] for name in "cab"})
        x, _ = match_columns(source, given)
        assert isinstance(x, type(given))
        np.testing.assert_array_equal(MemorySource(x).x, source.x)

    def test_frames_within_trees_and_targets_are_matched_too(self):
        frame = pd.DataFrame(COLUMNS)
        source = MemorySource({"t": frame, "z": np.zeros(2)}, frame[["b", "a"]])
        x, y = match_columns(source, {"t": frame[["b", "c", "a"]], "z": [1, 2]}, frame[["a", "b"]])
        assert (list(x["t"]), list(y), x["z"]) == (["a", "b", "c"], ["b", "a"], [1, 2])

    def test_a_frame_goes_with_the_columns_of_files(self, tmp_path):
        pa.parquet.write_table(pa.table(COLUMNS), tmp_path / "a.parquet")
        source = sources.parquet(tmp_path / "a.parquet", x=["c", "a"], y=["b"])
        x, y = match_columns(source, pd.DataFrame(COLUMNS)[["a", "c"]], None)
        assert (list(x), y) == (["c", "a"], None)

    def test_missing_and_further_columns_are_named(self):
        source = MemorySource(pd.DataFrame(COLUMNS))
        other = pd.DataFrame(COLUMNS).rename(columns={"b": "d"})
        message = r"x must have the columns of the training data, \['a', 'b', 'c'\], in any order; "
        with pytest.raises(ValueError, match=message + r"it lacks \['b'\] and has \['d'\] beside"):
            match_columns(source, other)

    def test_what_has_no_names_is_left_as_it_is(self):
        array, frame = np.zeros((2, 3)), pd.DataFrame(COLUMNS)
        assert match_columns(MemorySource(frame), array)[0] is array
        assert match_columns(MemorySource(array), frame)[0] is frame
        series = frame["a"]
        assert match_columns(MemorySource(frame, series), frame, series)[1] is series

    def test_targets_in_memory_beside_a_file_keep_their_names(self, tmp_path):
        np.save(tmp_path / "x.npy", np.zeros((2, 1)))
        source = DataLoader(
            sources.npy(tmp_path / "x.npy"), pd.DataFrame(COLUMNS), batch_size=2
        ).source
        _, y = match_columns(source, np.zeros((2, 1)), pd.DataFrame(COLUMNS)[["b", "a", "c"]])
        assert list(y) == ["a", "b", "c"]

    def test_a_source_with_another_order_is_refused(self):
        frame = pd.DataFrame(COLUMNS)
        require_same_columns(MemorySource(frame), MemorySource(frame))
        require_same_columns(MemorySource(frame), MemorySource(np.zeros((2, 3))))
        with pytest.raises(ValueError, match=r"x must have the columns .* in this order; got \['b"):
            require_same_columns(MemorySource(frame), MemorySource(frame[["b", "a", "c"]]))
