"""Turns what a run has reached into checkpoint files, which a thread writes while it goes on."""

import concurrent.futures
import contextlib
import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from ..checks import require_bool, require_int, require_number, require_path
from .atomic_files import write_atomically
from .container import Contents
from .locks import exclusive
from .rotation import checkpoint_path, checkpoint_paths, newest_valid, prune


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where and how often `fit` and `fit_members` write how far they have come.

    Args:
        directory: Made if need be; one run's own.
        seconds: Least time between two checkpoints, at least 0 and finite. A checkpoint is due at
            the end of the call in which it passes, and is left out while another is being written.
        keep: Number of files to keep, the newest ones, at least 1. Each holds the best parameters
            so far beside the latest.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting is out of range.
    """

    directory: str | Path
    seconds: float = 60.0
    keep: int = 3

    def __post_init__(self) -> None:
        require_path("directory", self.directory)
        at_least_0 = "finite and at least 0"
        require_number("seconds", self.seconds, at_least_0, lambda s: 0 <= s < math.inf)
        require_int("keep", self.keep, 1, None)


def as_checkpoints(
    checkpoint: str | Path | Checkpoints | None, *, resume: bool
) -> Checkpoints | None:
    """Returns where and how often to write, if at all.

    Raises:
        TypeError: `checkpoint` is no such thing.
        ValueError: There is nothing to resume from, or several processes would write.
    """
    require_bool("resume", resume)
    if resume and checkpoint is None:
        raise ValueError(
            f"resume must be True or False, and True only with checkpoint; got {resume!r}."
        )
    if checkpoint is not None and jax.process_count() > 1:
        raise ValueError(
            "checkpoint is for runs in one process, since each would write the whole state into "
            f"the same files; got jax.process_count()={jax.process_count()}. Leave it out, and "
            "save what you need in one process, or all of it with Orbax."
        )
    if checkpoint is None or isinstance(checkpoint, Checkpoints):
        return checkpoint
    require_path("checkpoint", checkpoint)
    return Checkpoints(directory=checkpoint)


class CheckpointWriter:
    """Writes the checkpoints of one run in a thread.

    A failure to write one is warned about, and the run goes on: what it has is worth more.

    Args:
        checkpoints: Where and how often.
        encode: Turns what `offer` and `finish` are given into the number of steps taken, which
            names the file, and the file's chunks.
    """

    def __init__(
        self, checkpoints: Checkpoints, encode: Callable[[Any], tuple[int, list[memoryview]]]
    ) -> None:
        self._checkpoints = checkpoints
        self._encode = encode
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "jaxmlp.checkpoints")
        self._pending: concurrent.futures.Future[None] | None = None
        self._due = time.monotonic() + checkpoints.seconds
        # Those that this run wrote or went on from, and those before, the oldest first.
        self._paths: list[Path] = []

    def newest(self, check: Callable[[Path, Contents], None]) -> tuple[Path, Contents] | None:
        """Reads the newest whole checkpoint, from which the run goes on; see `newest_valid`."""
        directory = self._checkpoints.directory
        found = newest_valid(directory, check)
        if found is not None:
            self._paths = [path for path in checkpoint_paths(directory) if path <= found[0]]
        return found

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint, and none is being written."""
        is_busy = self._pending is not None and not self._pending.done()
        return not is_busy and time.monotonic() >= self._due

    def offer(self, progress: Any) -> None:
        """Has a checkpoint written if one is due, and returns at once."""
        if not self.is_due():
            return
        self._report()
        self._due = time.monotonic() + self._checkpoints.seconds
        self._pending = self._thread.submit(self._write, progress)

    def finish(self, progress: Any) -> bool:
        """Writes a last checkpoint, and returns when it is on the disk, and whether it is."""
        if self._pending:
            concurrent.futures.wait([self._pending])
            self._report()
        self._pending = self._thread.submit(self._write, progress)
        return self._pending.exception() is None

    def close(self) -> None:
        """Waits for what is being written."""
        self._thread.shutdown()
        self._report()

    def _write(self, progress: Any) -> None:
        step, chunks = self._encode(progress)
        path = checkpoint_path(self._checkpoints.directory, step)
        write_atomically(path, chunks)
        others = [other for other in self._paths if other != path]
        self._paths = prune([*others, path], keep=self._checkpoints.keep)

    def _report(self) -> None:
        error = self._pending.exception() if self._pending and self._pending.done() else None
        self._pending = None if error else self._pending
        if error:
            before = (
                "the one before it is still there" if self._paths else "there is none before it"
            )
            warnings.warn(
                f"A checkpoint could not be written; the run is not affected, and {before}. "
                f"{error}",
                RuntimeWarning,
                stacklevel=3,
            )


@contextlib.contextmanager
def open_writer(
    checkpoints: Checkpoints, encode: Callable[[Any], tuple[int, list[memoryview]]], *, resume: bool
) -> Iterator[CheckpointWriter]:
    """Keeps a directory for a run's checkpoints while the `with` block lasts.

    Raises:
        BlockingIOError: Another run is writing there.
        FileExistsError: There are checkpoints, and the run is not to resume from them.
        OSError: The directory cannot be made or written to.
    """
    directory = Path(checkpoints.directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{directory} cannot be made for the checkpoints of this run ({error.strerror}); give "
            "a directory that is one, or that can be made",
        ) from error
    with exclusive(directory):
        if not resume and (paths := checkpoint_paths(directory)):
            raise FileExistsError(
                f"{directory} has checkpoints of a run already, the newest {paths[-1].name}. Pass "
                "resume=True to go on with it, or another directory."
            )
        writer = CheckpointWriter(checkpoints, encode)
        try:
            yield writer
        finally:
            writer.close()
