"""Turns groups before their first epoch into trained ones: stages, dropping, checkpoints."""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool

from ..fitting import ProgressBar, stop_requests
from ..storage import Checkpoints, open_writer
from .machines import Trainers
from .parallelism import Parallelism
from .piece_files import PieceFiles
from .results import join_history
from .runs import Hooks, MemberGroup
from .sweep_files import SweepFiles

# (groups, epoch until which to train, which members are dropped, what is done between calls)
TrainStage: TypeAlias = Callable[
    [Sequence[tuple[MemberGroup, Parallelism]], int, Bool[np.ndarray, " members"], Hooks], None
]
# (epochs run, history of shape (members, epochs run) per metric) -> which members go on.
Keep: TypeAlias = Callable[[int, Mapping[str, np.ndarray]], Any]


def run_stages(
    groups: Sequence[tuple[MemberGroup, Parallelism]],
    stages: Sequence[int],
    keep: Keep | None,
    train_stage: TrainStage,
    *,
    trainers: Trainers,
    files: SweepFiles | None,
    checkpoints: Checkpoints | None,
    resume: bool,
    progress: bool | None,
) -> Bool[np.ndarray, " members"]:
    """Trains members up to each stage, and returns which were dropped at one.

    Raises:
        TypeError: `keep` returns something else than booleans.
        ValueError: `keep` returns not one per member.
    """
    members = sum(len(group.members.numbers) for group, _ in groups)
    dropped = np.zeros(members, bool)
    with contextlib.ExitStack() as stack:
        writer, pieces, stop_requested = None, None, lambda: False
        if files is not None and checkpoints is not None:
            writer = stack.enter_context(open_writer(checkpoints, files.encode, resume=resume))
            pieces = PieceFiles(checkpoints.directory, files)
            if resume:
                files.load(writer)
                pieces.load()
            elif paths := pieces.paths():
                raise FileExistsError(
                    f"{checkpoints.directory} has pieces of a sweep already, as {paths[0].name}. "
                    "Pass resume=True to go on with it, or another directory."
                )
            stop_requested = stack.enter_context(stop_requests())
        bar = stack.enter_context(ProgressBar(members * stages[-1], show=progress))
        bar.update(sum(int(group.progress.state.epoch.sum()) for group, _ in groups), {})

        come_back: dict[str, int] = {}

        def after_call(epochs: int) -> None:
            bar.update(epochs, come_back)
            if writer is not None and files is not None and writer.is_due():
                writer.offer(files.take())

        def after_piece(group: int, positions: np.ndarray, until: int) -> None:
            come_back["members"] = come_back.get("members", 0) + len(positions)
            if pieces is not None:
                pieces.write(group, positions, until)

        hooks = Hooks(
            threading.Lock(),
            threading.Event(),
            stop_requested,
            after_call,
            after_piece,
            trainers.meet,
            writer is not None,
        )
        for until in stages:
            come_back.clear()
            train_stage(groups, until, dropped, hooks)
            if hooks.stops():
                break
            if keep is not None and until < stages[-1]:
                history = join_history([group for group, _ in groups], until)
                try:
                    dropped |= ~_as_kept(keep(until, history), members)
                except KeyboardInterrupt:
                    break
        if writer is not None and files is not None and pieces is not None:
            is_kept = writer.finish(files.take())
            if is_kept:
                pieces.remove()
    return dropped


def _as_kept(answer: Any, members: int) -> Bool[np.ndarray, " members"]:
    kept = np.asarray(answer)
    if kept.dtype != bool:
        raise TypeError(f"keep must return booleans, one per member; got {answer!r}.")
    if kept.shape != (members,):
        raise ValueError(
            f"keep must return one bool per member, shape ({members},); got {kept.shape}."
        )
    return kept
