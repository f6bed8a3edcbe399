"""Turns named NumPy arrays into the bytes of one safetensors file, and back, trusting nothing."""

import contextlib
import hashlib
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from .headers import (
    MAX_HEADER,
    RESERVED,
    CheckpointError,
    Entry,
    TooLargeError,
    check_own_metadata,
    lay_out,
    parse_header,
    write_header,
)
from .regular_files import IrregularFileError, open_regular

_CHECKSUM = "0" * 64


class Contents(NamedTuple):
    """What a file holds: arrays by name, metadata by name, and whether checksums vouch for it."""

    arrays: dict[str, Any]
    metadata: dict[str, str]
    has_checksums: bool


# Is given what a file holds, with shapes in the place of arrays, before there is memory for them.
Check = Callable[[Contents], object]


def encode(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> list[memoryview]:
    """Returns the bytes of a file, in pieces, without copying the arrays.

    Args:
        arrays: Arrays by name, of booleans, integers or floats, 8 to 64 bits wide.
        metadata: Text by name.

    Raises:
        TypeError: An array has a type that the format lacks; metadata are not text.
        ValueError: A name is empty, too long, or has path separators or control characters; names
            and metadata together are too long.
    """
    entries = lay_out(arrays)
    pieces = [_bytes_of(np.asarray(arrays[one.name], one.dtype, order="C")) for one in entries]
    checksums = {
        one.name: hashlib.sha256(piece).hexdigest()
        for one, piece in zip(entries, pieces, strict=True)
    }
    return [memoryview(write_header(entries, checksums, metadata)), *pieces]


def require_storable(arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Raises what `encode` would, of arrays of which only shapes and types need be known."""
    write_header(lay_out(arrays), dict.fromkeys(arrays, _CHECKSUM), metadata)


def read(path: str | Path, *, check: Check | None = None) -> Contents:
    """Reads a file, ours or any safetensors file, after checking all that its header claims.

    Nothing is run, and no more is allocated than the file is long, beside its header. A link is
    followed, but nothing is opened that is no regular file.

    Args:
        path: The file.
        check: Raises unless the file is what is wanted, before the arrays are read.

    Returns:
        Fresh arrays, whatever happens to the file later.

    Raises:
        CheckpointError: It is not a whole and undamaged safetensors file, or its arrays do not fit
            into the memory.
        OSError: It cannot be opened or read.
    """
    with contextlib.ExitStack() as stack:
        with _naming(path):
            descriptor = stack.enter_context(open_regular(path, os.O_RDONLY, follow_links=True))
            file = stack.enter_context(os.fdopen(descriptor, "rb", closefd=False))
            header = _read_header(file, os.fstat(descriptor).st_size)
        if check is not None:
            check(header.described())
        with _naming(path):
            return header.described()._replace(arrays=_read_arrays(file, header))


def decode(file: io.BufferedIOBase, size: int) -> Contents:
    """Reads an open file; see `read`.

    Args:
        file: The file, at its beginning.
        size: Its length in bytes.

    Raises:
        CheckpointError: It is not a whole and undamaged safetensors file.
    """
    header = _read_header(file, size)
    return header.described()._replace(arrays=_read_arrays(file, header))


class _Header(NamedTuple):
    """Places of the arrays, the metadata of the caller, and checksums of the arrays if it has."""

    entries: list[Entry]
    metadata: dict[str, str]
    checksums: dict[str, str] | None

    def described(self) -> Contents:
        shapes = {one.name: jax.ShapeDtypeStruct(one.shape, one.dtype) for one in self.entries}
        return Contents(shapes, self.metadata, self.checksums is not None)


def _read_header(file: io.BufferedIOBase, size: int) -> _Header:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise CheckpointError(f"it is cut off, or not a safetensors file ({size} bytes)")
    if length > MAX_HEADER:
        raise CheckpointError(f"its header of {length} bytes is longer than {MAX_HEADER}")
    header = file.read(length)
    metadata, entries = parse_header(header, size - 8 - length)
    own = RESERVED & metadata.keys()
    checksums = check_own_metadata(header, metadata, entries) if own else None
    callers = {key: value for key, value in metadata.items() if key not in RESERVED}
    return _Header(entries, callers, checksums)


def _read_arrays(file: io.BufferedIOBase, header: _Header) -> dict[str, np.ndarray]:
    size = header.entries[-1].end if header.entries else 0
    # Where memory is promised before it is there, asking for it tells nothing.
    if size > _memory_of_machine():
        raise TooLargeError(f"there is no memory for its arrays of {size} bytes")
    arrays = {}
    for name, dtype, shape, begin, end in header.entries:
        try:
            array = np.empty(shape, dtype)
        except MemoryError:
            raise TooLargeError(
                f"there is no memory for its array {name!r} of {end - begin} bytes"
            ) from None
        content = _bytes_of(array)
        if file.readinto(content) != len(content):
            raise CheckpointError("it became shorter while it was read")
        if header.checksums and hashlib.sha256(content).hexdigest() != header.checksums[name]:
            raise CheckpointError(f"the array {name!r} is damaged: its checksum differs")
        if dtype == np.bool and np.any(array.view(np.uint8) > 1):
            raise CheckpointError(f"the array {name!r} has booleans other than 0 and 1")
        arrays[name] = array
    if file.read(1):
        raise CheckpointError("it became longer while it was read")
    return arrays


@contextlib.contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Tells in errors which file they are about."""
    try:
        yield
    except IrregularFileError as error:
        raise CheckpointError(f"{path} is not a usable checkpoint: {error.strerror}.") from None
    except CheckpointError as error:
        raise type(error)(f"{path} is not a usable checkpoint: {error}.") from None


def _memory_of_machine() -> float:
    """Bytes in all, whoever uses them; infinite where the system does not tell."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _bytes_of(array: np.ndarray) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data
