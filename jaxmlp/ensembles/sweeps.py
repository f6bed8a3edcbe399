"""Turns cohorts of members into calls that fit into memory, and runs them, in threads on a CPU."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, PyTree

from ..data import DataLoader
from ..pace import CALL_SECONDS, seconds_per_step
from ..program import Plan
from ..thread_settings import with_settings_of_this_thread
from ..types import Batch
from .effects import require_weighed
from .layout import Layout, split_layout, spread
from .memory import available_memory
from .programs import make_programs
from .recipes import Maker, Recipe
from .runs import (
    Cohort,
    Members,
    Piece,
    Reached,
    Sweep,
    Watch,
    fill_up,
    outweighs_compiling,
    shape_of_index,
    take_members,
    train_piece,
)

# Row numbers in one call: 64 MB.
_INDEX_NUMBERS = 2**24
# What a call costs beside its epochs, as a part of the longest call.
_CALL_SHARE = 0.02


class Common(NamedTuple):
    """What all cohorts of a sweep share; `memory` in bytes, `None` for what the device has left.

    `stages` are the epochs at which all members wait for each other, the last of them the end.
    """

    plan: Plan
    loader: DataLoader
    rows: Batch
    validation: PyTree | None
    seeds: np.ndarray | None
    stages: tuple[int, ...]
    memory: int | None
    key_kind: Hashable


def plan_cohort(
    common: Common,
    makers: tuple[Maker, Maker],
    static: Mapping[str, Hashable],
    members: Members,
    layout: Layout,
) -> tuple[Cohort, Layout]:
    """Compiles the programs of a cohort, for as many members at once as fit into the memory.

    Raises:
        ValueError: The loss does not depend on weights that are given.
    """
    memory = available_memory() if common.memory is None else common.memory
    count = len(members.numbers)
    while True:
        recipe = Recipe(*makers, common.plan, tuple(static.items()), layout.width, layout.devices)
        programs = make_programs(
            recipe,
            has_own_order=common.seeds is not None,
            validated=common.validation is not None,
            key_kind=common.key_kind,
        )
        positions = fill_up(np.arange(min(layout.piece, count)), layout.piece).positions
        piece = take_members(members, positions)
        start = programs.compiled("start", piece.params, piece.inputs, piece.keys)
        state = start.out_info
        sweep = Sweep(
            programs,
            common.loader,
            common.rows,
            common.validation,
            common.seeds,
            common.stages[-1],
            _epochs_per_call(common, state.train.params, layout),
            layout.width == count > 1,
        )
        index = shape_of_index(sweep, piece)
        limits = np.zeros(layout.piece, np.int32)
        run = programs.compiled(
            "run", state, piece.inputs, common.rows, index, limits, common.validation
        )
        smaller = split_layout(layout)
        fits = memory is None or layout.threads * _bytes_of_call(run) <= memory
        if fits or smaller is None:
            require_weighed(
                recipe,
                members.params,
                members.inputs,
                rows=common.rows,
                batch_size=common.loader.batch_size,
                validation=common.validation,
            )
            reached = _nothing_reached(count, state, run.out_info[1], common.stages[-1])
            return Cohort(sweep, members, reached), layout
        layout = smaller


def _nothing_reached(members: int, state: PyTree, metrics: PyTree, epochs: int) -> Reached:
    names = sorted(set(metrics) - {"finite", "ran"})
    return Reached(
        jax.tree.map(lambda leaf: np.zeros((members, *leaf.shape[1:]), leaf.dtype), state),
        np.full(members, -1),
        {
            name: np.full((members, epochs), np.nan, np.promote_types(metrics[name].dtype, "f4"))
            for name in names
        },
    )


def train_stage(
    cohorts: Sequence[tuple[Cohort, Layout]],
    until: int,
    dropped: Bool[np.ndarray, " members"],
    watch: Watch,
) -> None:
    """Trains what goes on of all cohorts until an epoch; an interrupt ends calls under way.

    Raises:
        Exception: What went wrong in any piece; the others end after their calls.
    """
    train = with_settings_of_this_thread(train_piece)
    # All are cut before one runs, since threads write to what tells how far members have come.
    pieces = [
        (cohort, piece)
        for cohort, layout in cohorts
        for piece in _cut_pieces(cohort, layout, until, dropped[cohort.members.numbers])
    ]
    futures: list[Future[None]] = []
    with ThreadPoolExecutor(min(layout.threads for _, layout in cohorts)) as pool:
        while True:
            try:
                # Those after an interrupt, too: they start, and end before their first call.
                for cohort, piece in pieces[len(futures) :]:
                    futures.append(pool.submit(train, cohort, piece, until, watch))
                for future in futures:
                    future.result()
                return
            except KeyboardInterrupt:
                watch.interrupted.set()
            except BaseException:
                # The others shall not go on for nothing.
                watch.interrupted.set()
                raise


def _cut_pieces(
    cohort: Cohort, layout: Layout, until: int, dropped: Bool[np.ndarray, " members"]
) -> Iterator[Piece]:
    """Cuts members that go on into pieces; those of a piece have come equally far."""
    epoch = np.asarray(cohort.reached.state.epoch)
    going = ~np.asarray(cohort.reached.state.stopped) & (epoch < until) & ~dropped
    if not going.any():
        return
    layout = _shrink(cohort, layout, int(going.sum()), until - int(epoch[going].min()))
    for first in np.unique(epoch[going]):
        positions = np.flatnonzero(going & (epoch == first))
        for start in range(0, len(positions), layout.piece):
            yield fill_up(positions[start : start + layout.piece], layout.piece)


def _shrink(cohort: Cohort, layout: Layout, going: int, epochs: int) -> Layout:
    """Makes pieces smaller where few members are left, if that saves more than it compiles."""
    smaller = spread(going, layout)
    if smaller.piece >= layout.piece:
        return layout
    saved = _places(layout, going) - _places(smaller, going)
    pays = outweighs_compiling(cohort.sweep, cohort.reached.state, saved * epochs)
    return smaller if pays else layout


def _places(layout: Layout, members: int) -> int:
    """Places that a thread computes one after the other."""
    return layout.piece * -(-members // layout.piece // layout.threads)


def _epochs_per_call(common: Common, params: PyTree, layout: Layout) -> int:
    """So many that a call takes about half a second and its row numbers little memory.

    Calls are of one length; those before a stage's end have few epochs, if any, beyond it.
    """
    batch_size, steps = common.loader.batch_size, len(common.loader)
    # `params` have the member axis, so that this is the time of all members' steps.
    seconds = seconds_per_step(params, batch_size) * steps
    own = layout.piece if common.seeds is not None else 1
    by_memory = _INDEX_NUMBERS // (own * steps * batch_size)
    most = max(1, min(int(CALL_SECONDS / seconds), by_memory))
    lengths = np.diff((0, *common.stages))
    most = min(most, int(lengths.max()))
    candidates = np.arange(1, most + 1)
    calls = -(-lengths[:, None] // candidates).sum(axis=0)
    costs = calls * (candidates + _CALL_SHARE * most)
    # The longest calls of those that cost least.
    return most - int(costs[::-1].argmin())


def _bytes_of_call(run: Any) -> int:
    """What XLA says that a compiled program takes: arguments, results and what lies between."""
    analysis = run.memory_analysis()
    if analysis is None:
        return 0
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
    )
