"""Turns `.npy` files and read-only memory maps into a source of rows."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int

from ..checks import require_bool
from ..network import Batch
from .array_files import ArrayFile, of_memmap, open_array
from .files import (
    Paths,
    as_index,
    chunk_starts,
    find_files,
    fingerprint,
    is_run,
    pieces,
    unchanged,
)
from .ingestion import is_mapped, require_rows
from .resolution import is_narrowed, require_resolved, sampled_rows
from .values import convert, require_chunk_rows, require_finite, require_weights, stored_dtype


def npy(
    x: Paths | np.memmap,
    y: Paths | np.memmap | None = None,
    weight: Paths | np.memmap | None = None,
    *,
    chunk_rows: int | None = None,
    check_finite: bool = False,
) -> "ArraySource":
    """Makes a source of arrays that lie in files and need not fit into memory.

    Files are read, not mapped: what is read counts once, and a file that is cut short meanwhile is
    an error and not the end of the process. No file stays open. 64-bit numbers become 32-bit ones
    unless JAX's 64-bit types are on; all others keep their type.

    The fingerprint holds sizes, times of change, types, shapes, and samples of the content, but not
    paths: a copy that keeps its time, as `cp -p` makes, is the same data. A change is noticed by
    size and time of change, so not within the same tick of the file system's clock.

    Args:
        x: Inputs, shape (rows, ...): a `.npy` file, several whose rows follow each other, or a
            whole memory map of mode "r", as `np.load(path, mmap_mode="r")` makes.
        y: Targets, likewise, one per row, or `None`.
        weight: Weight of each row, finite and at least 0, shape (rows,), likewise; `None` means 1.
        chunk_rows: Rows per chunk, at least 1; `None` takes about 1 MiB of `x`.
        check_finite: Whether to refuse NaN and infinity in `x` and `y` as they are read.

    Returns:
        The source, with chunks that do not cross files of `x`.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: A file holds objects, strings, structures or complex numbers, or files differ in
            type; a memory map can be written to; a setting has the wrong type.
        ValueError: A file is no `.npy` file, is cut short, empty or in column order; shapes or
            numbers of rows differ; numbers run together in 32 bits, by a sample of rows; while
            reading, a file has changed, or holds a value that is not allowed.

    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/x.npy"
        >>> np.save(path, np.arange(6, dtype=np.uint8).reshape(3, 2))
        >>> npy(path).read(np.array([2, 0])).x
        array([[4, 5],
               [0, 1]], dtype=uint8)
    """
    require_bool("check_finite", check_finite)
    columns = {"x": x, "y": y, "weight": weight}
    stacks = {n: _stack(n, v) for n, v in columns.items() if v is not None or n == "x"}
    rows = len(stacks["x"])
    for name, stack in stacks.items():
        if len(stack) != rows:
            raise ValueError(
                f"x and {name} must have the same number of rows; got {rows} in "
                f"{stacks['x'].paths()} and {len(stack)} in {stack.paths()}."
            )
    if "weight" in stacks and stacks["weight"].row_shape:
        raise ValueError(
            f"weight must have shape (rows,); got rows of shape {stacks['weight'].row_shape} in "
            f"{stacks['weight'].paths()}."
        )
    # At most some 4 million chunks, whose starts are kept.
    default = max(1, 2**20 // stacks["x"].row_bytes, rows >> 22)
    chunk_rows = require_chunk_rows(chunk_rows, default)
    chunks = chunk_starts(np.append(stacks["x"].starts[1:], rows), chunk_rows)
    source = ArraySource(chunks=chunks, check_finite=check_finite, **stacks)
    for name in {"x", "y"} & set(stacks):
        _require_resolved(source, stacks[name])
    return source


@dataclass(frozen=True, kw_only=True, eq=False)
class _Stack:
    """Arrays in files, of which the rows follow each other, and the type that they are given."""

    name: str
    files: tuple[ArrayFile, ...] = field(repr=False)
    dtype: np.dtype[Any]
    starts: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return sum(file.shape[0] for file in self.files)

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.files[0].shape[1:]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row_shape) * self.files[0].dtype.itemsize

    def paths(self) -> str:
        return ", ".join(str(file.file.path) for file in self.files)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySource:
    """Rows of arrays that lie in files; see `npy`."""

    x: _Stack
    y: _Stack | None = None
    weight: _Stack | None = None
    chunks: Int[np.ndarray, " chunks_and_end"] = field(repr=False)
    check_finite: bool

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.x)

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows, each chunk of them at once, as `Source` says."""
        x, y, weight = (
            None if stack is None else np.empty((len(rows), *stack.row_shape), stack.dtype)
            for stack in (self.x, self.y, self.weight)
        )
        return self.read_into(rows, Batch(x, y, weight))

    def read_into(self, rows: Int[np.ndarray, " n"], to: Batch) -> Batch:
        """Reads rows into arrays, as `RefillingSource` says."""
        require_rows(rows, len(self))
        x, y, weight = (
            None if stack is None else self._read_stack(stack, rows, out)
            for stack, out in zip((self.x, self.y, self.weight), to, strict=True)
        )
        return Batch(x, y, weight)

    def fingerprint(self) -> str:
        """Returns a text that changes when the data change; see `npy`."""
        stacks = [stack for stack in (self.x, self.y, self.weight) if stack is not None]
        files = [file for stack in stacks for file in stack.files]
        layout = [(s.name, str(s.dtype), s.row_shape, s.starts.tolist()) for s in stacks]
        places = [(file.offset, file.shape, str(file.dtype)) for file in files]
        return fingerprint([file.file for file in files], (layout, places))

    def _read_stack(self, stack: _Stack, rows: np.ndarray, out: Any) -> np.ndarray:
        for in_file in pieces(rows, stack.starts):
            array = stack.files[in_file.part]
            start = int(stack.starts[in_file.part])
            with unchanged(array.file) as path, path.open("rb") as stream:
                for piece in pieces(in_file.rows, self.chunks):
                    low, high = piece.span
                    places = as_index(in_file.places[piece.places])
                    values = np.empty((high - low, *stack.row_shape), array.dtype)
                    if (
                        array.dtype == out.dtype
                        and isinstance(places, slice)
                        and is_run(piece.rows)
                    ):
                        values = out[places]
                    _read_into(values, stream, array, low - start)

                    def where(index: tuple[int, ...], low: int = low - start) -> str:
                        inner = f", index {index[1:]}" if index[1:] else ""
                        return f"{stack.name} in {path}, row {low + index[0]}{inner}"

                    if stack.name == "weight":
                        require_weights(values, where)
                    values = convert(values, out.dtype, where)
                    if stack.name != "weight" and self.check_finite:
                        require_finite(values, where)
                    if values.base is not out:
                        out[places] = piece.take(values)
        return out


def _require_resolved(source: ArraySource, stack: _Stack) -> None:
    """Refuses numbers that run together in 32 bits, by a sample of rows."""
    if is_narrowed(stack.files[0].dtype, stack.dtype):
        wide = replace(stack, dtype=np.dtype(np.float64))
        sample = replace(source, x=wide, y=None, weight=None, check_finite=False)
        values = sample.read(sampled_rows(source.chunks)).x
        require_resolved(f"{stack.name} in {stack.paths()}", values, stack.dtype)


def _read_into(values: np.ndarray, stream: BinaryIO, array: ArrayFile, low: int) -> None:
    stream.seek(array.offset + low * (values.nbytes // len(values)))
    if stream.readinto(values.reshape(-1).view(np.uint8)) < values.nbytes:  # pyright: ignore[reportAttributeAccessIssue]  # a BufferedReader
        raise ValueError(f"{array.file.path} ends before row {low + len(values)}.")


def _stack(name: str, given: Any) -> _Stack:
    if is_mapped(given):
        files = (of_memmap(name, given),)
    elif isinstance(given, np.ndarray):
        raise TypeError(
            f"{name} must be a path, several, or a memory map of mode 'r'; got an array in memory, "
            f"{given.dtype}{list(given.shape)}. Give it to jaxmlp.DataLoader itself."
        )
    else:
        files = tuple(open_array(name, file) for file in find_files(name, given))
    dtype = stored_dtype(f"{name} in {files[0].file.path}", [files[0].dtype])
    if name == "weight":
        dtype = np.dtype(np.float32)
    for file in files:
        _require_alike(name, files[0], file)
    # A file without rows has no part of its own.
    files = tuple(file for file in files if file.shape[0])
    if not files:
        raise ValueError(f"{name} must have at least one row; got none in {given}.")
    ends = np.cumsum([file.shape[0] for file in files])
    return _Stack(name=name, files=files, dtype=dtype, starts=np.append(0, ends[:-1]))


def _require_alike(name: str, one: ArrayFile, file: ArrayFile) -> None:
    if not file.shape or 0 in file.shape[1:]:
        raise ValueError(
            f"{name} must have one row per example, of at least one number; {file.file.path} has "
            f"shape {file.shape}."
        )
    if file.shape[1:] != one.shape[1:]:
        raise ValueError(
            f"{name} must have rows of one shape; {one.file.path} has shape {one.shape} and "
            f"{file.file.path} has {file.shape}."
        )
    if file.dtype != one.dtype:
        raise TypeError(
            f"{name} must be of one type; {one.file.path} holds {one.dtype} and "
            f"{file.file.path} holds {file.dtype}."
        )
