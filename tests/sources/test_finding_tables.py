"""Tests of which files of tables are found, that many are one, and what they tell of nulls."""

import contextlib
import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from table_files import KINDS, TABLE, X, make_table

from jaxmlp import sources

EACH = pytest.mark.parametrize("kind", list(KINDS))


@EACH
class TestFinding:
    @pytest.fixture
    def folder(self, kind, tmp_path):
        folder = tmp_path / "data"
        folder.mkdir()
        make_table(kind, folder, TABLE, y=None, shards=3)
        return folder

    def read(self, kind, paths):
        source = KINDS[kind][1](paths, x=["a", "b", "c"], y=None)
        return source.read(np.arange(len(source))).x

    def test_a_folder_is_its_files_in_the_order_of_their_names(self, kind, folder):
        np.testing.assert_array_equal(self.read(kind, folder), X)

    def test_files_in_folders_within_are_found(self, kind, folder):
        np.testing.assert_array_equal(self.read(kind, str(folder.parent)), X)

    def test_files_with_a_dot_or_an_underscore_are_left_out(self, kind, folder):
        for name in ("_SUCCESS", ".hidden"):
            (folder / name).write_text("no table")
        np.testing.assert_array_equal(self.read(kind, folder), X)

    def test_a_pattern_is_the_files_like_it(self, kind, folder):
        (folder / "README").write_text("no table")
        np.testing.assert_array_equal(self.read(kind, folder / f"*.{kind}"), X)
        np.testing.assert_array_equal(
            self.read(kind, folder.parent / "**" / f"[01].{kind}"), X[:136]
        )

    def test_several_of_them_follow_each_other(self, kind, folder):
        paths = [folder / f"2.{kind}", folder / f"[01].{kind}"]
        np.testing.assert_array_equal(self.read(kind, paths), np.concatenate([X[136:], X[:136]]))

    def test_a_file_whose_name_looks_like_a_pattern_is_that_file(self, kind, folder):
        odd = folder / "[01]"
        (folder / f"1.{kind}").rename(odd)
        np.testing.assert_array_equal(self.read(kind, odd), X[68:136])

    def test_a_folder_or_pattern_without_files_is_named(self, kind, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileNotFoundError, match=r"must name files; there is none in .*empty"):
            self.read(kind, tmp_path / "empty")
        with pytest.raises(
            FileNotFoundError, match=r"must name files; there is none like .*\*\.no"
        ):
            self.read(kind, tmp_path / "*.no")
        with pytest.raises(FileNotFoundError, match=r"there is no file .*gone"):
            self.read(kind, tmp_path / "gone")

    def test_a_file_of_a_folder_that_is_no_table_is_named(self, kind, folder):
        (folder / "README").write_text('a,b,c\n1,2\n"')
        with pytest.raises(ValueError, match=r"README (cannot be read|must be an Arrow file)"):
            self.read(kind, folder)


@EACH
class TestOneTable:
    def test_columns_of_further_files_may_come_in_another_order(self, kind, tmp_path):
        write, open_source = KINDS[kind]
        write(TABLE.slice(0, 100), tmp_path / "0")
        write(TABLE.slice(100).select(["c", "weight", "b", "target", "a"]), tmp_path / "1")
        source = open_source([tmp_path / "0", tmp_path / "1"], y="target", weight="weight")
        np.testing.assert_array_equal(source.read(np.arange(len(X))).x, X)


def with_null(row, rows=203):
    values = np.arange(rows) / 7
    return pa.table({"a": values, "b": pa.array(values, mask=np.arange(rows) == row)})


class TestNulls:
    @pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
    @pytest.mark.parametrize("name", ["x", "y", "weight"])
    def test_they_are_told_when_the_source_is_made(self, kind, name, tmp_path):
        named = {"x": ["a"], "y": None} | ({"x": ["b"]} if name == "x" else {name: "b"})
        message = rf"column 'b' of .*2\.{kind}, row 34, must have a value; got null"
        with pytest.raises(ValueError, match=message):
            make_table(kind, tmp_path, with_null(170), shards=3, **named)

    @pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
    def test_a_column_that_is_not_used_may_have_them(self, kind, tmp_path):
        source = make_table(kind, tmp_path, with_null(170), x=["a"], y=None)
        assert len(source) == 203

    def test_files_without_statistics_are_refused_when_they_are_read(self, tmp_path):
        path = tmp_path / "a.parquet"
        table = with_null(170).set_column(1, "b", [[*range(170), None, *range(32)]])
        pa.parquet.write_table(table, path, row_group_size=50, write_statistics=False)
        source = sources.parquet(path, x="b", y=None)
        source.read(np.arange(100))
        with pytest.raises(ValueError, match=r"'b' of .*, row 170, must have a value; got null"):
            source.read(np.array([160, 175]))

    def test_telling_reads_no_row_group_but_that_of_the_null(self, tmp_path, monkeypatch):
        read = []
        path = tmp_path / "a.parquet"
        pa.parquet.write_table(with_null(170), path, row_group_size=50)
        import jaxmlp.sources.table_readers as readers

        original = readers.parquet_layout

        def spy(place):
            layout = original(place)

            @contextlib.contextmanager
            def opened(path, names):
                with layout.open_groups(path, names) as read_group:
                    yield lambda group: read.append((group, names)) or read_group(group)

            return layout._replace(open_groups=opened)

        monkeypatch.setattr("jaxmlp.sources.tables.parquet_layout", spy)
        with pytest.raises(ValueError, match="row 170"):
            sources.parquet(path, y=None)
        # The first for the lengths of lists.
        assert read == [(0, ["a", "b"]), (3, ["b"])]


def test_a_row_group_is_one_array_however_long(tmp_path):
    """What pyarrow cuts into batches comes as one, which is taken without a copy."""
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"a": np.arange(300_000) % 7}), path, row_group_size=300_000)
    source = sources.parquet(path, x="a", y=None)
    (layout,) = source.layouts
    with layout.open_groups(path, ["a"]) as read_group:
        assert read_group(0).column("a").num_chunks == 1
    assert dataclasses.replace(source).read(np.array([299_999])).x == 299_999 % 7
