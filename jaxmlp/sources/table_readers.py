"""Turns paths of Parquet and Arrow files into tables, one group of rows at a time."""

import contextlib
import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from .files import File, Paths, find_files, list_paths

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pads

ReadGroup: TypeAlias = "Callable[[int], pa.Table]"

_FEW_COLUMNS = 4


class Facts(NamedTuple):
    """What a file tells of a column before its rows are read.

    The first group that has a null, if that is known; and the least and the largest number.
    """

    null_group: int | None = None
    low: float = np.nan
    high: float = np.nan


class Layout(NamedTuple):
    """What a file tells before its rows are read, and how to read them.

    `group_rows` are the rows of each group, `divisible` says whether a part of a group is read
    without the rest of it. `open_groups(path, column_names)` gives, while it is open, a function
    from a group's number to its table, and `tell(path, column_names, groups)` the facts of those
    columns of which it knows any; `None` tells nothing before rows are read.
    """

    schema: "pa.Schema"
    group_rows: np.ndarray
    divisible: bool
    open_groups: Callable[[Path, list[str]], contextlib.AbstractContextManager[ReadGroup]]
    tell: Callable[[Path, list[str], int], dict[str, Facts]] | None


def find_tables(paths: Paths, kind: str) -> tuple[File, ...]:
    """Looks up files of tables: each path a file, a folder of them, or a pattern such as "*.csv".

    Raises:
        FileNotFoundError: There is no such file, or none in the folder or like the pattern.
    """
    import pyarrow as pa
    import pyarrow.dataset as pads

    found: list[str] = []
    for path in map(str, list_paths("paths", paths)):
        is_pattern = any(sign in path for sign in "*?[") and not os.path.lexists(path)
        places = sorted(glob.glob(path, recursive=True)) if is_pattern else [path]
        for place in places:
            if os.path.isdir(place):
                inside = pads.dataset(place, format=kind, schema=pa.schema([])).files
                if not inside:
                    raise FileNotFoundError(f"paths must name files; there is none in {place}.")
                found += inside
            else:
                found.append(place)
        if not places:
            raise FileNotFoundError(f"paths must name files; there is none like {path}.")
    return find_files("paths", found)


def parquet_layout(path: Path) -> Layout:
    """Describes a Parquet file, of which the groups are row groups."""
    with _open_fragment(path) as fragment:
        rows = [group.num_rows for group in fragment.row_groups]
        schema = fragment.physical_schema
    return Layout(schema, np.array(rows, np.int64), False, _open_row_groups, _tell_parquet)


@contextlib.contextmanager
def _open_fragment(path: Path) -> Iterator["pads.ParquetFileFragment"]:
    import pyarrow as pa
    import pyarrow.dataset as pads

    # Otherwise a group lies in memory twice, as in the file and as numbers.
    options = pads.ParquetFragmentScanOptions(pre_buffer=False)
    file_format = pads.ParquetFileFormat(default_fragment_scan_options=options)
    # Given a path, pyarrow leaves the file open until the last of its threads lets go of it.
    with pa.OSFile(str(path)) as file:
        yield file_format.make_fragment(file)


def _tell_parquet(path: Path, names: list[str], groups: int) -> dict[str, Facts]:
    """Reads the statistics of the footer; those of lists do not tell nulls from empty lists."""
    with _open_fragment(path) as fragment:
        footer = fragment.metadata
    columns = [footer.schema.column(i) for i in range(footer.num_columns)]
    facts = {}
    for number, column in enumerate(columns):
        if column.path not in names:
            continue
        told = [footer.row_group(i).column(number).statistics for i in range(groups)]
        nulls = [i for i, s in enumerate(told) if s and s.has_null_count and s.null_count]
        facts[column.path] = Facts(min(nulls, default=None))
        if column.physical_type == "DOUBLE" and all(s and s.has_min_max for s in told):
            low, high = min(s.min for s in told), max(s.max for s in told)
            facts[column.path] = Facts(min(nulls, default=None), low, high)
    return facts


def arrow_layout(path: Path) -> Layout:
    """Describes an Arrow file, of which the groups are record batches."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as memory:
        try:
            file = pa.ipc.open_file(memory)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{path} must be an Arrow file, the IPC file format: {error}. A stream of record "
                "batches cannot be read by row number; write it as a file."
            ) from error
        schema, count = file.schema, file.num_record_batches
        mapped = count == 0 or _is_mapped(file.get_batch(0), memory)
        if not mapped:
            # A batch tells its rows only when it is read, so of one column that is soon read.
            cheap = [i for i, column in enumerate(schema) if pa.types.is_primitive(column.type)]
            options = pa.ipc.IpcReadOptions(included_fields=cheap[:1])
            file = pa.ipc.open_file(memory, options=options)
        rows = np.array([file.get_batch(i).num_rows for i in range(count)], np.int64)
        if mapped:
            return Layout(schema, rows, True, _open_mapped, _tell_mapped)
        return Layout(schema, rows, False, _open_compressed, None)


def _is_mapped(batch: "pa.RecordBatch", memory: "pa.MemoryMappedFile") -> bool:
    """Says whether columns lie in the file as they are, neither compressed nor copied."""
    memory.seek(0)
    whole = memory.read_buffer()
    buffers = [buffer for column in batch.columns for buffer in column.buffers()]
    places = [buffer.address - whole.address for buffer in buffers if buffer is not None]
    return all(0 <= place < whole.size for place in places)


@contextlib.contextmanager
def _open_row_groups(path: Path, names: list[str]) -> Iterator[ReadGroup]:
    # Threads take columns each: of a few, they cost more time than they save.
    threads = len(names) > _FEW_COLUMNS
    with _open_fragment(path) as fragment:
        yield lambda group: fragment.subset(row_group_ids=[group]).to_table(
            columns=names, use_threads=threads, batch_size=2**30
        )


@contextlib.contextmanager
def _open_mapped(path: Path, names: list[str]) -> Iterator[ReadGroup]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as memory:
        file = pa.ipc.open_file(memory)
        yield lambda group: pa.Table.from_batches([file.get_batch(group)]).select(names)


def _tell_mapped(path: Path, names: list[str], groups: int) -> dict[str, Facts]:
    nulls: dict[str, int] = {}
    with _open_mapped(path, names) as read_group:
        for group in range(groups):
            for name, column in zip(names, read_group(group).columns, strict=True):
                if column.null_count:
                    nulls.setdefault(name, group)
    return {name: Facts(group) for name, group in nulls.items()}


@contextlib.contextmanager
def _open_compressed(path: Path, names: list[str]) -> Iterator[ReadGroup]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as memory:
        schema = pa.ipc.open_file(memory).schema
        fields = [schema.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        file = pa.ipc.open_file(memory, options=options)
        yield lambda group: pa.Table.from_batches([file.get_batch(group)])


@contextlib.contextmanager
def naming(title: str) -> Iterator[None]:
    """Adds the file's name to errors of pyarrow, which often leaves it out."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ValueError(f"{title} cannot be read: {error}") from error


def require_pyarrow() -> None:
    """Names the extra to install where pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Tables are read by pyarrow, which is not installed; pip install 'jaxmlp[parquet]'."
        ) from error
