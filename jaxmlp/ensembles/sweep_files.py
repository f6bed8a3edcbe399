"""Turns what the members of a sweep have reached into what a checkpoint file holds, and back."""

import hashlib
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from ..data import DataLoader
from ..fitting import FitState, check_counted, check_settings
from ..loading import check_state, read_position
from ..storage import (
    CheckpointError,
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
from .machines import Trainers
from .runs import MemberGroup, MembersProgress

_SWEEP = "jaxmlp.sweep"
# Where an object lies is another place in every process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Snapshot(NamedTuple):
    """A copy of what members have reached: the steps that all have taken, and arrays by name."""

    steps: int
    arrays: dict[str, np.ndarray]


class StoredGroup(NamedTuple):
    """What is stored of a group, or of some of its members."""

    state: FitState
    bad_step: np.ndarray
    history: tuple[np.ndarray, ...]


class _Header(NamedTuple):
    """What a checkpoint says beside arrays; `metrics` are the names of each group's.

    `trainers` are the names and machines of those that trained until then, one of each kind, which
    former versions did not write.
    """

    settings: dict[str, Any]
    data: dict[str, Any]
    stages: list[int]
    epochs: int
    metrics: list[list[str]]
    versions: dict[str, str]
    trainers: Sequence[tuple[str, dict[str, str]]] = ()


class SweepFiles:
    """What the checkpoints of one sweep hold.

    Args:
        settings: What a resumed sweep must have the same, as JSON.
        data: The loader whose rows must be the same.
        stages: Epochs after which members are dropped, and the last epoch of all.
        groups: Members that share programs, also an attribute.
        trainers: Those that train the members.

    Raises:
        TypeError: The members' states have arrays that cannot be stored by name.
        ValueError: Their names cannot be stored.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        data: DataLoader,
        stages: Sequence[int],
        groups: Sequence[MemberGroup],
        trainers: Trainers,
    ) -> None:
        self.groups, self._trainers = groups, trainers
        self._data = data
        self._header = _Header(
            settings=settings,
            data=data.state_at((0, 0)),
            stages=list(stages[:-1]),
            epochs=stages[-1],
            metrics=[list(group.progress.history) for group in groups],
            versions=library_versions(),
        )
        try:
            stored = [as_stored(group.progress) for group in groups]
            require_storable(shapes_by_path(stored), {_SWEEP: json.dumps(self._header._asdict())})
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"This sweep could keep no checkpoints: {error} Or leave checkpoint out."
            ) from error

    def take(self) -> Snapshot:
        """Copies what members have reached."""
        progress = [group.progress for group in self.groups]
        steps = sum(int(one.state.train.step.sum(dtype=np.int64)) for one in progress)
        return Snapshot(steps, flatten_by_path([as_stored(one) for one in progress]))

    def encode(self, snapshot: Snapshot) -> tuple[int, list[memoryview]]:
        """Returns the number of steps taken, and the chunks of a checkpoint."""
        return snapshot.steps, encode(snapshot.arrays, self.metadata())

    def metadata(self) -> dict[str, str]:
        """Returns what a file says beside arrays, by name."""
        header = self._header._replace(trainers=list(self._trainers.known))
        return {_SWEEP: json.dumps(header._asdict())}

    def meet_trainers(self, path: Path, contents: Contents) -> None:
        """Meets those that trained what a file holds, and warns where machines differ."""
        for name, machine in _read_header(path, contents).trainers:
            self._trainers.meet(name, machine)

    def load(self, writer: CheckpointWriter) -> None:
        """Writes what the newest whole checkpoint holds into the groups, if there is one.

        Args:
            writer: Knows where the checkpoints lie.

        Raises:
            CheckpointError: None is whole, or it is of other networks or optimizers.
            ValueError: The sweep had other settings, stages, data or random keys, or more epochs.
        """
        if (found := writer.newest(self._check)) is not None:
            self._restore(*found)

    def check_header(self, path: Path, contents: Contents) -> None:
        """Refuses a file of another sweep, by what it says beside arrays.

        Raises:
            ValueError: The sweep had other settings, stages, data or random keys, or more epochs.
        """
        then = _read_header(path, contents)
        now = self._header
        check_settings(path, then.settings, now.settings)
        check_counted(path, then.settings, contents.arrays)
        check_state(then.data, now.data, len(self._data))
        if then.epochs > now.epochs:
            raise ValueError(
                f"{path} is of a sweep over {then.epochs} epochs; resume with at least as many, "
                f"got {now.epochs}."
            )
        if then.stages != [stage for stage in now.stages if stage < then.epochs]:
            raise ValueError(
                f"{path} is of a sweep with stages={then.stages}; resume with the same, got "
                f"{now.stages}."
            )
        if then.metrics != now.metrics:
            raise MismatchError(
                f"{path} is of other metrics: {then.metrics}, now {now.metrics}. Resume with those "
                "of then, or start anew in another directory."
            )

    def _check(self, path: Path, contents: Contents) -> None:
        """Refuses a checkpoint of another sweep, by its header and the shapes of its arrays."""
        self.check_header(path, contents)
        epochs = _read_header(path, contents).epochs
        if problems := differences(self._skeleton(epochs), contents.arrays):
            raise MismatchError(
                f"{path} is of other networks, optimizers or metrics: {'; '.join(problems)}. "
                "Resume with those of then, or start anew in another directory."
            )

    def _skeleton(self, epochs: int) -> list[StoredGroup]:
        return [as_stored(group.progress, epochs) for group in self.groups]

    def _restore(self, path: Path, contents: Contents) -> None:
        epochs = _read_header(path, contents).epochs
        skeleton = self._skeleton(epochs)
        for group, stored in zip(
            self.groups, restore_by_path(skeleton, contents.arrays), strict=True
        ):
            epoch = stored.state.epoch
            if (epoch < 0).any() or (epoch > epochs).any():
                raise CheckpointError(f"{path} has members at epochs that were never asked for.")
            jax.tree.map(np.copyto, as_stored(group.progress, epochs), stored)
        self.meet_trainers(path, contents)


def hash_static(static: Mapping[str, Sequence[Hashable]]) -> dict[str, str]:
    """Returns a hash of the members' values of each hyperparameter that is no number.

    Values are told apart by their `repr` without addresses; functions so by their names.
    """
    return {
        f"hyperparameters[{name!r}]": hashlib.blake2b(
            _ADDRESS.sub("", repr(list(values))).encode(), digest_size=16
        ).hexdigest()
        for name, values in static.items()
    }


def as_stored(progress: MembersProgress, epochs: int | None = None) -> StoredGroup:
    """Returns what is stored of a group's members, with views of so many epochs of history."""
    history = tuple(values[:, :epochs] for values in progress.history.values())
    return StoredGroup(progress.state, progress.bad_step, history)


def _read_header(path: Path, contents: Contents) -> _Header:
    try:
        header = _Header(**json.loads(contents.metadata[_SWEEP]))
        read_position(header.data)
        trainers = [(str(name), dict(machine)) for name, machine in header.trainers]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise MismatchError(
            f"{path} is no checkpoint of fit_members ({error}); give another directory."
        ) from error
    is_whole = isinstance(header.settings, dict) and isinstance(header.stages, list)
    if not is_whole or type(header.epochs) is not int or header.epochs < 1:
        raise MismatchError(f"{path} does not tell the settings and epochs of its sweep.")
    return header._replace(trainers=trainers)
