"""Turns members that are computed in one call into trained ones: orders, calls, what went wrong."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

from ..data import DataLoader
from ..fitting import FitState, places_for, seconds_per_step
from ..loading import cut_order, permutations
from ..network import Batch
from .programs import MemberInputs, Programs
from .shared_orders import SharedOrders

# More than compiling the program for another number of members usually takes.
COMPILE_SECONDS = 5.0


class GroupSetup(NamedTuple):
    """What all members of a group share; `orders`, too, where `seeds` is `None`."""

    programs: Programs
    loader: DataLoader
    orders: SharedOrders
    rows: Batch
    validation: PyTree | None
    seeds: np.ndarray | None
    epochs: int
    epochs_per_call: int
    compacts: bool


class Members(NamedTuple):
    """What is each member's own, on the host, with a leading member axis; `keys` as their data."""

    numbers: Int[np.ndarray, " members"]
    params: PyTree
    inputs: MemberInputs
    keys: np.ndarray


class MembersProgress(NamedTuple):
    """How far members have come, on the host, with a leading member axis.

    Arrays are written to in place, each row by one thread. A state is zero before the first call.
    `bad_step` is the number of the step that was not finite, or -1; `history` has shape
    (members, epochs) per metric, NaN where a member did not run.
    """

    state: FitState
    bad_step: Int[np.ndarray, " members"]
    history: dict[str, np.ndarray]


class MemberGroup(NamedTuple):
    """Members of one architecture."""

    setup: GroupSetup
    members: Members
    progress: MembersProgress


class MemberBatch(NamedTuple):
    """Members of a group for one call, as positions in it; those from `used` on only fill up."""

    positions: Int[np.ndarray, " places"]
    used: int


class Hooks(NamedTuple):
    """What a sweep does between calls.

    `after_call` is told how many epochs of members were run. It is called under the lock, under
    which `MembersProgress` is written to: states after every call, where `keeps_each_call`.
    `after_piece` is told, under it too, what members of which group have come from a worker: their
    positions, and the epoch up to which they were trained. Before, `meet` is told who trains, and
    on what machine.
    """

    lock: threading.Lock
    interrupted: threading.Event
    stop_requested: Callable[[], bool]
    after_call: Callable[[int], None]
    after_piece: Callable[[int, np.ndarray, int], None]
    meet: Callable[[str, dict[str, str]], None]
    keeps_each_call: bool

    def stops(self) -> bool:
        """Whether to end now."""
        return self.interrupted.is_set() or self.stop_requested()


def fill_up(positions: Int[np.ndarray, " chosen"], places: int) -> MemberBatch:
    """Returns a batch of so many places; copies of the last member, which run nothing, fill up."""
    filling = np.full(places - len(positions), positions[-1])
    return MemberBatch(np.concatenate([positions, filling]), len(positions))


def take_members(members: Members, positions: Int[np.ndarray, " chosen"]) -> Members:
    """Takes members by position."""
    return jax.tree.map(lambda leaf: leaf[positions], members)


def train_member_batch(group: MemberGroup, batch: MemberBatch, until: int, hooks: Hooks) -> None:
    """Trains members, all of which have come equally far, until epoch `until`."""
    setup, progress = group.setup, group.progress
    programs, per_call = setup.programs, setup.epochs_per_call
    members = take_members(group.members, batch.positions)
    begin = int(progress.state.epoch[batch.positions[0]])
    if begin:
        state = jax.tree.map(lambda leaf: leaf[batch.positions], progress.state)
    else:
        state = programs("start", members.params, members.inputs, members.keys)
    index = draw_index(setup, members, begin, until)
    for first in range(begin, until, per_call):
        if hooks.stops():
            break
        limits = np.where(np.arange(len(batch.positions)) < batch.used, until, 0)
        after, metrics = programs("run", state, *run_inputs(setup, members, index, limits))
        used = index
        if first + per_call < until:
            # The device runs meanwhile.
            index = draw_index(setup, members, first + per_call, until)
        measured = {name: np.asarray(values) for name, values in metrics.items()}
        finite = measured.pop("finite")
        is_bad: np.ndarray = np.logical_not(finite.all(axis=1))
        if is_bad.any():
            after, measured = _recover(setup, members, state, after, measured, used, finite)
        state = after
        going = ~np.asarray(state.stopped) & (np.asarray(state.epoch) < until)
        going = going[: batch.used]
        places = 1 << (max(int(going.sum()), 1) - 1).bit_length()
        dropped = len(batch.positions) - places
        shrinks = going.any() and setup.compacts and _pays(setup, state, dropped, until)
        with hooks.lock:
            _record(progress, batch, first, measured)
            bad = np.flatnonzero(is_bad)
            progress.bad_step[batch.positions[bad]] = np.asarray(state.train.step)[bad]
            if hooks.keeps_each_call or shrinks:
                _keep(progress, batch, state)
            hooks.after_call(int(measured["ran"].sum()))
        if not going.any():
            break
        if shrinks:
            kept = fill_up(np.flatnonzero(going), places)
            take = kept.positions
            state = jax.tree.map(lambda leaf, take=take: leaf[take], state)
            batch = MemberBatch(batch.positions[take], kept.used)
            members = take_members(group.members, batch.positions)
            if setup.seeds is not None:
                index = index[take]
    with hooks.lock:
        _keep(progress, batch, state)


def _record(
    progress: MembersProgress, batch: MemberBatch, first: int, metrics: dict[str, np.ndarray]
) -> None:
    # Members that only fill up run nothing, and joined epochs go beyond the last.
    place, epoch = np.nonzero(metrics["ran"])
    for name, history in progress.history.items():
        history[batch.positions[place], first + epoch] = metrics[name][place, epoch]


def _keep(progress: MembersProgress, batch: MemberBatch, state: FitState) -> None:
    positions = batch.positions[: batch.used]

    def keep(stored: np.ndarray, leaf: Array | np.ndarray) -> None:
        stored[positions] = np.asarray(leaf)[: batch.used]

    jax.tree.map(keep, progress.state, state)


def _pays(setup: GroupSetup, state: FitState, dropped: int, until: int) -> bool:
    """Whether leaving out members saves more than compiling for another number of them costs."""
    if dropped < len(state.stopped) // 2:
        return False
    left = until - int(np.max(state.epoch))
    return outweighs_compiling(setup, state, dropped * left)


def outweighs_compiling(setup: GroupSetup, state: FitState, epochs: int) -> bool:
    """Whether so many epochs of a member take longer than compiling a program usually does."""
    params = jax.tree.map(lambda leaf: leaf[0], state.train.params)
    seconds = len(setup.loader) * seconds_per_step(params, setup.loader.batch_size)
    return epochs * seconds > COMPILE_SECONDS


def _recover(
    setup: GroupSetup,
    members: Members,
    before: FitState,
    after: FitState,
    metrics: dict[str, np.ndarray],
    index: np.ndarray,
    finite: Bool[np.ndarray, "members epochs"],
) -> tuple[FitState, dict[str, np.ndarray]]:
    """Takes members that met NaN or infinity back to the step before; the others stay as they are.

    Returns the state, and the metrics without the bad epochs.
    """
    is_bad: np.ndarray = np.logical_not(finite.all(axis=1))
    bad_epoch = finite.argmin(axis=1)
    limits = np.where(is_bad, np.asarray(before.epoch) + bad_epoch, 0)
    good, repeated = setup.programs("run", before, *run_inputs(setup, members, index, limits))
    own = index[np.arange(len(is_bad)), bad_epoch] if index.ndim == 4 else index[bad_epoch]
    steps = np.int32(len(setup.loader))
    good = setup.programs("recover", good, members.inputs, setup.rows, own, is_bad, steps)
    state = where(is_bad, good, after)
    return state, where(is_bad, {name: repeated[name] for name in metrics}, metrics)


def where(condition: Bool[np.ndarray, " members"], chosen: PyTree, other: PyTree) -> PyTree:
    """Chooses between two trees member by member, on the host."""

    def choose(a: Any, b: Any) -> np.ndarray:
        return np.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, chosen, other)


def run_inputs(setup: GroupSetup, members: Members, index: Any, limits: np.ndarray) -> tuple:
    """Returns what the program of epochs takes beside the state; `limits` by member."""
    steps, limits = places_for(len(setup.loader)).taken, limits.astype(np.int32)
    return members.inputs, setup.rows, index, limits, setup.validation, steps


def draw_index(
    setup: GroupSetup, members: Members, first: int, until: int
) -> Int[np.ndarray, "..."]:
    """Draws the row numbers of a call's epochs: (epochs, steps, batch), with seeds per member.

    There are none for epochs from `until` on, nor behind the steps of an epoch: the program leaves
    both out.
    """
    shape = shape_of_index(setup, members)
    index = np.zeros(shape.shape, shape.dtype)
    numbers = range(first, min(first + setup.epochs_per_call, until))
    if setup.seeds is None:
        for place, epoch in enumerate(numbers):
            index[place] = setup.orders.index(epoch)
        return index
    loader = setup.loader
    orders = permutations(len(loader.source), seeds=setup.seeds[members.numbers], epochs=numbers)
    cut = cut_order(orders, loader.batch_size, drop_last=loader.drop_last)
    index[:, : len(numbers), : len(loader)] = cut
    return index


def shape_of_index(setup: GroupSetup, members: Members) -> jax.ShapeDtypeStruct:
    """Returns the shape of what `draw_index` draws."""
    own = () if setup.seeds is None else (len(members.numbers),)
    places = places_for(len(setup.loader)).total
    shape = (*own, setup.epochs_per_call, places, setup.loader.batch_size)
    return jax.ShapeDtypeStruct(shape, np.int32)
