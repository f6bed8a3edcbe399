"""Turns what a run has reached into checkpoint files, which a thread writes while it goes on.

Of processes that share a run, the first writes, and all read.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..checks import require_bool, require_int, require_number, require_path
from .atomic_files import write_atomically
from .container import Contents, read
from .locks import exclusive
from .processes import ALONE, Processes
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
        ValueError: There is nothing to resume from.
    """
    require_bool("resume", resume)
    if resume and checkpoint is None:
        raise ValueError(
            f"resume must be True or False, and True only with checkpoint; got {resume!r}."
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
        encode: Turns what is to be written into the number of steps taken, which names the file,
            and the file's chunks.
        processes: Those that share the run; all call `newest`, `start` and `finish`, and the first
            alone asks `is_due` and `take_failure`.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        encode: Callable[[Any], tuple[int, list[memoryview]]],
        processes: Processes = ALONE,
    ) -> None:
        self._checkpoints = checkpoints
        self._encode = encode
        self._processes = processes
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "jaxmlp.checkpoints")
        self._pending: concurrent.futures.Future[None] | None = None
        self._due = time.monotonic() + checkpoints.seconds
        # Those that this run wrote or went on from, and those before, the oldest first.
        self._paths: list[Path] = []

    def newest(self, check: Callable[[Path, Contents], None]) -> tuple[Path, Contents] | None:
        """Reads the newest whole checkpoint, from which the run goes on; see `newest_valid`.

        Raises:
            OSError: Another process than the first cannot see the file.
        """
        directory = Path(self._checkpoints.directory)
        found: list[tuple[Path, Contents]] = []

        def name_newest() -> str | None:
            found.extend(filter(None, [newest_valid(directory, check)]))
            return found[0][0].name if found else None

        name = self._processes.first_says("the newest checkpoint", name_newest)
        if name is None:
            return None

        def read_same() -> None:
            if not found:
                found.append(_read_same(directory / name, check))

        self._processes.together("the checkpoint to be read", read_same)
        self._paths = [path for path in checkpoint_paths(directory) if path <= found[0][0]]
        return found[0]

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint, and none is being written."""
        is_busy = self._pending is not None and not self._pending.done()
        return not is_busy and time.monotonic() >= self._due

    def offer(self, progress: Any) -> None:
        """Has a checkpoint written if one is due, and returns at once."""
        if self.is_due():
            self.start(progress, self.take_failure())

    def start(self, progress: Any, failure: str | None) -> None:
        """Has a checkpoint written that is due, and returns at once.

        Args:
            progress: What is to be written.
            failure: What the first process has taken by `take_failure` before.
        """
        _warn_of(failure)
        if self._processes.is_first:
            self._due = time.monotonic() + self._checkpoints.seconds
            self._pending = self._thread.submit(self._write, progress)

    def finish(self, progress: Any) -> bool:
        """Writes a last checkpoint, and returns, in all processes, when it is on the disk.

        Returns:
            Whether this process has failed to write none.

        Raises:
            TimeoutError: A process has not come in time.
        """
        failure, is_there = None, True
        if self._processes.is_first:
            if self._pending:
                concurrent.futures.wait([self._pending])
            before = self.take_failure()
            self._pending = self._thread.submit(self._write, progress)
            is_there = self._pending.exception() is None
            failure = self.take_failure() or before
        told = self._processes.gather("the last checkpoint to be written", failure or "")
        _warn_of(next(iter(told.values())))
        return is_there

    def close(self) -> None:
        """Waits for what is being written."""
        self._thread.shutdown()
        _warn_of(self.take_failure())

    def _write(self, progress: Any) -> None:
        step, chunks = self._encode(progress)
        path = checkpoint_path(self._checkpoints.directory, step)
        write_atomically(path, chunks)
        others = [other for other in self._paths if other != path]
        self._paths = prune([*others, path], keep=self._checkpoints.keep)

    def take_failure(self) -> str | None:
        """Returns once what kept a checkpoint from being written, if anything did."""
        error = self._pending.exception() if self._pending and self._pending.done() else None
        if error is None:
            return None
        self._pending = None
        before = "the one before it is still there" if self._paths else "there is none before it"
        return f"A checkpoint could not be written; the run is not affected, and {before}. {error}"


def _warn_of(failure: str | None) -> None:
    if failure:
        warnings.warn(failure, RuntimeWarning, stacklevel=4)


def _read_same(path: Path, check: Callable[[Path, Contents], None]) -> tuple[Path, Contents]:
    """Reads the checkpoint that another process has found whole."""
    try:
        return path, read(path, check=functools.partial(check, path))
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path}, which the first process goes on from, cannot be read here "
            f"({error.strerror}); give checkpoint a directory that all processes share",
        ) from error


@contextlib.contextmanager
def open_writer(
    checkpoints: Checkpoints,
    encode: Callable[[Any], tuple[int, list[memoryview]]],
    *,
    resume: bool,
    processes: Processes = ALONE,
) -> Iterator[CheckpointWriter]:
    """Keeps a directory for a run's checkpoints while the `with` block lasts.

    Raises:
        BlockingIOError: Another run is writing there.
        FileExistsError: There are checkpoints, and the run is not to resume from them.
        OSError: The directory cannot be made or written to.
    """
    directory = Path(checkpoints.directory)
    with contextlib.ExitStack() as stack:
        processes.first_says(
            "the directory of checkpoints",
            lambda: stack.enter_context(_own(directory, resume=resume)),
        )
        writer = CheckpointWriter(checkpoints, encode, processes)
        try:
            yield writer
        finally:
            writer.close()


@contextlib.contextmanager
def _own(directory: Path, *, resume: bool) -> Iterator[None]:
    """Makes a directory if need be, and keeps other runs out of it."""
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
        yield
