"""Turns CSV files into a source of rows, by way of Arrow files that are removed with it."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checks import require_path
from .columns import Names, choose_columns, listed
from .files import File, Paths, find_files, fingerprint, unchanged
from .table_readers import arrow_layout, naming, require_pyarrow
from .table_rows import TableSource, open_tables

# Bytes of text that are parsed at once; pyarrow reads 32 such blocks ahead, and makes out a
# column's type from the first one.
_BLOCK_BYTES = 2**20


def csv(
    paths: Paths,
    *,
    x: Names | None = None,
    y: Names | None,
    weight: str | None = None,
    column_types: Mapping[str, str] | None = None,
    folder: str | Path | None = None,
    chunk_rows: int | None = None,
    check_finite: bool = False,
) -> TableSource:
    """Makes a source of columns in CSV files with a header line.

    Rows of text cannot be found by number, and numbers are slow to read from it. So each file is
    read once, in some 64 MiB of memory, into a temporary Arrow file of the columns that are used:
    private to this user, and removed when the source is dropped or the interpreter exits. Later
    changes of the CSV files are not seen. Empty fields, and those that say NA or nan, are missing
    values, which are refused when they are read.

    Args:
        paths: A file, or several with the same columns, whose rows follow each other.
        x: Columns that make the inputs, as in `parquet`.
        y: Columns that make the targets, likewise; `None` for none.
        weight: Column of the rows' weights, finite and at least 0; `None` means 1.
        column_types: Type of a column by name, such as "float64", in the words of pyarrow; others
            are made out from the first MiB of a file, and a later value that is none is an error.
        folder: Where the temporary files go; they take 8 bytes per number. `None` takes the
            system's place for temporary files.
        chunk_rows: Rows per chunk; `None` takes about 1 MiB of `x`.
        check_finite: Whether to refuse NaN and infinity in `x` and `y` as they are read.

    Returns:
        The source.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: There is no such file or folder.
        TypeError: As in `parquet`.
        ValueError: As in `parquet`; or rows differ in their number of fields, a value is none of
            its column's type, or pyarrow knows no such type.
    """
    require_pyarrow()
    files = find_files("paths", paths)
    types = _types({} if column_types is None else column_types)
    if folder is not None:
        require_path("folder", folder)
    if folder is not None and not Path(folder).is_dir():
        raise FileNotFoundError(f"folder must be a directory that is there; got {str(folder)!r}.")
    place = Path(tempfile.mkdtemp(prefix="jaxmlp-csv-", dir=folder))
    try:
        for number, file in enumerate(files):
            _convert(file, place / f"{number}.arrow", types, x=x, y=y, weight=weight)
        source = open_tables(
            find_files("paths", [place / f"{number}.arrow" for number in range(len(files))]),
            arrow_layout,
            x=x,
            y=y,
            weight=weight,
            chunk_rows=chunk_rows,
            check_finite=check_finite,
            titles=tuple(str(file.path) for file in files),
            known_fingerprint=fingerprint(files, (x, y, weight, sorted(types))),
        )
    except BaseException:
        shutil.rmtree(place)
        raise
    weakref.finalize(source, shutil.rmtree, place, ignore_errors=True)
    return source


def _types(column_types: Mapping[str, str]) -> dict[str, Any]:
    import pyarrow as pa

    if not isinstance(column_types, Mapping):
        raise TypeError(
            "column_types must be a dict from columns to types, such as {'a': 'float64'}; got "
            f"{column_types!r}."
        )
    types = {}
    for column, name in column_types.items():
        if not isinstance(name, str):
            raise TypeError(
                f"column_types must name types in the words of pyarrow, such as 'float64'; got "
                f"{name!r} for column {column!r}."
            )
        try:
            types[column] = pa.type_for_alias(name)
        except ValueError as error:
            raise ValueError(
                f"column_types must name types of pyarrow, such as 'float64'; got {name!r} for "
                f"column {column!r}."
            ) from error
    return types


def _convert(
    file: File,
    to: Path,
    types: dict[str, Any],
    *,
    x: Names | None,
    y: Names | None,
    weight: str | None,
) -> None:
    """Writes the columns that are used to an Arrow file, in memory for a few blocks of text."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    # One thread, so that errors name the row.
    read = pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
    title = str(file.path)
    with unchanged(file) as path:
        try:
            with naming(title):
                with pa_csv.open_csv(path, read_options=read) as reader:
                    present = reader.schema.names
                chosen = choose_columns(present, title, x=x, y=y, weight=weight)
                unknown = set(types) - set(present)
                if unknown:
                    raise ValueError(
                        f"column_types must name columns; {title} has no {sorted(unknown)}."
                    )
                names = [name for part in chosen.values() for name in listed(part)]
                options = pa_csv.ConvertOptions(include_columns=names, column_types=types)
                with (
                    pa_csv.open_csv(path, read_options=read, convert_options=options) as reader,
                    pa.OSFile(str(to), "wb") as sink,
                    pa.ipc.new_file(sink, reader.schema) as writer,
                ):
                    for batch in reader:
                        writer.write_batch(batch)
        except ValueError as error:
            if "conversion error" in str(error):
                error.add_note(
                    "The type was made out from the front of the file; name another one, as in "
                    "column_types={'a': 'float64'}."
                )
            raise
