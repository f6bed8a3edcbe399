"""Turns CSV files into a source of rows, by way of Arrow files that are removed with it."""

import codecs
import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..checks import require_path
from .files import File, Paths, find_files, fingerprint, unchanged
from .table_columns import Names, choose_columns, listed
from .table_readers import arrow_layout, find_tables, naming, require_pyarrow
from .table_rows import TableSource, open_tables

# Bytes of text that are parsed at once; pyarrow reads 32 such blocks ahead, and makes out a
# column's type from the first one.
_BLOCK_BYTES = 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class TextSource(TableSource):
    """Rows of CSV files; see `csv`, whose settings these are.

    A copy is the source itself, which cannot change; one that is unpickled, perhaps in another
    process, reads the text again.
    """

    texts: tuple[File, ...] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)
    folder: "_Folder" = field(repr=False)
    known_fingerprint: str = field(repr=False)

    def fingerprint(self) -> str:
        """Returns a text that changes when the data change; see `csv`."""
        return self.known_fingerprint

    def __copy__(self) -> "TextSource":
        return self

    def __deepcopy__(self, memo: Any) -> "TextSource":
        return self

    def __reduce__(self) -> Any:
        return _read_again, (self.texts, self.settings)


def csv(
    paths: Paths,
    *,
    x: Names | None = None,
    y: Names | None,
    weight: str | None = None,
    column_types: Mapping[str, str] | None = None,
    delimiter: str = ",",
    decimal_point: str = ".",
    encoding: str = "utf-8",
    folder: str | Path | None = None,
    chunk_rows: int | None = None,
    check_finite: bool = False,
) -> TextSource:
    """Makes a source of columns in CSV files with a header line.

    Rows of text cannot be found by number, and numbers are slow to read from it. So each file is
    read once, in some 64 MiB of memory, into a temporary Arrow file of the columns that are used:
    private to this user, and removed when the source and its copies are dropped or the interpreter
    exits. Later changes of the CSV files are not seen, but by a source that is unpickled, which
    reads them again and refuses changed ones. Fields in quotes may hold delimiters and line breaks.
    Empty fields, and those that say NA or nan, are missing values, which are refused.

    Args:
        paths: A file, a folder, a pattern, or several of these, as in `parquet`. Names that end
            with .gz, .bz2 and the like are decompressed.
        x: Columns that make the inputs, as in `parquet`.
        y: Columns that make the targets, likewise; `None` for none.
        weight: Column of the rows' weights, finite and at least 0; `None` means 1.
        column_types: Type of a column by name, such as "float64", in the words of pyarrow; others
            are made out from the first MiB of a file, and a later value that is none is an error.
        delimiter: Character between fields.
        decimal_point: Character before the decimals of a number.
        encoding: Encoding of the text, in the words of Python.
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
        ValueError: As in `parquet`; or rows differ in their number of fields, a value is missing or
            none of its column's type, text is not of the encoding, or there is no such type or
            encoding.
    """
    require_pyarrow()
    settings = {"x": x, "y": y, "weight": weight, "column_types": column_types, "folder": folder}
    settings |= {"delimiter": delimiter, "decimal_point": decimal_point, "encoding": encoding}
    settings |= {"chunk_rows": chunk_rows, "check_finite": check_finite}
    texts = find_tables(paths, "csv")
    form = _form(delimiter, decimal_point, encoding)
    types = _types({} if column_types is None else column_types)
    if folder is not None:
        require_path("folder", folder)
    if folder is not None and not Path(folder).is_dir():
        raise FileNotFoundError(f"folder must be a directory that is there; got {str(folder)!r}.")
    place = _Folder(tempfile.mkdtemp(prefix="jaxmlp-csv-", dir=folder))
    try:
        for number, text in enumerate(texts):
            _convert(text, place.path / f"{number}.arrow", form, types, x=x, y=y, weight=weight)
        source = open_tables(
            find_files("paths", [place.path / f"{number}.arrow" for number in range(len(texts))]),
            arrow_layout,
            x=x,
            y=y,
            weight=weight,
            chunk_rows=chunk_rows,
            check_finite=check_finite,
            titles=tuple(str(text.path) for text in texts),
        )
        read_as = sorted((name, str(kind)) for name, kind in types.items())
        known_fingerprint = fingerprint(texts, (x, y, weight, read_as, form))
    except BaseException:
        place.remove()
        raise
    return TextSource(
        **vars(source),
        texts=texts,
        settings=settings,
        folder=place,
        known_fingerprint=known_fingerprint,
    )


class _Folder:
    """A folder that is removed when nothing needs it any more, but not by a forked process."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


def _read_again(texts: tuple[File, ...], settings: dict[str, Any]) -> TextSource:
    with contextlib.ExitStack() as stack:
        return csv([stack.enter_context(unchanged(text)) for text in texts], **settings)


def _form(delimiter: str, decimal_point: str, encoding: str) -> tuple[str, str, str]:
    """Checks how the text is written."""
    for name, sign in (("delimiter", delimiter), ("decimal_point", decimal_point)):
        if not isinstance(sign, str):
            raise TypeError(f"{name} must be a character; got {sign!r}.")
        if len(sign) != 1 or not sign.isascii() or sign in '"\r\n':
            raise ValueError(
                f"{name} must be one character of ASCII, no quote or line break; got {sign!r}."
            )
    if delimiter == decimal_point:
        raise ValueError(f"delimiter and decimal_point must differ; got {delimiter!r} for both.")
    if not isinstance(encoding, str):
        raise TypeError(f"encoding must be the name of one, such as 'latin-1'; got {encoding!r}.")
    try:
        return delimiter, decimal_point, codecs.lookup(encoding).name
    except LookupError as error:
        raise ValueError(
            f"encoding must be one that Python knows, such as 'latin-1'; got {encoding!r}."
        ) from error


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
    text: File,
    to: Path,
    form: tuple[str, str, str],
    types: dict[str, Any],
    *,
    x: Names | None,
    y: Names | None,
    weight: str | None,
) -> None:
    """Writes the columns that are used to an Arrow file, in memory for a few blocks of text."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    delimiter, decimal_point, encoding = form
    # One thread, so that errors name the row.
    read = pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False, encoding=encoding)
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    title, present = str(text.path), []
    try:
        with unchanged(text) as path, naming(title):
            with pa_csv.open_csv(path, read_options=read, parse_options=parse) as reader:
                present = reader.schema.names
            chosen = choose_columns(present, title, x=x, y=y, weight=weight)
            unknown = set(types) - set(present)
            if unknown:
                raise ValueError(
                    f"column_types must name columns; {title} has no {sorted(unknown)}."
                )
            convert = pa_csv.ConvertOptions(
                include_columns=[name for part in chosen.values() for name in listed(part)],
                column_types=types,
                decimal_point=decimal_point,
            )
            with (
                pa_csv.open_csv(path, read, parse, convert) as reader,
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
        if len(present) == 1 or "Expected 1 columns" in str(error):
            error.add_note("Lines have one field; is another delimiter meant, as in delimiter=';'?")
        if isinstance(error.__cause__, UnicodeError) or "UTF8" in str(error):
            error.add_note("Name the encoding of the text, as in encoding='latin-1'.")
        raise
