"""Turns the progress of a run into what a checkpoint file holds, and back."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ..data import DataLoader
from ..loading import changed_settings, check_state, read_position
from ..sources.ingestion import hash_arrays
from ..storage import (
    CheckpointWriter,
    Contents,
    MismatchError,
    differences,
    encode,
    flatten_by_path,
    library_versions,
    require_storable,
    restore_by_path,
    shapes_by_path,
)
from .calls import Run, StepMetrics, count_steps
from .fit_state import FitState
from .settings import Plan

_RUN = "jaxmlp.run"
# Among the settings, which those who wrote none of it can read.
_START = "params"
# In the place of an array that a file lacks, which is told by its name then.
_NOTHING = np.zeros(0)


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
    """What the checkpoints of one run hold.

    Args:
        run: Its settings must be the same where it is resumed.
        data: The loader whose order and rows must be the same, or an iterable.
        state: The state of this run before its first step.

    Raises:
        TypeError: The state has arrays that cannot be stored by name.
        ValueError: Their names cannot be stored.
    """

    def __init__(self, run: Run, data: Any, state: FitState) -> None:
        try:
            require_storable(shapes_by_path(_Stored(state, (), ())), {})
            self._settings = plan_settings(run.plan, run.validation)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"This run could keep no checkpoints: {error} Or leave checkpoint out."
            ) from error
        self._start = hash_tree(state.train.params)
        self._state = state
        self._epochs = run.epochs
        self._data = data if isinstance(data, DataLoader) else None
        self._own_rows: list[str] | None = None
        if self._data is not None and self._data.process_local and run.processes.several:
            hash_rows = self._data.source.fingerprint
            hashes = run.processes.together("all processes to hash their rows", hash_rows)
            self._own_rows = [*hashes.values()]

    def load(self, writer: CheckpointWriter) -> Progress | None:
        """Reads the newest whole checkpoint, or returns `None` if there is none.

        Args:
            writer: Knows where the checkpoints lie.

        Raises:
            CheckpointError: None is whole, or it is of another network or optimizer.
            ValueError: The run had other settings, data, starting parameters or random key, or
                has taken more epochs.
        """
        found = writer.newest(self._check)
        return None if found is None else self._restore(*found)

    def _check(self, path: Path, contents: Contents) -> None:
        """Refuses a checkpoint of another run, by its header and the shapes of its arrays."""
        header = _read_header(path, contents)
        check_settings(path, header.settings, self._settings)
        if (header.data is None) != (self._data is None):
            now, then = ("an iterable", "a DataLoader")[:: 1 if self._data is None else -1]
            raise ValueError(
                f"{path} is of a run over {then}, and data is {now} now; resume with that."
            )
        check_counted(path, header.settings, contents.arrays)
        stored = self._skeleton(header, contents)
        if problems := differences(stored, contents.arrays):
            raise MismatchError(
                f"{path} is of another network or optimizer: {'; '.join(problems)}. Resume with "
                "those of then, or start anew in another directory."
            )
        for columns in (stored.unfinished, stored.history):
            if len({column.shape for column in columns}) > 1 or any(c.ndim != 1 for c in columns):
                raise MismatchError(f"{path} has metrics of different lengths.")
        # Older checkpoints do not tell.
        if header.settings.get(_START, self._start) != self._start:
            raise ValueError(
                f"{path} is of a run that started from other params; resume with the params of "
                "then, or start anew in another directory."
            )

    def _skeleton(self, header: _Header, contents: Contents) -> _Stored:
        unfinished, history = (
            tuple(contents.arrays.get(f"{kind}.{i}", _NOTHING) for i in range(len(names)))
            for kind, names in (("unfinished", header.unfinished), ("history", header.history))
        )
        return _Stored(self._state, unfinished, history)

    def _restore(self, path: Path, contents: Contents) -> Progress:
        header = _read_header(path, contents)
        stored = restore_by_path(self._skeleton(header, contents), contents.arrays)
        if key_data(stored.state.train.key) != key_data(self._state.train.key):
            raise ValueError(f"{path} was taken with another key; resume with the key of then.")
        unfinished = dict(zip(header.unfinished, stored.unfinished, strict=True))
        history = dict(zip(header.history, stored.history, strict=True))
        if self._data is not None and header.data is not None:
            now = self._state_of(self._data, read_position(header.data))
            _check_rows(path, header.data["data"], now["data"])
            check_state(header.data, now, len(self._data))
        reached = int(stored.state.epoch) + bool(unfinished)
        if reached > self._epochs:
            raise ValueError(
                f"{path} has reached epoch {reached} of its run; resume with epochs of at least "
                f"as many, got {self._epochs}."
            )
        return Progress(stored.state, unfinished, history)

    def _state_of(self, data: DataLoader, position: tuple[int, int]) -> dict[str, Any]:
        """Returns a loader's state; of rows that each process holds itself, with all hashes."""
        state = data.state_at(position)
        return state if self._own_rows is None else {**state, "data": self._own_rows}

    def encode(self, progress: Progress) -> tuple[int, list[memoryview]]:
        """Returns the number of steps taken, and the chunks of a checkpoint."""
        state, unfinished, history = progress
        count = count_steps(unfinished)
        data, position = self._data, (int(state.epoch), count)
        header = _Header(
            settings={**self._settings, _START: self._start},
            data=None if data is None else self._state_of(data, position),
            unfinished=list(unfinished),
            history=list(history),
            versions=library_versions(),
        )._asdict()
        stored = _Stored(state, tuple(unfinished.values()), tuple(history.values()))
        chunks = encode(flatten_by_path(stored), {_RUN: json.dumps(header)})
        return int(state.train.step), chunks


def _check_rows(path: Path, then: str | list[str], now: str | list[str]) -> None:
    """Refuses other rows than those of then, where each process holds its own."""
    were, are = (rows if isinstance(rows, list) else None for rows in (then, now))
    if were is None and are is None:
        return
    dealt = [
        "all rows in each process"
        if rows is None
        else f"its own rows in each of {len(rows)} processes"
        for rows in (were, are)
    ]
    if dealt[0] != dealt[1]:
        raise ValueError(
            f"{path} is of a run with {dealt[0]}, and this one has {dealt[1]}. "
            "Resume with the rows dealt as then, or start anew in another directory."
        )
    changed = [i for i, (a, b) in enumerate(zip(then, now, strict=True)) if a != b]
    if changed:
        raise ValueError(
            f"{path} is of a run over other rows: those of process {', '.join(map(str, changed))} "
            "have changed. Resume on the data of then, or start anew in another directory."
        )


def _read_header(path: Path, contents: Contents) -> _Header:
    try:
        header = _Header(**json.loads(contents.metadata[_RUN]))
        if header.data is not None:
            read_position(header.data)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise MismatchError(
            f"{path} is no checkpoint of fit ({error}); give another directory."
        ) from error
    names = (header.unfinished, header.history)
    if not isinstance(header.settings, dict) or not all(
        isinstance(part, list) and all(isinstance(name, str) for name in part) for part in names
    ):
        raise MismatchError(f"{path} does not tell the settings and metrics of its run.")
    return header


def plan_settings(plan: Plan, validation: PyTree | None) -> dict[str, Any]:
    """Returns what a resumed run must have the same, as JSON."""
    settings = {f.name: getattr(plan, f.name) for f in dataclasses.fields(plan)}
    # A function has no name that could be compared.
    settings["transform"] = plan.transform is not None
    # A run may go on over other devices. Only runs without files have rules.
    del settings["batch_sharding"], settings["validation_parts"], settings["stop_rule"]
    return {**settings, "validation": hash_tree(validation)}


def hash_tree(tree: PyTree | None) -> str | None:
    """Returns a hash of all arrays of a tree with their places, or `None` for `None`."""
    return None if tree is None else hash_arrays(sorted(flatten_by_path(tree).items()))


def check_settings(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuses a checkpoint that was taken with other settings.

    Raises:
        ValueError: All that have changed since are named.
    """
    if changed := changed_settings(then, now):
        raise ValueError(
            f"{path} was taken with {'; '.join(changed)}. Resume with the settings of then, or "
            "start anew in another directory."
        )


def check_counted(path: Path, settings: dict[str, Any], names: Iterable[str]) -> None:
    """Refuses a checkpoint from the time when `min_delta` also chose the best parameters.

    Raises:
        ValueError: It lacks what patience had counted, so that the best parameters may be others.
    """
    if settings.get("min_delta") and not any("state.counted." in name for name in names):
        raise ValueError(
            f"{path} was taken by a version in which min_delta chose the best parameters, too; "
            "finish the run with that version, or start anew in another directory."
        )


def key_data(key: Any) -> list[int]:
    """Returns the numbers of a random key."""
    return np.asarray(jax.random.key_data(key)).ravel().tolist()
