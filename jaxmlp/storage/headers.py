"""Turns the header of a safetensors file into checked places of arrays, and back.

The format is that of https://github.com/huggingface/safetensors: the length of a header, the header
as JSON, the arrays. Its metadata hold, beyond what the caller gives, the version of this format, a
SHA-256 of every array, and one of the header, for which its own digits count as zeros. The writer
is not that package's, which writes metadata in a random order: equal content gives equal bytes.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

FORMAT = "1"
_FORMAT_KEY = "jaxmlp.format"
_ARRAYS_KEY = "jaxmlp.sha256_of_arrays"
_HEADER_KEY = "jaxmlp.sha256_of_header"
RESERVED = {_FORMAT_KEY, _ARRAYS_KEY, _HEADER_KEY}
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
MAX_HEADER = 4 << 20
_MAX_NAME = 1000
_MAX_RANK = 32
_HUGE = 1 << 59


class CheckpointError(ValueError):
    """A file that does not hold what it should: damaged, crafted, or of another network."""


class NewerFormatError(CheckpointError):
    """A whole file in a later format than this version of jaxmlp knows."""


class MismatchError(CheckpointError):
    """A whole file of something else: another network, another optimizer, another kind of file."""


class TooLargeError(CheckpointError):
    """A file whose arrays do not fit into the memory."""


class Entry(NamedTuple):
    """Where an array lies: bytes `begin` to `end` after the header."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def lay_out(arrays: Mapping[str, Any]) -> list[Entry]:
    """Gives every array its place in a file.

    Args:
        arrays: Arrays by name, or their shapes.

    Raises:
        TypeError: An array has a type that the format lacks.
        ValueError: A name is empty, too long, or has path separators or control characters.
    """
    entries, offset = [], 0
    # Wide types first, so that every array is aligned to its type.
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):
        if problem := _problem_of_name(name):
            raise ValueError(f"The array {name!r} cannot be stored: {problem}.")
        dtype, shape = arrays[name].dtype, arrays[name].shape
        if dtype.name not in _CODES:
            raise TypeError(
                f"The array {name!r} has the type {dtype}, which a safetensors file cannot hold; "
                f"known are {', '.join(_CODES)}."
            )
        end = offset + math.prod(shape) * dtype.itemsize
        entries.append(Entry(name, _DTYPES[_CODES[dtype.name]], tuple(shape), offset, end))
        offset = end
    return entries


def write_header(
    entries: Sequence[Entry], checksums: Mapping[str, str], metadata: Mapping[str, str]
) -> bytes:
    """Returns the length of a header and the header, sealed with a checksum of its own.

    Raises:
        TypeError: Metadata are not text.
        ValueError: A name in the metadata is the file's own, or all is too long.
    """
    if other := [key for key, value in metadata.items() if not isinstance(value, str)]:
        raise TypeError(f"Metadata must be text; got other values for {other}. Use json.dumps.")
    if taken := sorted(RESERVED & metadata.keys()):
        raise ValueError(f"The metadata names {taken} are the file's own; use others.")
    metadata = dict(sorted(metadata.items())) | {
        _FORMAT_KEY: FORMAT,
        _ARRAYS_KEY: json.dumps(checksums, sort_keys=True),
        _HEADER_KEY: _ZEROS,
    }
    fields = {
        entry.name: {
            "dtype": _CODES[entry.dtype.name],
            "shape": entry.shape,
            "data_offsets": [entry.begin, entry.end],
        }
        for entry in entries
    }
    text = json.dumps({"__metadata__": metadata, **fields}, separators=(",", ":"))
    header = (text + " " * (-len(text) % 8)).encode()
    if len(header) > MAX_HEADER:
        raise ValueError(
            f"Names and metadata of a file may take {MAX_HEADER} bytes; got {len(header)} for "
            f"{len(entries)} arrays. Stack arrays, or use several files."
        )
    header = header.replace(_seal(_ZEROS), _seal(hashlib.sha256(header).hexdigest()))
    return len(header).to_bytes(8, "little") + header


def parse_header(header: bytes, payload: int) -> tuple[dict[str, str], list[Entry]]:
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


def _parse_entry(name: str, entry: object) -> Entry:
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
    return Entry(name, dtype, tuple(shape), begin, end)


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < _HUGE for v in values)


def check_own_metadata(
    header: bytes, metadata: dict[str, str], entries: list[Entry]
) -> dict[str, str]:
    """Returns the checksums of the arrays, once the header's own has been found right."""
    if missing := sorted(RESERVED - metadata.keys()):
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
