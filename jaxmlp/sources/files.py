"""Turns paths into files that are known to be the same as when they were opened."""

import contextlib
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Read per file for a fingerprint: so many blocks of so many bytes, evenly spaced.
_SAMPLES, _SAMPLE_BYTES = 16, 4096


class File(NamedTuple):
    """A file, its size in bytes, and when it was last changed, in nanoseconds."""

    path: Path
    size: int
    changed_ns: int


def list_paths(name: str, paths: Paths) -> list[Path]:
    """Returns one path, or several, as a list."""
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not isinstance(given, Sequence) or not all(isinstance(p, str | os.PathLike) for p in given):
        raise TypeError(f"{name} must be a path, or a list of paths; got {paths!r}.")
    if not given:
        raise ValueError(f"{name} must name at least one file; got {paths!r}.")
    return [Path(path) for path in given]


def find_files(name: str, paths: Paths) -> tuple[File, ...]:
    """Looks files up: one path, or several whose rows follow each other. None is opened."""
    return tuple(_find_file(name, path) for path in list_paths(name, paths))


def _find_file(name: str, path: Path) -> File:
    if not path.exists():
        raise FileNotFoundError(f"{name} must name files; there is no file {path}.")
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        # To open a pipe would wait for whoever writes into it.
        kind = "a folder" if path.is_dir() else "a pipe, a socket or a device"
        raise ValueError(f"{name} must name files of data; {path} is {kind}.")
    if facts.st_size == 0:
        raise ValueError(f"{name} must have rows, but {path} is empty.")
    # A copy of the source may be read in another working directory.
    return File(path.absolute(), facts.st_size, facts.st_mtime_ns)


@contextlib.contextmanager
def unchanged(file: File) -> Iterator[Path]:
    """Yields the path to read from, and checks before and after that the file is the same."""
    _require_unchanged(file)
    try:
        yield file.path
    finally:
        _require_unchanged(file)


def _require_unchanged(file: File) -> None:
    try:
        facts = file.path.stat()
    except FileNotFoundError:
        raise ValueError(f"{file.path} was removed after it was opened as a source.") from None
    if (facts.st_size, facts.st_mtime_ns) != (file.size, file.changed_ns):
        raise ValueError(
            f"{file.path} must not change while it is read; it had {file.size} bytes when it was "
            f"opened as a source and was written to since, now {facts.st_size} bytes. Make the "
            "source anew, and write new data to a new file."
        )


def fingerprint(files: Sequence[File], layout: object) -> str:
    """Hashes what tells changed data: sizes, times of change, and samples of the content."""
    digest = hashlib.sha256(repr(layout).encode())
    for file in files:
        digest.update(repr((file.size, file.changed_ns)).encode())
        with unchanged(file) as path, path.open("rb", buffering=0) as stream:
            for start in np.linspace(0, max(0, file.size - _SAMPLE_BYTES), _SAMPLES).astype(int):
                stream.seek(start)
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


class Piece(NamedTuple):
    """Rows asked that lie in one part of the data, rising, and their places among those asked."""

    part: int
    places: np.ndarray
    rows: np.ndarray

    @property
    def span(self) -> tuple[int, int]:
        """First row, and one after the last."""
        return int(self.rows[0]), int(self.rows[-1]) + 1

    def take(self, values: np.ndarray) -> np.ndarray:
        """Takes the rows asked from those of the whole span."""
        local = self.rows - self.rows[0]
        return values if is_run(local) else values[local]


def is_run(numbers: np.ndarray) -> bool:
    """Whether each number is the one before plus 1: a stream mostly asks for all of a chunk."""
    return bool((np.diff(numbers) == 1).all())


def as_index(places: np.ndarray) -> np.ndarray | slice:
    """Returns a slice for places in a row, which is faster to write to."""
    return slice(int(places[0]), int(places[-1]) + 1) if is_run(places) else places


def pieces(rows: np.ndarray, starts: np.ndarray) -> Iterator[Piece]:
    """Sorts the rows asked into the parts that start at `starts`, so that each is read once."""
    places = np.argsort(rows, kind="stable")
    ordered = rows[places]
    part = np.searchsorted(starts, ordered, side="right") - 1
    cuts = np.flatnonzero(np.diff(part, prepend=-1))
    for low, high in itertools.pairwise([*cuts.tolist(), len(rows)]):
        yield Piece(int(part[low]), places[low:high], ordered[low:high])


def chunk_starts(ends: np.ndarray, chunk_rows: int) -> np.ndarray:
    """Cuts parts that end at `ends` into chunks of about so many rows, and joins none."""
    starts = np.concatenate([[0], ends[:-1]])
    cut = [np.arange(low, high, chunk_rows) for low, high in zip(starts, ends, strict=True)]
    return np.concatenate([*cut, ends[-1:]]).astype(np.int64)
