"""Turns groups of members into what a sweep's workers are sent: traced here, compiled there."""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Int, PyTree

from ..checks import require_int
from ..fitting import FitState
from .factories import Factory
from .parallelism import Parallelism, Strategy, choose_width, draws_alike
from .runs import (
    GroupSetup,
    MemberGroup,
    Members,
    run_inputs,
    shape_of_index,
)
from .sweeps import SweepSetup, make_setup, no_progress, programs_of
from .weight_effects import require_weighed


class GroupPlan(NamedTuple):
    """What a worker must know of a group: what its members share, and how many it computes at once.

    `members` are the members per piece that were asked for, `None` where they are chosen; `in_all`
    are all of the group.
    """

    static: Mapping[str, Hashable]
    width: int
    members: int | None
    in_all: int


class Shared(NamedTuple):
    """What all pieces of a sweep need; each worker is sent it once. `init` draws parameters."""

    sweep: SweepSetup
    factories: tuple[Factory, Factory]
    init: Factory | None
    groups: tuple[GroupPlan, ...]


class Piece(NamedTuple):
    """Members of one group to train until an epoch, in a program of so many `places`.

    `state` is `None` before their first epoch, and the members' `params` where the worker draws
    them.
    """

    group: int
    places: int
    until: int
    members: Members
    state: FitState | None


class Trained(NamedTuple):
    """What has become of the members of a piece; `history` is that of its own epochs."""

    state: FitState
    bad_step: Int[np.ndarray, " members"]
    history: dict[str, np.ndarray]


class TracedGroup(NamedTuple):
    """A group whose programs are traced; `state` and `metrics` are shapes, with a member axis."""

    setup: GroupSetup
    width: int
    state: FitState
    metrics: PyTree


def choose_piece_parallelism(
    members: int,
    *,
    strategy: Strategy | Literal["auto"],
    members_at_once: int | None,
    threads: int | None,
    memory: int | None,
    members_per_piece: int | None,
    stops_early: bool,
) -> Parallelism:
    """Returns how a worker computes members: so many at once, in one thread.

    Raises:
        TypeError: A number is no int.
        ValueError: A setting is out of range, or has no effect with an executor.
    """
    if strategy not in ("auto", "map"):
        raise ValueError(
            "strategy must be 'auto' or 'map' with executor, whose workers compute some members at "
            f"once, one piece after the other; got strategy={strategy!r}."
        )
    for name, value, instead in (
        ("threads", threads, "start more workers"),
        ("memory", memory, "choose members_at_once so that as many fit"),
    ):
        if value is not None:
            raise ValueError(
                f"{name} is a setting of sweeps in this process, and has no effect with executor: "
                f"{instead}; got {name}={value}."
            )
    if members_per_piece is not None:
        require_int("members_per_piece", members_per_piece, 1, None)
        members = min(members, members_per_piece)
    width = choose_width(members, members_at_once, stops_early=stops_early)
    return Parallelism(per_call=width, width=width, threads=1)


def trace_pieces(
    sweep: SweepSetup,
    factories: tuple[Factory, Factory],
    static: Mapping[str, Hashable],
    members: Members,
    parallelism: Parallelism,
) -> tuple[MemberGroup, Parallelism]:
    """Traces the programs of a group, of which at least one member has parameters.

    Raises:
        ValueError: The loss does not depend on weights that are given.
    """
    first: Members = jax.tree.map(lambda leaf: leaf[:1], members)
    traced = trace_group(sweep, factories, static, first, parallelism)
    group = new_group(traced, members, sweep.stages[-1])
    width = traced.width
    return group, dataclasses.replace(parallelism, per_call=width, width=width)


def trace_group(
    sweep: SweepSetup,
    factories: tuple[Factory, Factory],
    static: Mapping[str, Hashable],
    one: Members,
    parallelism: Parallelism,
) -> TracedGroup:
    """Traces the programs of a group for the members of one call, and compiles nothing.

    Args:
        sweep: What all groups share.
        factories: What make a member's loss and optimizer.
        static: Hyperparameters that are no numbers.
        one: At least one member, parameters included.
        parallelism: How many members one call has, and how many of them are computed at once.

    Raises:
        ValueError: The loss does not depend on weights that are given.
    """
    batch = shapes_of(one, parallelism.per_call)
    while True:
        spec, programs = programs_of(sweep, factories, static, parallelism)
        state = programs.shapes("start", batch.params, batch.inputs, batch.keys)
        if parallelism.width == 1 or draws_alike(*programs.kinds_of_keys(state)):
            break
        parallelism = dataclasses.replace(parallelism, width=1)
    setup = make_setup(sweep, programs, state.train.params, parallelism, compacts=False)
    index = shape_of_index(setup, batch)
    limits = np.zeros(parallelism.per_call, np.int32)
    _, metrics = programs.shapes("run", state, *run_inputs(setup, batch, index, limits))
    require_weighed(
        spec,
        one.params,
        one.inputs,
        rows=sweep.rows,
        batch_size=sweep.loader.batch_size,
        validation=sweep.validation,
    )
    return TracedGroup(setup, parallelism.width, state, metrics)


def shapes_of(one: Members, places: int) -> Members:
    """Returns the shapes of so many members like one; their numbers are none."""

    def shape(leaf: np.ndarray) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((places, *leaf.shape[1:]), leaf.dtype)

    return jax.tree.map(shape, one)._replace(numbers=np.zeros(places, int))


def new_group(traced: TracedGroup, members: Members, epochs: int) -> MemberGroup:
    """Returns a group of members before their first epoch."""
    progress = no_progress(len(members.numbers), traced.state, traced.metrics, epochs)
    return MemberGroup(traced.setup, members, progress)
