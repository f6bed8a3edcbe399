"""Turns Parquet and Arrow files into tables, one group of rows at a time."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

ReadGroup: TypeAlias = "Callable[[int], pa.Table]"

_FEW_COLUMNS = 4


class Layout(NamedTuple):
    """What a file tells before its rows are read, and how to read them.

    `group_rows` are the rows of each group, `divisible` says whether a part of a group is read
    without the rest of it, and `open_groups(path, column_names)` gives, while it is open, a
    function from a group's number to its table.
    """

    schema: "pa.Schema"
    group_rows: np.ndarray
    divisible: bool
    open_groups: Callable[[Path, list[str]], contextlib.AbstractContextManager[ReadGroup]]


def parquet_layout(path: Path) -> Layout:
    """Describes a Parquet file, of which the groups are row groups."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        return Layout(file.schema_arrow, np.array(rows, np.int64), False, _open_row_groups)


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
        return Layout(schema, rows, mapped, _open_mapped if mapped else _open_compressed)


def _is_mapped(batch: "pa.RecordBatch", memory: "pa.MemoryMappedFile") -> bool:
    """Says whether columns lie in the file as they are, neither compressed nor copied."""
    memory.seek(0)
    whole = memory.read_buffer()
    buffers = [buffer for column in batch.columns for buffer in column.buffers()]
    places = [buffer.address - whole.address for buffer in buffers if buffer is not None]
    return all(0 <= place < whole.size for place in places)


@contextlib.contextmanager
def _open_row_groups(path: Path, names: list[str]) -> Iterator[ReadGroup]:
    import pyarrow.parquet as pq

    # Threads take columns each: of a few, they cost more time than they save.
    threads = len(names) > _FEW_COLUMNS
    with pq.ParquetFile(path) as file:
        yield lambda group: file.read_row_group(group, columns=names, use_threads=threads)


@contextlib.contextmanager
def _open_mapped(path: Path, names: list[str]) -> Iterator[ReadGroup]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as memory:
        file = pa.ipc.open_file(memory)
        yield lambda group: pa.Table.from_batches([file.get_batch(group)]).select(names)


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
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{title} cannot be read: {error}") from error


def require_pyarrow() -> None:
    """Names the extra to install where pyarrow is missing."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Tables are read by pyarrow, which is not installed; pip install 'jaxmlp[parquet]'."
        ) from error
