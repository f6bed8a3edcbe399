"""Turns Parquet and Arrow files into a source of rows."""

from .files import Paths
from .table_columns import Names
from .table_readers import arrow_layout, find_tables, parquet_layout, require_pyarrow
from .table_rows import TableSource, open_tables


def parquet(
    paths: Paths,
    *,
    x: Names | None = None,
    y: Names | None,
    weight: str | None = None,
    chunk_rows: int | None = None,
    check_finite: bool = False,
) -> TableSource:
    """Makes a source of columns in Parquet files, of which the row groups are read one by one.

    A chunk is a row group, which can only be read as a whole: write files with groups of about
    1 to 16 MiB, `row_group_size` in rows. Small groups are joined to chunks of `chunk_rows`.

    Several columns make a matrix of the smallest common type that JAX has: float64 becomes float32,
    and int64 int32, unless JAX's 64-bit types are on; beside floats, integers that such floats do
    not tell apart are refused, and so are columns of float64 whose numbers run together in them, by
    a sample of rows. A column of lists of one length, such as an image, gives shape
    (rows, length, ...). Dictionaries of numbers are numbers. Nulls are refused at once where the
    files' statistics tell of them, else as they are read. Several files are one table: all have the
    columns of the first, in any order, of the same types.

    The fingerprint holds sizes and times of change of the files and samples of their content, but
    not paths: a copy that keeps its time, as `cp -p` makes, is the same data.

    Args:
        paths: A file, a folder whose files are read in the order of their names, but for those with
            "." or "_" in front, a pattern such as "data/*.parquet", or several of these, whose rows
            follow each other.
        x: Columns that make the inputs, in this order: a name for one number or list per row,
            several for a matrix; `None` takes all but `y` and `weight`.
        y: Columns that make the targets, likewise; `None` for none.
        weight: Column of the rows' weights, finite and at least 0; `None` means 1.
        chunk_rows: Rows that a chunk has at least, where a file has so many; `None` takes about
            1 MiB of `x`.
        check_finite: Whether to refuse NaN and infinity in `x` and `y` as they are read.

    Returns:
        The source.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: There is no such file, or none in a folder or like a pattern.
        TypeError: A column does not hold numbers, or differs in type between files; a setting has
            the wrong type.
        ValueError: A file cannot be read as Parquet, or is empty; a column is missing or there
            twice, has nulls, or numbers that run together in 32 bits; while reading, a file has
            changed, or holds a value that is not allowed.
    """
    require_pyarrow()
    return open_tables(
        find_tables(paths, "parquet"),
        parquet_layout,
        x=x,
        y=y,
        weight=weight,
        chunk_rows=chunk_rows,
        check_finite=check_finite,
    )


def arrow(
    paths: Paths,
    *,
    x: Names | None = None,
    y: Names | None,
    weight: str | None = None,
    chunk_rows: int | None = None,
    check_finite: bool = False,
) -> TableSource:
    """Makes a source of columns in Arrow files, the IPC file format, also called Feather.

    Files are memory-mapped while they are read. Uncompressed, only the rows asked for are read; the
    record batches of a compressed file are row groups as in `parquet`, which tells the rest.

    Args:
        paths: A file, a folder, a pattern, or several of these, as in `parquet`.
        x: Columns that make the inputs, as in `parquet`.
        y: Columns that make the targets, likewise; `None` for none.
        weight: Column of the rows' weights, finite and at least 0; `None` means 1.
        chunk_rows: Rows per chunk; `None` takes about 1 MiB of `x`.
        check_finite: Whether to refuse NaN and infinity in `x` and `y` as they are read.

    Returns:
        The source.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: There is no such file, or none in a folder or like a pattern.
        TypeError: As in `parquet`.
        ValueError: As in `parquet`.
    """
    require_pyarrow()
    return open_tables(
        find_tables(paths, "ipc"),
        arrow_layout,
        x=x,
        y=y,
        weight=weight,
        chunk_rows=chunk_rows,
        check_finite=check_finite,
    )
