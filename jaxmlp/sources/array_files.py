"""Turns `.npy` files and read-only memory maps into the place where their numbers lie."""

import math
import mmap
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .files import File, find_files, unchanged
from .values import stored_dtype

# More than NumPy takes.
_MOST_HEADER_BYTES = 2**14


class ArrayFile(NamedTuple):
    """Where an array lies in a file: its bytes from `offset` on."""

    file: File
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def open_array(name: str, file: File) -> ArrayFile:
    """Reads the header of a `.npy` file, and checks that the file holds what it says."""
    with unchanged(file) as path, path.open("rb") as stream:
        try:
            shape, column_order, dtype = _read_header(stream)
            offset = stream.tell()
        except OSError:
            raise
        except Exception as error:  # whatever NumPy says of a header that is none
            raise ValueError(f"{name} must be a .npy file; {path} is none: {error}.") from error
    stored_dtype(f"{name} in {path}", [dtype])
    if column_order and len(shape) > 1:
        raise ValueError(
            f"{name} must lie row by row; {path} is in column order. Save it as "
            "np.save(path, np.ascontiguousarray(array))."
        )
    return _require_whole(name, ArrayFile(file, offset, dtype, shape))


def _read_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    start, digits = stream.tell(), 2 if version == (1, 0) else 4
    # NumPy would read a header of any length into memory before it looks at it.
    length = int.from_bytes(stream.read(digits), "little")
    if length > _MOST_HEADER_BYTES:
        raise ValueError(f"its header would take {length} bytes")
    stream.seek(start)
    read = np.lib.format.read_array_header_2_0
    shape, column_order, dtype = (
        np.lib.format.read_array_header_1_0(stream) if version == (1, 0) else read(stream)
    )
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, column_order, dtype


def of_memmap(name: str, array: np.memmap) -> ArrayFile:
    """Finds the file of a whole memory map that cannot be written to."""
    if array.mode != "r":
        raise TypeError(
            f"{name} must be a memory map that cannot be written to, since changes would reach the "
            f"batches; got mode {array.mode!r}. Open it with mode='r', or mmap_mode='r' in np.load."
        )
    if not isinstance(array.base, mmap.mmap) or array.filename is None:
        raise ValueError(
            f"{name} must be a whole memory map of a file; got a part of one, of shape "
            f"{array.shape}. Give the whole one, or save the part to a file of its own."
        )
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must lie row by row; the map of {array.filename} does not.")
    (file,) = find_files(name, Path(array.filename))
    return _require_whole(name, ArrayFile(file, array.offset, array.dtype, array.shape))


def _require_whole(name: str, array: ArrayFile) -> ArrayFile:
    end = array.offset + math.prod(array.shape) * array.dtype.itemsize
    if array.file.size < end:
        raise ValueError(
            f"{name} is cut short: {array.file.path} has {array.file.size} bytes, and an array of "
            f"{array.dtype}{list(array.shape)} ends at {end}."
        )
    return array
