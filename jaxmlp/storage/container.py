"""Turns named NumPy arrays into the bytes of one safetensors file, and back, trusting nothing.

The format is that of https://github.com/huggingface/safetensors: the length of a header, the header
as JSON, the arrays. Its metadata hold, beyond what the caller gives, the version of this format, a
SHA-256 of every array, and one of the header, for which its own digits count as zeros. The writer
is not that package's, which writes metadata in a random order: equal content gives equal bytes.
"""

import hashlib
import io
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

FORMAT = "1"
_FORMAT_KEY = "jaxmlp.format"
_ARRAYS_KEY = "jaxmlp.sha256_of_arrays"
_HEADER_KEY = "jaxmlp.sha256_of_header"
_RESERVED = {_FORMAT_KEY, _ARRAYS_KEY, _HEADER_KEY}
_ZEROS = "0" * 64
_SIZES = (1, 2, 4, 8)
_DTYPES = {
    "BOOL": np.dtype(np.bool),
    **{f"{kind}{8 * size}".upper(): np.dtype(f"<{kind}{size}") for kind in "iu" for size in _SIZES},
    "F16": np.dtype("<f2"),
    "BF16": jnp.dtype("bfloat16"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype.name: code for code, dtype in _DTYPES.items()}
# The worst header of this size takes a second and 150 MB; ordinary ones hold 15,000 arrays.
_MAX_HEADER = 4 << 20
_MAX_NAME = 1000
_MAX_RANK = 32
_HUGE = 1 << 59


class CheckpointError(ValueError):
    """A file that does not hold what it should: damaged, crafted, or of another network."""


class NewerFormatError(CheckpointError):
    """A whole file in a later format than this version of jaxmlp knows."""


class Contents(NamedTuple):
    """What a file holds: arrays by name, metadata by name, and whether checksums vouch for it."""

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    has_checksums: bool


class _Entry(NamedTuple):
    """Where an array lies: bytes `begin` to `end` after the header."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


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
    entries: dict[str, Any] = {}
    checksums, pieces, offset = {}, [], 0
    # Wide types first, so that every array is aligned to its type.
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):
        if problem := _problem_of_name(name):
            raise ValueError(f"The array {name!r} cannot be stored: {problem}.")
        array = arrays[name]
        if array.dtype.name not in _CODES:
            raise TypeError(
                f"The array {name!r} has the type {array.dtype}, which a safetensors file cannot "
                f"hold; known are {', '.join(_CODES)}."
            )
        code = _CODES[array.dtype.name]
        content = _bytes_of(np.asarray(array, _DTYPES[code], order="C"))
        checksums[name] = hashlib.sha256(content).hexdigest()
        end = offset + len(content)
        entries[name] = {"dtype": code, "shape": array.shape, "data_offsets": [offset, end]}
        pieces.append(content)
        offset = end
    if other := [key for key, value in metadata.items() if not isinstance(value, str)]:
        raise TypeError(f"Metadata must be text; got other values for {other}. Use json.dumps.")
    if taken := sorted(_RESERVED & metadata.keys()):
        raise ValueError(f"The metadata names {taken} are the file's own; use others.")
    metadata = dict(sorted(metadata.items())) | {
        _FORMAT_KEY: FORMAT,
        _ARRAYS_KEY: json.dumps(checksums, sort_keys=True),
        _HEADER_KEY: _ZEROS,
    }
    text = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":"))
    header = (text + " " * (-len(text) % 8)).encode()
    if len(header) > _MAX_HEADER:
        raise ValueError(
            f"Names and metadata of a file may take {_MAX_HEADER} bytes; got {len(header)} for "
            f"{len(arrays)} arrays. Stack arrays, or use several files."
        )
    header = header.replace(_seal(_ZEROS), _seal(hashlib.sha256(header).hexdigest()))
    return [memoryview(len(header).to_bytes(8, "little") + header), *pieces]


def read(path: str | Path) -> Contents:
    """Reads a file, ours or any safetensors file, after checking all that its header claims.

    Nothing is run, and no more is allocated than the file is long, beside its header.

    Args:
        path: The file.

    Returns:
        Fresh arrays, whatever happens to the file later.

    Raises:
        CheckpointError: It is not a whole and undamaged safetensors file.
        OSError: It cannot be opened or read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError("it is not a regular file")
        with open(path, "rb") as file:
            return decode(file, os.fstat(file.fileno()).st_size)
    except CheckpointError as error:
        raise type(error)(f"{path} is not a usable checkpoint: {error}.") from None


def decode(file: io.BufferedIOBase, size: int) -> Contents:
    """Reads an open file; see `read`.

    Args:
        file: The file, at its beginning.
        size: Its length in bytes.

    Raises:
        CheckpointError: It is not a whole and undamaged safetensors file.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise CheckpointError(f"it is cut off, or not a safetensors file ({size} bytes)")
    if length > _MAX_HEADER:
        raise CheckpointError(f"its header of {length} bytes is longer than {_MAX_HEADER}")
    header = file.read(length)
    metadata, entries = parse_header(header, size - 8 - length)
    own = _RESERVED & metadata.keys()
    checksums = _check_own_metadata(header, metadata, entries) if own else None
    arrays = {}
    for entry in entries:
        array = np.empty(entry.shape, entry.dtype)
        content = _bytes_of(array)
        if file.readinto(content) != len(content):
            raise CheckpointError("it became shorter while it was read")
        if checksums and hashlib.sha256(content).hexdigest() != checksums[entry.name]:
            raise CheckpointError(f"the array {entry.name!r} is damaged: its checksum differs")
        if entry.dtype == np.bool and np.any(array.view(np.uint8) > 1):
            raise CheckpointError(f"the array {entry.name!r} has booleans other than 0 and 1")
        arrays[entry.name] = array
    if file.read(1):
        raise CheckpointError("it became longer while it was read")
    caller_metadata = {key: value for key, value in metadata.items() if key not in _RESERVED}
    return Contents(arrays, caller_metadata, checksums is not None)


def parse_header(header: bytes, payload: int) -> tuple[dict[str, str], list[_Entry]]:
    """Checks a header against the format and the number of bytes that follow it.

    Args:
        header: JSON, with spaces at its end.
        payload: Number of bytes after it.

    Returns:
        The metadata, and where the arrays lie, in their order.

    Raises:
        CheckpointError: The header does not describe exactly these bytes.
    """
    if not header.startswith(b"{"):
        raise CheckpointError("its header is not a JSON object, as in a safetensors file")
    try:
        fields = json.loads(header.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its header is not valid JSON ({error})") from None
    metadata = fields.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError("its metadata are not text by name")
    entries = [_parse_entry(name, entry) for name, entry in fields.items()]
    entries.sort(key=lambda entry: (entry.begin, entry.end))
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise CheckpointError(
                f"the array {entry.name!r} begins at byte {entry.begin}, but the arrays before it "
                f"end at {position}"
            )
        position = entry.end
    if position != payload:
        raise CheckpointError(f"its arrays take {position} bytes, but it has {payload} for them")
    return metadata, entries


def _parse_entry(name: str, entry: object) -> _Entry:
    if problem := _problem_of_name(name):
        raise CheckpointError(f"the array name {name[:100]!r} is refused: {problem}")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"the array {name!r} is not described by dtype, shape, data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise CheckpointError(f"the array {name!r} has the unknown type {str(code)[:100]!r}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise CheckpointError(f"the array {name!r} has offsets that are no two positions")
    # NumPy multiplies the axes without those of length 0.
    if not _are_sizes(shape) or len(shape) > _MAX_RANK or math.prod(filter(None, shape)) >= _HUGE:
        raise CheckpointError(f"the array {name!r} has a shape that no array can have")
    dtype, (begin, end) = _DTYPES[code], offsets
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise CheckpointError(f"the array {name!r} has a shape that does not fit its offsets")
    return _Entry(name, dtype, tuple(shape), begin, end)


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < _HUGE for v in values)


def _check_own_metadata(
    header: bytes, metadata: dict[str, str], entries: list[_Entry]
) -> dict[str, str]:
    """Returns the checksums of the arrays, once the header's own has been found right."""
    if missing := sorted(_RESERVED - metadata.keys()):
        raise CheckpointError(f"its header is damaged: it lacks {missing}")
    stated = metadata[_HEADER_KEY]
    if not re.fullmatch(r"[0-9a-f]{64}", stated) or header.count(_seal(stated)) != 1:
        raise CheckpointError("its header is damaged: its checksum cannot be read")
    if hashlib.sha256(header.replace(_seal(stated), _seal(_ZEROS))).hexdigest() != stated:
        raise CheckpointError("its header is damaged: its checksum differs")
    # Only now can the version be believed.
    if metadata[_FORMAT_KEY] != FORMAT:
        raise NewerFormatError(
            f"it has the format {metadata[_FORMAT_KEY]!r}, but this jaxmlp knows {FORMAT!r} only; "
            "install a newer one"
        )
    try:
        checksums = json.loads(metadata[_ARRAYS_KEY], object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        checksums = None
    if not isinstance(checksums, dict) or checksums.keys() != {entry.name for entry in entries}:
        raise CheckpointError("its checksums are not those of its arrays")
    return checksums


def _seal(digits: str) -> bytes:
    return f'"{_HEADER_KEY}":"{digits}"'.encode()


def _bytes_of(array: np.ndarray) -> memoryview:
    """The memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _problem_of_name(name: str) -> str | None:
    if not 0 < len(name) <= _MAX_NAME:
        return f"it must have 1 to {_MAX_NAME} characters"
    if not name.isprintable() or "/" in name or "\\" in name:
        return "it must have no path separators and no control characters"
    return "it is the name of the metadata" if name == "__metadata__" else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name occurs twice")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
