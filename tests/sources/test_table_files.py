"""Tests of tables as a source: columns, types, chunks, and what is refused."""

import contextlib
import dataclasses
import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from table_files import KINDS, TABLE, X, make_table

from jaxmlp import sources

EACH = pytest.mark.parametrize("kind", list(KINDS))
BINARY = pytest.mark.parametrize("kind", ["parquet", "arrow", "compressed"])


def read_x(kind, folder, columns, rows, **settings):
    return make_table(kind, folder, pa.table(columns), y=None, **settings).read(np.array(rows)).x


@EACH
class TestColumns:
    def test_columns_come_in_the_order_named(self, kind, tmp_path):
        source = make_table(kind, tmp_path, TABLE, x=["c", "a"], y=["b", "target"])
        batch = source.read(np.array([4, 2]))
        np.testing.assert_array_equal(batch.x, X[[4, 2]][:, [2, 0]])
        assert (batch.y.shape, batch.y.dtype, batch.weight) == ((2, 2), np.float32, None)

    def test_all_others_are_inputs_in_the_order_of_the_file(self, kind, tmp_path):
        source = make_table(kind, tmp_path, TABLE, y="target", weight="weight")
        np.testing.assert_array_equal(source.read(np.arange(9)).x, X[:9])

    def test_one_name_gives_a_vector_and_a_list_a_matrix(self, kind, tmp_path):
        alone = make_table(kind, tmp_path, TABLE, x="a", y=["target"]).read(np.arange(4))
        assert (alone.x.shape, alone.y.shape) == ((4,), (4, 1))

    def test_integers_and_bools_stay_what_they_are(self, kind, tmp_path):
        columns = {"a": pa.array([1, 2, 300]), "b": pa.array([4, 5, 6])}
        assert read_x(kind, tmp_path, columns, [0, 2]).dtype == np.int32
        flags = read_x(kind, tmp_path, {"a": [True, False, True]}, [2, 1])
        assert (flags.dtype, flags.tolist()) == (np.bool_, [[True], [False]])

    def test_integers_beside_floats_become_floats(self, kind, tmp_path):
        x = read_x(kind, tmp_path, {"a": [1, 2], "b": [0.5, 1.5]}, [1, 0])
        assert (x.dtype, x.tolist()) == (np.float32, [[2, 1.5], [1, 0.5]])

    def test_integers_that_would_lose_digits_beside_floats_are_named(self, kind, tmp_path):
        for number in (2**24 + 1, -(2**24) - 1):
            with pytest.raises(ValueError, match=f"'a' of .*, row 1, .* 16777216 .* got {number}."):
                read_x(kind, tmp_path, {"a": [1, number], "b": [0.5, 1.5]}, [0, 1])


@BINARY
class TestTypes:
    def test_small_types_are_kept(self, kind, tmp_path):
        for dtype in (np.uint8, np.int16, np.float16, np.uint32):
            columns = {"a": np.array([1, 2], dtype), "b": np.array([3, 4], dtype)}
            assert read_x(kind, tmp_path, columns, [1]).dtype == dtype

    def test_the_smallest_common_type_is_taken(self, kind, tmp_path):
        columns = {"a": np.array([1], np.uint8), "b": np.array([-3], np.int8)}
        assert read_x(kind, tmp_path, columns, [0]).dtype == np.int16
        columns = {"a": np.array([1], np.uint64), "b": np.array([-3], np.int64)}
        assert read_x(kind, tmp_path, columns, [0]).dtype == np.int32

    @pytest.mark.parametrize("fixed", [False, True])
    def test_lists_of_one_length_are_rows_of_that_shape(self, kind, fixed, tmp_path):
        images = np.arange(120, dtype=np.uint8).reshape(20, 2, 3)
        inner = pa.list_(pa.uint8(), 3) if fixed else pa.list_(pa.uint8())
        outer = pa.list_(inner, 2) if fixed else pa.large_list(inner)
        columns = {"image": pa.array(images.tolist(), outer)}
        x = read_x(kind, tmp_path, columns, [7, 19, 0], chunk_rows=4)
        assert x.dtype == np.uint8
        np.testing.assert_array_equal(x, images[[7, 19, 0]])

    def test_dictionaries_of_numbers_are_numbers(self, kind, tmp_path):
        column = pa.array([7, 9, 7, 8]).dictionary_encode()
        assert read_x(kind, tmp_path, {"a": column}, [3, 0, 1]).tolist() == [[8], [7], [9]]

    def test_lists_of_other_lengths_are_named_with_their_row(self, kind, tmp_path):
        columns = {"image": pa.array([[1, 2]] * 70 + [[3]])}
        with pytest.raises(
            ValueError, match=r"'image' of .*, row 70, must hold a list of 2, .* 1\."
        ):
            read_x(kind, tmp_path, columns, [70])

    def test_a_null_within_a_list_is_named_with_its_row(self, kind, tmp_path):
        columns = {"image": pa.array([[1, 2]] * 70 + [[3, None]])}
        with pytest.raises(ValueError, match=r"'image' of .*, row 70, must have a value; got null"):
            read_x(kind, tmp_path, columns, [70, 1])

    def test_dates_and_decimals_are_refused(self, kind, tmp_path):
        for column in (pa.array([0], pa.date32()), pa.array([1]).cast(pa.decimal128(21, 2))):
            with pytest.raises(TypeError, match=r"column 'a' of .* must hold numbers; it holds d"):
                read_x(kind, tmp_path, {"a": column}, [0])

    def test_lists_beside_numbers_are_refused(self, kind, tmp_path):
        columns = {"a": [1.0], "image": pa.array([[1, 2]])}
        with pytest.raises(ValueError, match=r"'image' in .* holds lists beside other columns"):
            read_x(kind, tmp_path, columns, [0])

    def test_a_truncated_file_is_named(self, kind, tmp_path):
        make_table(kind, tmp_path, TABLE, y=None)
        path = tmp_path / f"0.{kind}"
        os.truncate(path, path.stat().st_size - 20)
        with pytest.raises(
            ValueError, match=rf"0\.{kind} (cannot be read: |must be an Arrow file)"
        ):
            KINDS[kind][1](path, y=None)


@EACH
class TestBadInput:
    def test_strings_are_refused_with_the_remedy(self, kind, tmp_path):
        with pytest.raises(
            TypeError, match=r"'b' of .* it holds .*string.* Encode categories as in"
        ):
            read_x(kind, tmp_path, {"a": [1], "b": ["red"]}, [0])

    def test_a_missing_column_is_named(self, kind, tmp_path):
        for settings in ({"y": "label"}, {"x": ["a", "label"]}, {"weight": "label"}):
            with pytest.raises(
                ValueError, match=rf"0\.{kind} has no column 'label'; it has \['weig"
            ):
                make_table(kind, tmp_path, TABLE, **{"y": None} | settings)

    def test_a_column_that_is_there_twice_is_named(self, kind, tmp_path):
        table = pa.table([[1], [2], [3]], names=["a", "b", "a"])
        with pytest.raises(ValueError, match=rf"0\.{kind} has 2 named 'a'"):
            make_table(kind, tmp_path, table, y=None)

    def test_a_column_may_be_used_once(self, kind, tmp_path):
        for settings in ({"x": ["a", "a"], "y": "b"}, {"x": "a", "y": None, "weight": "a"}):
            with pytest.raises(
                ValueError, match=r"must be named once in x, y and weight; got \['a'"
            ):
                make_table(kind, tmp_path, TABLE, **settings)

    def test_inputs_must_be_left(self, kind, tmp_path):
        table = pa.table({"a": [1], "b": [2]})
        with pytest.raises(ValueError, match="x must have at least one column"):
            make_table(kind, tmp_path, table, y=["a", "b"])

    def test_a_null_is_named_with_column_and_row(self, kind, tmp_path):
        columns = {"a": range(120), "b": [*range(110), None, *range(9)]}
        with pytest.raises(ValueError, match=rf"'b' of .*0\.{kind}, row 110, must have a value"):
            read_x(kind, tmp_path, columns, [3, 110], chunk_rows=8)

    def test_what_is_not_finite_is_refused_on_request(self, kind, tmp_path):
        columns = {"a": [0.5] * 80, "b": [0.5] * 70 + [np.inf] + [0.5] * 9}
        table = pa.table(columns)
        assert make_table(kind, tmp_path, table, y=None).read(np.array([70])).x[0, 1] == np.inf
        source = make_table(kind, tmp_path, table, y=None, check_finite=True)
        with pytest.raises(
            ValueError, match=rf"'b' of .*0\.{kind}, row 70, must be finite; got inf"
        ):
            source.read(np.array([70]))

    def test_weights_below_zero_are_refused(self, kind, tmp_path):
        table = pa.table({"a": [1, 2], "w": [1.0, -1.0]})
        source = make_table(kind, tmp_path, table, y=None, weight="w")
        with pytest.raises(ValueError, match=r"'w' of .*, row 1, must be finite and at least 0"):
            source.read(np.array([1]))

    def test_integers_that_do_not_fit_are_named(self, kind, tmp_path):
        with pytest.raises(ValueError, match=r"'a' of .*, row 1, must fit into int32; got 10995"):
            read_x(kind, tmp_path, {"a": [1, 2**40]}, [1])

    def test_a_table_without_rows_is_refused(self, kind, tmp_path):
        schema = pa.schema([("a", pa.float32())])
        with pytest.raises(ValueError, match=rf"with rows; got none in .*0\.{kind}"):
            make_table(kind, tmp_path, schema.empty_table(), y=None)

    def test_an_empty_file_is_refused(self, kind, tmp_path):
        path = tmp_path / "empty"
        path.touch()
        with pytest.raises(ValueError, match=r"paths must have rows, but .*empty is empty"):
            KINDS[kind][1](path, y=None)

    def test_a_file_of_another_format_is_named(self, kind, tmp_path):
        path = tmp_path / "other"
        path.write_bytes(b"a,b\n1,2,3\n")
        with pytest.raises(ValueError, match=r"other (cannot be read: |must be an Arrow file)"):
            KINDS[kind][1](path, y=None)

    @pytest.mark.bad_input
    def test_bad_settings_are_refused(self, kind, tmp_path):
        for settings, error, message in (
            ({"check_finite": 1}, TypeError, "check_finite must be True or False; got 1"),
            ({"chunk_rows": 0}, ValueError, "chunk_rows must be an int of at least 1; got 0"),
            ({"chunk_rows": True}, TypeError, "chunk_rows must be an int of at least 1; got"),
            ({"x": ["a", 3]}, TypeError, r"x must be a column's name, or .*; got \['a', 3\]"),
            ({"weight": ["a"]}, TypeError, r"weight must be a column's name; got \['a'\]"),
        ):
            with pytest.raises(error, match=message):
                make_table(kind, tmp_path, TABLE, y=None, **settings)


@BINARY
class TestFiles:
    def test_files_that_differ_are_named(self, kind, tmp_path):
        write, open_source = KINDS[kind]
        one = pa.table({"a": [1], "b": [2]})
        others = {
            "type": (
                one.set_column(1, "b", [[0.5]]),
                TypeError,
                "'b' .* is int64 in .* and double",
            ),
            "less": (one.select(["a"]), ValueError, r"one.* and .*less.* differ in \['b'\]"),
        }
        write(one, tmp_path / "one")
        for name, (table, error, message) in others.items():
            write(table, tmp_path / name)
            with pytest.raises(error, match=message):
                open_source([tmp_path / "one", tmp_path / name], y=None)

    def test_files_without_rows_are_passed_over(self, kind, tmp_path):
        write, open_source = KINDS[kind]
        parts = [TABLE.slice(0, 0), TABLE.slice(0, 60), TABLE.slice(0, 0), TABLE.slice(60)]
        paths = [tmp_path / str(number) for number in range(4)]
        for part, path in zip(parts, paths, strict=True):
            write(part, path)
        source = open_source(paths, x=["a", "b", "c"], y=None)
        np.testing.assert_array_equal(source.read(np.arange(len(X))[::-1]).x, X[::-1])

    def test_a_file_that_changes_after_it_was_opened_is_refused(self, kind, tmp_path):
        source = make_table(kind, tmp_path, TABLE, y=None)
        path = tmp_path / f"0.{kind}"
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        for use in (lambda: source.read(np.arange(2)), source.fingerprint):
            with pytest.raises(ValueError, match=rf"0\.{kind} must not change while it is read"):
                use()

    def test_a_missing_package_is_named_with_its_extra(self, kind, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"pyarrow.*pip install 'jaxmlp\[parquet\]'"):
            KINDS[kind][1](tmp_path, y=None)


def test_small_row_groups_are_joined_and_large_ones_are_chunks(tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(TABLE, path, row_group_size=10)
    assert sources.parquet(path, y=None, chunk_rows=25).chunks.tolist() == [*range(0, 200, 30), 203]
    assert sources.parquet(path, y=None, chunk_rows=4).chunks.tolist() == [*range(0, 201, 10), 203]


def test_a_null_among_the_values_of_a_dictionary_is_named(tmp_path):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array([5, None]))
    with pytest.raises(ValueError, match=r"'a' of .*, row 1, must have a value; got null"):
        read_x("arrow", tmp_path, {"a": column}, [0, 1])


def test_batches_of_an_uncompressed_arrow_file_are_cut(tmp_path):
    cut = make_table("arrow", tmp_path, TABLE, y=None, chunk_rows=40).chunks
    assert cut.tolist() == [*range(0, 201, 40), 203]
    whole = make_table("compressed", tmp_path, TABLE, y=None, chunk_rows=40).chunks
    assert whole.tolist() == [0, 50, 100, 150, 200, 203]


def test_a_window_reads_each_row_group_once_and_no_other(tmp_path):
    source = make_table("parquet", tmp_path, TABLE, y=None)
    (layout,), read = source.layouts, []

    @contextlib.contextmanager
    def spy(path, names):
        with layout.open_groups(path, names) as read_group:
            yield lambda group: read.append(group) or read_group(group)

    source = dataclasses.replace(source, layouts=(layout._replace(open_groups=spy),))
    source.read(np.random.default_rng(0).permutation(np.r_[60:100, 150:200]))
    assert read == [1, 3]


def test_a_stream_of_batches_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "stream.arrow"
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pytest.raises(
        ValueError, match=r"stream\.arrow must be an Arrow file.*write it as a file"
    ):
        sources.arrow(path, y=None)


def test_a_corrupt_row_group_is_named_when_it_is_read(tmp_path):
    make_table("parquet", tmp_path, TABLE, y=None)
    path = tmp_path / "0.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"0\.parquet cannot be read"):
        sources.parquet(path, y=None).read(np.arange(5))
