"""Turns groups of members into calls that fit into memory, and runs them, in threads on a CPU."""

import dataclasses
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, PyTree

from ..data import DataLoader
from ..fitting import Plan, bucket, padded_steps, seconds_per_step
from ..loading import with_settings_of_this_thread
from ..network import Batch
from .factories import Factory, ProgramSpec
from .machines import describe_machine, name_process
from .memory import available_memory
from .parallelism import Parallelism, draws_alike, spread, with_less_memory
from .programs import Programs, make_programs
from .runs import (
    GroupSetup,
    Hooks,
    MemberBatch,
    MemberGroup,
    Members,
    MembersProgress,
    fill_up,
    outweighs_compiling,
    run_inputs,
    shape_of_index,
    take_members,
    train_member_batch,
)
from .shared_orders import SharedOrders
from .weight_effects import require_weighed

# Between calls members that have stopped are left out, and an interrupt is answered.
CALL_SECONDS = 0.5
# With a rule that may stop members long before: orders are then drawn for nothing.
_EPOCHS_BEFORE_A_STOP = 64
# Row numbers in one call: 64 MB.
_INDEX_NUMBERS = 2**24


class SweepSetup(NamedTuple):
    """What all groups of a sweep share; `memory` in bytes, `None` for what the device has left.

    `stages` are the epochs at which all members wait for each other, the last of them the end.
    """

    plan: Plan
    loader: DataLoader
    orders: SharedOrders
    rows: Batch
    validation: PyTree | None
    seeds: np.ndarray | None
    stages: tuple[int, ...]
    memory: int | None
    key_kind: Hashable


def plan_group(
    sweep: SweepSetup,
    factories: tuple[Factory, Factory],
    static: Mapping[str, Hashable],
    members: Members,
    parallelism: Parallelism,
) -> tuple[MemberGroup, Parallelism]:
    """Compiles the programs of a group, for as many members at once as fit into the memory.

    Raises:
        ValueError: The loss does not depend on weights that are given.
    """
    memory = available_memory() if sweep.memory is None else sweep.memory
    count = len(members.numbers)
    while True:
        spec, programs = programs_of(sweep, factories, static, parallelism)
        positions = fill_up(
            np.arange(min(parallelism.per_call, count)), parallelism.per_call
        ).positions
        batch = take_members(members, positions)
        start = programs.compiled("start", batch.params, batch.inputs, batch.keys)
        state = start.out_info
        if parallelism.width > 1 and not draws_alike(*programs.kinds_of_keys(state)):
            parallelism = dataclasses.replace(parallelism, width=1)
            continue
        compacts = parallelism.width == count > 1
        setup = make_setup(sweep, programs, state.train.params, parallelism, compacts=compacts)
        index = shape_of_index(setup, batch)
        limits = np.zeros(parallelism.per_call, np.int32)
        run = programs.compiled("run", state, *run_inputs(setup, batch, index, limits))
        smaller = with_less_memory(parallelism)
        fits = memory is None or parallelism.threads * _bytes_of_call(run) <= memory
        if fits or smaller is None:
            require_weighed(
                spec,
                members.params,
                members.inputs,
                rows=sweep.rows,
                batch_size=sweep.loader.batch_size,
                validation=sweep.validation,
            )
            progress = no_progress(count, state, run.out_info[1], sweep.stages[-1])
            return MemberGroup(setup, members, progress), parallelism
        parallelism = smaller


def programs_of(
    sweep: SweepSetup,
    factories: tuple[Factory, Factory],
    static: Mapping[str, Hashable],
    parallelism: Parallelism,
) -> tuple[ProgramSpec, Programs]:
    """Returns the programs of a group, which are traced when they are first asked for."""
    spec = ProgramSpec(
        *factories, sweep.plan, tuple(static.items()), parallelism.width, parallelism.devices
    )
    return spec, make_programs(
        spec,
        has_own_order=sweep.seeds is not None,
        validated=sweep.validation is not None,
        key_kind=sweep.key_kind,
    )


def make_setup(
    sweep: SweepSetup,
    programs: Programs,
    params: PyTree,
    parallelism: Parallelism,
    *,
    compacts: bool,
) -> GroupSetup:
    """Returns what the calls of a group share.

    Args:
        sweep: What all groups share.
        programs: The group's.
        params: Shapes of parameters, with a member axis.
        parallelism: How the group is spread.
        compacts: Whether members that have stopped are left out, once that pays.
    """
    return GroupSetup(
        programs,
        sweep.loader,
        sweep.orders,
        sweep.rows,
        sweep.validation,
        sweep.seeds,
        sweep.stages[-1],
        epochs_per_call(sweep, params, parallelism),
        compacts,
    )


def no_progress(members: int, state: PyTree, metrics: PyTree, epochs: int) -> MembersProgress:
    """Returns the progress of so many members before their first epoch.

    Args:
        members: How many there are.
        state: Shapes of states, with a member axis.
        metrics: Shapes of the metrics that the program of epochs returns.
        epochs: Length of the history.
    """
    names = sorted(set(metrics) - {"finite", "ran"})
    return MembersProgress(
        jax.tree.map(lambda leaf: np.zeros((members, *leaf.shape[1:]), leaf.dtype), state),
        np.full(members, -1),
        {
            name: np.full((members, epochs), np.nan, np.promote_types(metrics[name].dtype, "f4"))
            for name in names
        },
    )


def train_stage(
    groups: Sequence[tuple[MemberGroup, Parallelism]],
    until: int,
    dropped: Bool[np.ndarray, " members"],
    hooks: Hooks,
) -> None:
    """Trains what goes on of all groups until an epoch; an interrupt ends calls under way.

    Raises:
        Exception: What went wrong in any batch; the others end after their calls.
    """
    train = with_settings_of_this_thread(train_member_batch)
    # All are cut before one runs, since threads write to what tells how far members have come.
    batches = [
        (group, batch)
        for group, parallelism in groups
        for batch in _cut_member_batches(group, parallelism, until, dropped[group.members.numbers])
    ]
    if batches:
        hooks.meet(name_process(), describe_machine())
    futures: list[Future[None]] = []
    with ThreadPoolExecutor(min(parallelism.threads for _, parallelism in groups)) as pool:
        while True:
            try:
                # Those after an interrupt, too: they start, and end before their first call.
                for group, batch in batches[len(futures) :]:
                    futures.append(pool.submit(train, group, batch, until, hooks))
                for future in futures:
                    future.result()
                return
            except KeyboardInterrupt:
                hooks.interrupted.set()
            except BaseException:
                # The others shall not go on for nothing.
                hooks.interrupted.set()
                raise


def _cut_member_batches(
    group: MemberGroup, parallelism: Parallelism, until: int, dropped: Bool[np.ndarray, " members"]
) -> Iterator[MemberBatch]:
    """Cuts members that go on into batches; those of a batch have come equally far."""
    epoch = np.asarray(group.progress.state.epoch)
    going = ~np.asarray(group.progress.state.stopped) & (epoch < until) & ~dropped
    if not going.any():
        return
    parallelism = _shrink(group, parallelism, int(going.sum()), until - int(epoch[going].min()))
    for first in np.unique(epoch[going]):
        positions = np.flatnonzero(going & (epoch == first))
        for start in range(0, len(positions), parallelism.per_call):
            yield fill_up(
                positions[start : start + parallelism.per_call],
                parallelism.per_call,
            )


def _shrink(group: MemberGroup, parallelism: Parallelism, going: int, epochs: int) -> Parallelism:
    """Makes batches smaller where few members are left, if that saves more than it compiles."""
    # Of this stage alone: it saves seconds, beside which its calls cost little.
    smaller = spread(going, parallelism, stages=1)
    if smaller.per_call >= parallelism.per_call:
        return parallelism
    saved = _places(parallelism, going) - _places(smaller, going)
    pays = outweighs_compiling(group.setup, group.progress.state, saved * epochs)
    return smaller if pays else parallelism


def _places(parallelism: Parallelism, members: int) -> int:
    """Places that a thread computes one after the other."""
    return parallelism.per_call * -(-members // parallelism.per_call // parallelism.threads)


def epochs_per_call(sweep: SweepSetup, params: PyTree, parallelism: Parallelism) -> int:
    """Returns so many that a call takes about half a second and its row numbers little memory.

    It is a power of two, so that other numbers of epochs share the program: those behind the end
    of a stage are left out.
    """
    batch_size, steps = sweep.loader.batch_size, len(sweep.loader)
    # `params` have the member axis, so that this is the time of all members' steps.
    seconds = seconds_per_step(params, batch_size) * steps
    own = parallelism.per_call if sweep.seeds is not None else 1
    by_memory = _INDEX_NUMBERS // (own * padded_steps(steps) * batch_size)
    most = max(1, min(int(CALL_SECONDS / seconds), by_memory))
    if sweep.plan.stop_rule is not None:
        most = min(most, _EPOCHS_BEFORE_A_STOP)
    longest = int(np.diff((0, *sweep.stages)).max())
    return min(bucket(most + 1) // 2, bucket(longest))


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
