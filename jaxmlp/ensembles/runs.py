"""Turns members that are computed in one call into trained ones: orders, calls, what went wrong."""

import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from ..batching import cut_order
from ..data import DataLoader
from ..drivers import order_index
from ..order import permutations
from ..pace import seconds_per_step
from ..program import FitState
from ..types import Batch
from .programs import MemberInputs, Programs

# What compiling the program for another number of members takes, by more than it usually does.
_COMPILE_SECONDS = 5.0


class Sweep(NamedTuple):
    """What all members of a group share; `seeds` is `None` where they share the loader's order."""

    programs: Programs
    loader: DataLoader
    rows: Batch
    validation: PyTree | None
    seeds: np.ndarray | None
    epochs: int
    epochs_per_call: int
    compacts: bool
    interrupted: threading.Event


class Members(NamedTuple):
    """Members that share a call: their numbers, and what is theirs, with a leading member axis.

    All are arrays on the host, the keys' data among them. `limits` are the epochs that each may
    run; those that only fill up the axis run none.
    """

    numbers: Int[np.ndarray, " members"]
    params: PyTree | None
    inputs: MemberInputs
    keys: np.ndarray
    limits: Int[np.ndarray, " members"]


class Trained(NamedTuple):
    """Trained members, with a leading member axis, and `history`: (numbers, epoch, metrics) each.

    `bad_step` is the number of the step that was not finite, or -1.
    """

    numbers: Int[np.ndarray, " members"]
    params: PyTree
    best_epoch: np.ndarray
    best_value: np.ndarray
    epochs: np.ndarray
    stopped: np.ndarray
    bad_step: np.ndarray


class Record(NamedTuple):
    """Metrics of some epochs from `first` on, shape (members, epochs) each."""

    numbers: Int[np.ndarray, " members"]
    first: int
    metrics: dict[str, np.ndarray]


def take_members(members: Members, numbers: Int[np.ndarray, " chosen"], size: int) -> Members:
    """Takes members by position; copies of the last, which run nothing, fill up to `size`."""
    positions = np.concatenate([numbers, np.full(size - len(numbers), numbers[-1])])
    taken = jax.tree.map(lambda leaf: leaf[positions], members)
    taken.limits[len(numbers) :] = 0
    return taken


def train_piece(sweep: Sweep, members: Members) -> tuple[list[Trained], list[Record]]:
    """Runs all epochs of some members; every call takes `epochs_per_call` of them."""
    programs = sweep.programs
    state = programs("start", members.params, members.inputs, members.keys)
    trained, records = [], []
    bad_step = np.full(len(members.numbers), -1)
    index = draw_index(sweep, members, 0)
    for first in range(0, sweep.epochs, sweep.epochs_per_call):
        if sweep.interrupted.is_set():
            break
        shared = (members.inputs, sweep.rows, index, members.limits, sweep.validation)
        after, metrics = programs("run", state, *shared)
        used = index
        if first + sweep.epochs_per_call < sweep.epochs:
            # The device runs meanwhile.
            index = draw_index(sweep, members, first + sweep.epochs_per_call)
        measured = {name: np.asarray(values) for name, values in metrics.items()}
        finite = measured.pop("finite")
        if not finite.all():
            after, measured = _recover(sweep, members, state, after, measured, used, finite)
            is_bad = ~finite.all(axis=1)
            bad_step = np.where(is_bad, np.asarray(after.train.step), bad_step)
        records.append(Record(members.numbers, first, measured))
        state = after
        running = ~np.asarray(state.stopped) & (np.asarray(state.epoch) < members.limits)
        if not running.any():
            break
        size = 1 << (int(running.sum()) - 1).bit_length()
        if sweep.compacts and _pays(sweep, state, len(running) - size):
            trained.append(
                _finish(sweep, members, state, bad_step, ~running & (members.limits > 0))
            )
            kept = np.flatnonzero(running)
            positions = np.concatenate([kept, np.full(size - len(kept), kept[-1])])
            state = jax.tree.map(lambda leaf, positions=positions: leaf[positions], state)
            members, bad_step = take_members(members, kept, size), bad_step[positions]
            if sweep.seeds is not None:
                index = index[positions]
    trained.append(_finish(sweep, members, state, bad_step, members.limits > 0))
    return trained, records


def _pays(sweep: Sweep, state: FitState, dropped: int) -> bool:
    """Whether leaving out members saves more than compiling for another number of them costs."""
    if dropped < len(state.stopped) // 2:
        return False
    left = (sweep.epochs - int(np.max(state.epoch))) * len(sweep.loader)
    first = jax.tree.map(lambda leaf: leaf[0], state.train.params)
    return left * dropped * seconds_per_step(first, sweep.loader.batch_size) > _COMPILE_SECONDS


def _finish(
    sweep: Sweep, members: Members, state: FitState, bad_step: np.ndarray, chosen: np.ndarray
) -> Trained:
    positions = np.flatnonzero(chosen)
    params = sweep.programs("finish", state)
    fields = (members.numbers, state.best_epoch, state.best_value, state.epoch, state.stopped)
    numbers, best_epoch, best_value, epoch, stopped = (np.asarray(f)[positions] for f in fields)
    params = jax.tree.map(lambda leaf: leaf[positions], params)
    return Trained(numbers, params, best_epoch, best_value, epoch, stopped, bad_step[positions])


def _recover(
    sweep: Sweep,
    members: Members,
    before: FitState,
    after: FitState,
    metrics: dict[str, np.ndarray],
    index: np.ndarray,
    finite: np.ndarray,
) -> tuple[FitState, dict[str, np.ndarray]]:
    """Takes members that met NaN or infinity back to the step before; the others stay as they are.

    Returns the state, and the metrics without the bad epochs.
    """
    is_bad: np.ndarray = np.logical_not(finite.all(axis=1))
    bad_epoch = finite.argmin(axis=1)
    limits = np.where(is_bad, np.asarray(before.epoch) + bad_epoch, 0).astype(np.int32)
    arguments = (members.inputs, sweep.rows, index, limits, sweep.validation)
    good, repeated = sweep.programs("run", before, *arguments)
    own = index[np.arange(len(is_bad)), bad_epoch] if index.ndim == 4 else index[bad_epoch]
    good = sweep.programs("recover", good, members.inputs, sweep.rows, own, is_bad)
    state = jax.tree.map(lambda a, b: _where(is_bad, a, b), good, after)
    chosen = is_bad[:, None]
    return state, {name: np.where(chosen, repeated[name], metrics[name]) for name in metrics}


def _where(condition: np.ndarray, a: Array, b: Array) -> Array:
    return jnp.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)


def draw_index(sweep: Sweep, members: Members, first: int) -> Int[np.ndarray, "..."]:
    """Draws the row numbers of a call's epochs: (epochs, steps, batch), with seeds per member.

    Epochs after the last repeat it, and the program skips them.
    """
    numbers = [
        min(epoch, sweep.epochs - 1) for epoch in range(first, first + sweep.epochs_per_call)
    ]
    if sweep.seeds is None:
        return np.stack([order_index(sweep.loader, epoch) for epoch in numbers])
    orders = permutations(
        len(sweep.loader.source), seeds=sweep.seeds[members.numbers], epochs=numbers
    )
    return cut_order(orders, sweep.loader.batch_size, drop_last=sweep.loader.drop_last)


def shape_of_index(sweep: Sweep, members: Members) -> jax.ShapeDtypeStruct:
    """Returns the shape of what `draw_index` draws."""
    own = () if sweep.seeds is None else (len(members.numbers),)
    steps = (sweep.epochs_per_call, len(sweep.loader), sweep.loader.batch_size)
    return jax.ShapeDtypeStruct((*own, *steps), np.int32)


def stack_trained(parts: list[Trained]) -> Trained:
    """Joins trained members, in the order of their numbers."""
    numbers = np.concatenate([part.numbers for part in parts])
    order = np.argsort(numbers)

    def join(*leaves: Any) -> Any:
        if len(leaves) == 1 and (order == np.arange(len(order))).all():
            return leaves[0]
        stack = np.concatenate if isinstance(leaves[0], np.ndarray) else jnp.concatenate
        return stack(leaves)[order]

    return jax.tree.map(join, *parts)
