"""Turns the progress of a run into checkpoint files, written while it goes on, and back."""

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from .calls import Run, StepMetrics
from .checkpoint import library_versions
from .container import CheckpointError, Contents, encode
from .data import DataLoader
from .files import write_atomically
from .key_paths import differences, flatten_by_path, restore_by_path
from .locks import exclusive
from .program import FitState
from .resume import check_state, read_position
from .rotation import checkpoint_path, checkpoint_paths, newest_valid, prune
from .sources.ingestion import hash_arrays

_RUN = "jaxmlp.run"
# In the place of an array that a file lacks, which is told by its name then.
_NOTHING = np.zeros(0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Where and how often `fit` writes how far it has come.

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
        if not isinstance(self.directory, str | Path):
            raise TypeError(f"directory must be a path; got {self.directory!r}.")
        if not isinstance(self.seconds, int | float) or not 0 <= self.seconds < math.inf:
            raise ValueError(f"seconds must be finite and at least 0; got {self.seconds!r}.")
        if not isinstance(self.keep, int) or isinstance(self.keep, bool) or self.keep < 1:
            raise ValueError(f"keep must be an int of at least 1; got {self.keep!r}.")


class Progress(NamedTuple):
    """How far a run has come: all that it needs to go on.

    `unfinished` are the metrics of the steps of an epoch that has not ended, `history` those of
    the epochs that have.
    """

    state: FitState
    unfinished: StepMetrics
    history: dict[str, np.ndarray]


class _Stored(NamedTuple):
    state: FitState
    unfinished: tuple[np.ndarray, ...]
    history: tuple[np.ndarray, ...]


class _Header(NamedTuple):
    """What a checkpoint says beside arrays: settings, position in the data, names of metrics."""

    settings: dict[str, Any]
    data: dict[str, Any] | None
    unfinished: list[str]
    history: list[str]
    versions: dict[str, str]


class RunFiles:
    """The checkpoints of one run, which a thread writes.

    A failure to write one is warned about, and the run goes on: what it has is worth more.

    Args:
        checkpoints: Where and how often.
        settings: What a resumed run must have the same, as JSON.
        data: The loader whose order and rows must be the same, or `None` for an iterable.
    """

    def __init__(
        self, checkpoints: Checkpoints, settings: dict[str, Any], data: DataLoader | None
    ) -> None:
        self._checkpoints = checkpoints
        self._settings = settings
        self._data = data
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "jaxmlp.checkpoints")
        self._pending: concurrent.futures.Future[None] | None = None
        self._due = time.monotonic() + checkpoints.seconds

    def __enter__(self) -> "RunFiles":  # noqa: PYI034  # beartype refuses Self
        """Keeps the thread that writes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for what is being written."""
        self._writer.shutdown()
        self._report()

    def offer(self, progress: Progress) -> None:
        """Has a checkpoint written if one is due, and returns at once."""
        if time.monotonic() < self._due or (self._pending and not self._pending.done()):
            return
        self._report()
        self._due = time.monotonic() + self._checkpoints.seconds
        self._pending = self._writer.submit(self._write, progress)

    def finish(self, progress: Progress) -> None:
        """Writes a last checkpoint, and returns when it is on the disk."""
        if self._pending:
            concurrent.futures.wait([self._pending])
            self._report()
        self._pending = self._writer.submit(self._write, progress)
        concurrent.futures.wait([self._pending])

    def load(self, skeleton: FitState) -> Progress | None:
        """Reads the newest whole checkpoint, or returns `None` if there is none.

        Args:
            skeleton: The state of this run before its first step.

        Raises:
            CheckpointError: None is whole, or it is of another network or optimizer.
            ValueError: The run had other settings, data or random key.
        """
        found = newest_valid(self._checkpoints.directory)
        return None if found is None else self._restore(*found, skeleton)

    def _restore(self, path: Path, contents: Contents, skeleton: FitState) -> Progress:
        header = _read_header(path, contents)
        _check_settings(path, header.settings, self._settings)
        if (header.data is None) != (self._data is None):
            now, then = ("an iterable", "a DataLoader")[:: 1 if self._data is None else -1]
            raise ValueError(
                f"{path} is of a run over {then}, and data is {now} now; resume with that."
            )
        columns = {
            kind: tuple(contents.arrays.get(f"{kind}.{i}", _NOTHING) for i in range(len(names)))
            for kind, names in (("unfinished", header.unfinished), ("history", header.history))
        }
        stored = _Stored(skeleton, **columns)
        if problems := differences(stored, contents.arrays):
            raise CheckpointError(
                f"{path} is of another network or optimizer: {'; '.join(problems)}. Resume with "
                "those of then, or start anew in another directory."
            )
        for names in columns.values():
            if len({array.shape for array in names}) > 1 or any(a.ndim != 1 for a in names):
                raise CheckpointError(f"{path} has metrics of different lengths.")
        stored = restore_by_path(stored, contents.arrays)
        if _key_data(stored.state.train.key) != _key_data(skeleton.train.key):
            raise ValueError(f"{path} was taken with another key; resume with the key of then.")
        unfinished = dict(zip(header.unfinished, stored.unfinished, strict=True))
        history = dict(zip(header.history, stored.history, strict=True))
        if self._data is not None and header.data is not None:
            now = self._data.state_at(read_position(header.data))
            check_state(header.data, now, len(self._data))
        return Progress(stored.state, unfinished, history)

    def _write(self, progress: Progress) -> None:
        state, unfinished, history = progress
        count = len(unfinished["loss"]) if unfinished else 0
        header = _Header(
            settings=self._settings,
            data=None if self._data is None else self._data.state_at((int(state.epoch), count)),
            unfinished=list(unfinished),
            history=list(history),
            versions=library_versions(),
        )._asdict()
        stored = _Stored(state, tuple(unfinished.values()), tuple(history.values()))
        directory = self._checkpoints.directory
        path = checkpoint_path(directory, int(state.train.step))
        write_atomically(path, encode(flatten_by_path(stored), {_RUN: json.dumps(header)}))
        prune(directory, keep=self._checkpoints.keep)

    def _report(self) -> None:
        error = self._pending.exception() if self._pending and self._pending.done() else None
        self._pending = None if error else self._pending
        if error:
            warnings.warn(
                f"A checkpoint could not be written; the run is not affected, and the checkpoint "
                f"before it is still there. {error}",
                RuntimeWarning,
                stacklevel=3,
            )


@contextlib.contextmanager
def open_run_files(
    checkpoints: Checkpoints, run: Run, data: Any, *, resume: bool
) -> Iterator[RunFiles]:
    """Keeps a directory for a run's checkpoints while the `with` block lasts.

    Raises:
        BlockingIOError: Another run is writing there.
        FileExistsError: There are checkpoints, and the run is not to resume from them.
        OSError: The directory cannot be made or written to.
    """
    directory = Path(checkpoints.directory)
    directory.mkdir(parents=True, exist_ok=True)
    with exclusive(directory):
        if not resume and (paths := checkpoint_paths(directory)):
            raise FileExistsError(
                f"{directory} has checkpoints of a run already, the newest {paths[-1].name}. Pass "
                "resume=True to go on with it, or another directory."
            )
        loader = data if isinstance(data, DataLoader) else None
        with RunFiles(checkpoints, _settings(run), loader) as files:
            yield files


def _read_header(path: Path, contents: Contents) -> _Header:
    try:
        header = _Header(**json.loads(contents.metadata[_RUN]))
        if header.data is not None:
            read_position(header.data)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no checkpoint of fit ({error}); give another directory."
        ) from error
    names = (header.unfinished, header.history)
    if not isinstance(header.settings, dict) or not all(
        isinstance(part, list) and all(isinstance(name, str) for name in part) for part in names
    ):
        raise CheckpointError(f"{path} does not tell the settings and metrics of its run.")
    return header


def _settings(run: Run) -> dict[str, Any]:
    plan = {f.name: getattr(run.plan, f.name) for f in dataclasses.fields(run.plan)}
    # A function has no name that could be compared.
    plan["transform"] = plan["transform"] is not None
    return {**plan, "validation": None if run.validation is None else _hash(run.validation)}


def _hash(tree: PyTree) -> str:
    return hash_arrays(sorted(flatten_by_path(tree).items()))


def _check_settings(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [
        f"{name}={then.get(name)!r}, now {value!r}"
        for name, value in now.items()
        if then.get(name) != value
    ]
    if changed:
        raise ValueError(
            f"{path} was taken with {'; '.join(changed)}. Resume with the settings of then, or "
            "start anew in another directory."
        )


def _key_data(key: Any) -> list[int]:
    return np.asarray(jax.random.key_data(key)).ravel().tolist()
