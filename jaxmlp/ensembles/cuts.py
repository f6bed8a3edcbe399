"""Turns groups of members into pieces for workers, of sizes that follow from the plan alone.

Which members are in a piece, and how many are computed at once, follows from numbers of members,
steps and parameters, and never from clocks, cores or from how many workers there are: whoever
trains a piece runs the same program on the same members.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Int

from ..fitting import seconds_per_step
from .piece_plans import GroupPlan, Piece, Trained
from .runs import COMPILE_SECONDS, MemberGroup, Members

# Long beside what a task costs, some 10 ms, and short beside a sweep that is worth a cluster.
_PIECE_SECONDS = 4.0
# At least so many, so that workers end together.
_PIECES = 64


class Cut(NamedTuple):
    """Where a piece lies in its group: positions of its members, all of which have come as far."""

    group: int
    places: int
    positions: Int[np.ndarray, " members"]


def choose_places(
    group: MemberGroup, plan: GroupPlan, members: int, epochs: int, before: int | None
) -> int:
    """Returns how many members of a group a piece has, a multiple of those computed at once.

    Pieces take a few seconds, but there are many of them; so that few programs are compiled, they
    are a power of two times as large as what is computed at once, and as large as in the stage
    before wherever that takes less time than compiling does.

    Args:
        group: The group.
        plan: How many members are computed at once.
        members: So many of the group have not been dropped.
        epochs: Epochs of the stage.
        before: Members of a piece in the stage before, `None` in the first one.
    """
    width = plan.width
    if plan.members is not None:
        return width * -(-plan.members // width)
    params = jax.tree.map(lambda leaf: leaf[0], group.progress.state.train.params)
    loader = group.setup.loader
    # Of a CPU, whatever this process has, so that the plan does not depend on it.
    step = seconds_per_step(params, loader.batch_size, backend="cpu")
    seconds = step * len(loader) * epochs
    if before is not None and before * seconds < COMPILE_SECONDS:
        return before
    most = min(int(_PIECE_SECONDS / (width * seconds)), -(-members // (width * _PIECES)))
    places = width * (1 << (max(1, most).bit_length() - 1))
    return places if before is None else min(before, places)


def cut_group(
    number: int,
    group: MemberGroup,
    places: int,
    until: int,
    dropped: Bool[np.ndarray, " members"],
    lost: Bool[np.ndarray, " members"],
) -> Iterator[Cut]:
    """Cuts the members of a group that are not at an epoch yet.

    Whoever is not dropped has a fixed place, so that what is left of a sweep that was killed is cut
    as it was before.
    """
    state = group.progress.state
    epoch = np.asarray(state.epoch)
    going = ~np.asarray(state.stopped) & (epoch < until) & ~lost[group.members.numbers]
    kept = np.flatnonzero(~dropped[group.members.numbers])
    for start in range(0, len(kept), places):
        positions = kept[start : start + places]
        positions = positions[going[positions]]
        for first in np.unique(epoch[positions]):
            yield Cut(number, places, positions[epoch[positions] == first])


def make_piece(group: MemberGroup, cut: Cut, until: int, *, draws: bool) -> Piece:
    """Returns what a worker is sent of some members: all that is their own.

    Args:
        group: Their group.
        cut: Where they lie in it.
        until: Epoch up to which they are to be trained.
        draws: Whether the worker draws their first parameters.
    """
    positions = cut.positions
    own = group.members._replace(params=None) if draws else group.members
    members: Members = jax.tree.map(lambda leaf: leaf[positions], own)
    begun = group.progress.state.epoch[positions[0]] > 0
    state = jax.tree.map(lambda leaf: leaf[positions], group.progress.state) if begun else None
    return Piece(cut.group, cut.places, until, members, state)


def take_trained(group: MemberGroup, cut: Cut, trained: Trained) -> int:
    """Writes what has become of a piece into its group, and returns how many epochs were run."""
    positions, progress = cut.positions, group.progress
    first = int(progress.state.epoch[positions[0]])
    for name, values in trained.history.items():
        progress.history[name][positions, first : first + values.shape[1]] = values
    progress.bad_step[positions] = trained.bad_step

    def keep(stored: np.ndarray, leaf: Array | np.ndarray) -> None:
        stored[positions] = leaf

    before = int(progress.state.epoch[positions].sum())
    jax.tree.map(keep, progress.state, trained.state)
    return int(progress.state.epoch[positions].sum()) - before
