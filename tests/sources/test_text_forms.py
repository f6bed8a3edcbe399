"""Tests of how the text of CSV files may be written, and of copies of their sources."""

import copy
import dataclasses
import gc
import gzip
import os
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_files import make

from jaxmlp import DataLoader
from jaxmlp.sources import csv


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


class TestForms:
    @pytest.mark.parametrize("rows", [3, 200_000])
    def test_quoted_fields_may_hold_line_breaks_wherever_they_lie(self, rows, tmp_path):
        path = write(tmp_path / "a.csv", "a,note,y\n" + '1.5,"two\nlines, ""x""",0\n' * rows)
        source = csv(path, x=["a"], y="y")
        assert len(source) == rows
        assert source.read(np.array([rows - 1])).x.tolist() == [[1.5]]

    @given(
        notes=st.lists(st.text(st.sampled_from('a,;\n\r" é')), min_size=1, max_size=20),
        delimiter=st.sampled_from(",;\t| "),
    )
    @settings(max_examples=40, deadline=None)
    def test_what_pyarrow_writes_is_read(self, notes, delimiter, tmp_path_factory):
        path = tmp_path_factory.mktemp("csv") / "a.csv"
        numbers = np.arange(len(notes)) / 4
        options = pa.csv.WriteOptions(delimiter=delimiter, quoting_style="all_valid")
        pa.csv.write_csv(pa.table({"note": notes, "a": numbers}), path, options)
        types = {"a": "float32"}
        source = csv(path, x="a", y=None, delimiter=delimiter, column_types=types)
        np.testing.assert_array_equal(source.read(np.arange(len(notes))).x, numbers)

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252"])
    def test_text_of_any_encoding_is_read(self, encoding, tmp_path):
        path = write(tmp_path / "a.csv", "größe;y\n1,5;1\n-2,25;0\n", encoding)
        form = {"delimiter": ";", "decimal_point": ",", "encoding": encoding}
        source = csv(path, x=["größe"], y="y", **form)
        batch = source.read(np.arange(2))
        assert (batch.x.tolist(), batch.y.tolist()) == ([[1.5], [-2.25]], [1, 0])

    def test_compressed_text_is_read_by_its_name(self, tmp_path):
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n3,4\n"))
        source = csv(tmp_path / "a.csv.gz", y="b")
        assert source.read(np.arange(2)).x.tolist() == [[1], [3]]

    def test_another_delimiter_is_another_fingerprint(self, tmp_path):
        path = write(tmp_path / "a.csv", "a\n1\n2\n")
        assert csv(path, y=None).fingerprint() != csv(path, y=None, delimiter=";").fingerprint()

    def test_another_type_of_a_column_is_another_fingerprint(self, tmp_path):
        path = write(tmp_path / "a.csv", "a\n1\n2\n")
        one, other = (csv(path, y=None, column_types={"a": kind}) for kind in ("float64", "int64"))
        assert one.read(np.arange(2)).x.dtype != other.read(np.arange(2)).x.dtype
        assert one.fingerprint() != other.fingerprint()


class TestErrors:
    @pytest.mark.parametrize("header", ["a;b", "größe;b"])
    def test_another_delimiter_is_proposed(self, header, tmp_path):
        for text in (f"{header}\n1;2\n", f"{header}\n1,5;2\n"):
            with pytest.raises((TypeError, ValueError)) as e:
                csv(write(tmp_path / "a.csv", text), y="b")
            assert "is another delimiter meant, as in delimiter=';'" in e.value.__notes__[-1]

    @pytest.mark.parametrize("text", [b"a,b\xff\n1,2\n", b"a,b\n1,\xff\xfe\n"])
    def test_text_of_another_encoding_is_named(self, text, tmp_path):
        (tmp_path / "a.csv").write_bytes(text)
        with pytest.raises((TypeError, ValueError), match=r"a\.csv"):
            csv(tmp_path / "a.csv", y=None)

    def test_the_encoding_is_proposed(self, tmp_path):
        path = write(tmp_path / "a.csv", "größe,b\n1,2\n", "latin-1")
        with pytest.raises(ValueError, match=r"a\.csv cannot be read: .*codec can't decode") as e:
            csv(path, y=None)
        assert "as in encoding='latin-1'" in e.value.__notes__[0]

    @pytest.mark.parametrize(
        ("form", "error", "message"),
        [
            ({"delimiter": ";;"}, ValueError, "delimiter must be one character of ASCII.*got ';;'"),
            ({"delimiter": '"'}, ValueError, "delimiter must be one character of ASCII, no quote"),
            ({"delimiter": "·"}, ValueError, "delimiter must be one character of ASCII"),
            ({"decimal_point": ""}, ValueError, "decimal_point must be one character of ASCII"),
            ({"decimal_point": ","}, ValueError, "and decimal_point must differ; got ',' for both"),
            ({"encoding": "nope"}, ValueError, "encoding must be one that Python knows.*'nope'"),
        ],
    )
    def test_forms_that_cannot_be_are_refused(self, form, error, message, tmp_path):
        with pytest.raises(error, match=message):
            csv(write(tmp_path / "a.csv", "a,b\n1,2\n"), y=None, **form)

    @pytest.mark.bad_input
    @pytest.mark.parametrize("name", ["delimiter", "decimal_point", "encoding"])
    def test_forms_are_strings(self, name, tmp_path):
        with pytest.raises(TypeError, match=rf"{name} must be .*; got 3"):
            csv(write(tmp_path / "a.csv", "a,b\n1,2\n"), y=None, **{name: 3})


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "replace": dataclasses.replace,
    "pickle": lambda source: pickle.loads(pickle.dumps(source)),
}
KINDS = pytest.mark.parametrize("kind", ["npy", "parquet", "arrow", "compressed", "csv"])


@KINDS
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_reads_on_when_the_original_is_dropped(kind, how, tmp_path):
    source = make(kind, tmp_path, shards=2)
    expected, fingerprint = source.read(np.arange(203)), source.fingerprint()
    copied = COPIES[how](source)
    del source
    gc.collect()
    for got, array in zip(copied.read(np.arange(203)), expected, strict=True):
        np.testing.assert_array_equal(got, array)
    assert copied.fingerprint() == fingerprint


@KINDS
def test_a_copy_reads_on_in_another_folder(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = make(kind, type(tmp_path)())
    monkeypatch.chdir("/")
    assert len(pickle.loads(pickle.dumps(source)).read(np.arange(9)).x) == 9


@KINDS
def test_a_pickle_outlives_the_source(kind, tmp_path):
    source = make(kind, tmp_path)
    pickled, expected = pickle.dumps(source), source.read(np.arange(9)).x
    del source
    gc.collect()
    np.testing.assert_array_equal(pickle.loads(pickled).read(np.arange(9)).x, expected)


def test_a_copied_loader_keeps_its_files(tmp_path):
    loader = DataLoader(make("csv", tmp_path), batch_size=50)
    first = next(iter(loader)).x
    copied = copy.deepcopy(loader)
    del loader
    gc.collect()
    np.testing.assert_array_equal(next(copied.epoch(0)).x, first)


@pytest.mark.parametrize("change", ["written", "removed"])
def test_a_pickle_of_text_that_changed_is_refused(change, tmp_path):
    source = make("csv", tmp_path)
    pickled, path = pickle.dumps(source), tmp_path / "0.csv"
    if change == "written":
        os.truncate(path, path.stat().st_size - 10)
    else:
        path.unlink()
    expected = "was removed after" if change == "removed" else "must not change while it is read"
    with pytest.raises(ValueError, match=rf"0\.csv {expected}"):
        pickle.loads(pickled)


def test_temporary_files_go_with_the_last_copy(tmp_path):
    source = make("csv", tmp_path)
    place = source.folder.path
    copied = dataclasses.replace(source)
    del source
    gc.collect()
    assert place.exists()
    del copied
    gc.collect()
    assert not place.exists()


def test_a_forked_process_does_not_remove_the_files(tmp_path):
    write(tmp_path / "a.csv", "a,b\n1,2\n")
    script = (
        "import os, sys; from jaxmlp.sources import csv; source = csv(sys.argv[1], y=None)\n"
        "child = os.fork()\n"
        "if child == 0: source.folder.remove(); os._exit(0)\n"
        "os.waitpid(child, 0); print(source.folder.path.exists())"
    )
    command = [sys.executable, "-c", script, tmp_path / "a.csv"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"
