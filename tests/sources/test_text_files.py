"""Tests of CSV files as a source: their types, their temporary files, and what is refused."""

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from table_files import TABLE, X, make_table, write_csv

from jaxmlp.sources import csv


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_its_temporary_files_are_private_and_go_with_the_source(tmp_path, folder):
    source = make_table("csv", tmp_path, TABLE, y=None, shards=2)
    (place,) = folder.iterdir()
    assert place.stat().st_mode & 0o777 == 0o700
    source.read(np.arange(3))
    del source
    gc.collect()
    assert list(folder.iterdir()) == []


def test_they_go_to_the_folder_named(tmp_path, folder):
    other = tmp_path / "other"
    other.mkdir()
    write_csv(TABLE, tmp_path / "a.csv")
    source = csv(tmp_path / "a.csv", y=None, folder=other)
    assert (len(list(other.iterdir())), list(folder.iterdir())) == (1, [])
    assert len(source) == len(TABLE)


def test_they_go_when_the_interpreter_exits(tmp_path):
    write_csv(TABLE, tmp_path / "a.csv")
    script = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[2]; from jaxmlp.sources import csv; "
        "source = csv(sys.argv[1], y=None); import os; print(os.listdir(sys.argv[2]))"
    )
    folder = tmp_path / "temporary"
    folder.mkdir()
    command = [sys.executable, "-c", script, tmp_path / "a.csv", folder]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "jaxmlp-csv-" in run.stdout
    assert list(folder.iterdir()) == []


def test_they_go_when_the_file_is_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="cannot be read"):
        csv(write(tmp_path / "a.csv", "a,b", "1,2", "1,2,3"), y=None)
    assert list(folder.iterdir()) == []


def test_later_changes_of_the_text_are_not_seen(tmp_path):
    source = make_table("csv", tmp_path, TABLE, x=["a", "b", "c"], y=None)
    fingerprint = source.fingerprint()
    os.truncate(tmp_path / "0.csv", 10)
    np.testing.assert_array_equal(source.read(np.arange(9)).x, X[:9])
    assert source.fingerprint() == fingerprint


def test_a_ragged_row_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "a,b", "1,2", "1,2,3")
    with pytest.raises(
        ValueError, match=r"a\.csv cannot be read: .* Row #3: Expected 2 columns, g"
    ):
        csv(path, y=None)


def test_quoted_fields_may_hold_line_breaks(tmp_path):
    path = write(tmp_path / "a.csv", "note,a", '"one\ntwo, three",1', "x,2")
    assert csv(path, x="a", y=None).read(np.array([1, 0])).x.tolist() == [2, 1]


def test_a_missing_value_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "a,b", "1,2", "1,", "NA,3")
    with pytest.raises(
        ValueError, match=r"column 'a' of .*a\.csv, row 2, must have a value; got n"
    ):
        csv(path, y=None)


# Longer than what types are made out from.
MANY = ["1,1"] * 300_000


def test_a_type_that_changes_later_is_an_error_with_its_remedy(tmp_path):
    path = write(tmp_path / "a.csv", "a,b", *MANY, "1.5,1")
    with pytest.raises(ValueError, match=r"a\.csv cannot be read: .*conversion error to int") as e:
        csv(path, y=None)
    assert "column_types={'a': 'float64'}" in e.value.__notes__[0]
    x = csv(path, y=None, column_types={"a": "float32"}).read(np.array([300_000, 0])).x
    assert x.tolist() == [[1.5, 1], [1, 1]]


def test_columns_that_are_not_used_may_hold_anything(tmp_path):
    path = write(tmp_path / "a.csv", "a,b", *MANY, "1,red")
    assert len(csv(path, x="a", y=None)) == 300_001


def test_column_types_must_be_known(tmp_path):
    path = write(tmp_path / "a.csv", "a,b", "1,2")
    with pytest.raises(
        ValueError, match=r"column_types must name columns; .*a\.csv has no \['c'\]"
    ):
        csv(path, y=None, column_types={"c": "float32"})
    with pytest.raises(
        ValueError, match=r"column_types must name types of pyarrow.* got 'real' for"
    ):
        csv(path, y=None, column_types={"a": "real"})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"column_types": {"a": float}},
            TypeError,
            "types in the words of pyarrow.* for column 'a",
        ),
        (
            {"column_types": ["a"]},
            TypeError,
            r"must be a dict from columns to types.*; got \['a'\]",
        ),
        ({"folder": "no/such"}, FileNotFoundError, "folder must be a directory .* got 'no/such'"),
    ],
)
def test_bad_settings_are_refused(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        csv(write(tmp_path / "a.csv", "a,b", "1,2"), y=None, **settings)


def test_several_files_are_named_in_errors(tmp_path):
    one = write(tmp_path / "one.csv", "a,b", "1,2")
    for name, lines, error, message in (
        ("less", ["a", "1"], ValueError, r"one\.csv and .*less\.csv differ in \['b'\]"),
        ("more", ["a,b,c", "1,2,3"], ValueError, r"one\.csv and .*more\.csv differ in \['c'\]"),
        (
            "type",
            ["a,b", "1,2.5"],
            TypeError,
            r"'b' .* is int64 in .*one\.csv and double in .*type",
        ),
    ):
        with pytest.raises(error, match=message):
            csv([one, write(tmp_path / f"{name}.csv", *lines)], y=None)


@pytest.mark.bad_input
def test_a_missing_pyarrow_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pyarrow.*pip install 'jaxmlp\[parquet\]'"):
        csv(Path("a.csv"), y=None)
