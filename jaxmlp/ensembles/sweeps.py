"""Turns a group of members into calls that fit into memory, and runs them, in threads on a CPU."""

import contextlib
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ..data import DataLoader
from ..pace import CALL_SECONDS, seconds_per_step
from ..program import Plan
from ..types import Batch
from .layout import Layout, available_memory, split_layout
from .programs import make_programs
from .recipes import Maker, Recipe
from .runs import (
    Members,
    Record,
    Sweep,
    Trained,
    shape_of_index,
    stack_trained,
    take_members,
    train_piece,
)

# Row numbers in one call: 64 MB.
_INDEX_NUMBERS = 2**24


class Common(NamedTuple):
    """What all groups of a sweep share; `memory` in bytes, `None` for what the device has left."""

    plan: Plan
    loader: DataLoader
    rows: Batch
    validation: PyTree | None
    seeds: np.ndarray | None
    epochs: int
    memory: int | None
    key_kind: Hashable
    interrupted: threading.Event


def plan_sweep(
    common: Common,
    makers: tuple[Maker, Maker, Maker | None],
    static: Mapping[str, Hashable],
    members: Members,
    layout: Layout,
) -> tuple[Sweep, Layout]:
    """Compiles the programs of a group, for as many members at once as fit into the memory."""
    memory = available_memory() if common.memory is None else common.memory
    count = len(members.numbers)
    while True:
        recipe = Recipe(*makers, common.plan, tuple(static.items()), layout.width)
        programs = make_programs(
            recipe,
            has_own_order=common.seeds is not None,
            validated=common.validation is not None,
            key_kind=common.key_kind,
        )
        piece = take_members(members, np.arange(min(layout.piece, count)), layout.piece)
        start = programs.compiled("start", piece.params, piece.inputs, piece.keys)
        state = start.out_info
        sweep = Sweep(
            programs,
            common.loader,
            common.rows,
            common.validation,
            common.seeds,
            common.epochs,
            _epochs_per_call(common, state.train.params, layout),
            layout.width == count > 1,
            common.interrupted,
        )
        index = shape_of_index(sweep, piece)
        run = programs.compiled(
            "run", state, piece.inputs, common.rows, index, piece.limits, common.validation
        )
        smaller = split_layout(layout)
        if memory is None or smaller is None:
            return sweep, layout
        if layout.threads * _bytes_of_call(run) <= memory:
            return sweep, layout
        layout = smaller


def train_members(sweep: Sweep, layout: Layout, members: Members) -> tuple[Trained, list[Record]]:
    """Trains all members of a group, piece by piece; an interrupt ends each after its call."""
    numbers = np.arange(len(members.numbers))
    pieces = [
        take_members(members, numbers[first : first + layout.piece], layout.piece)
        for first in range(0, len(numbers), layout.piece)
    ]
    train = _with_settings_of_this_thread(train_piece)
    with ThreadPoolExecutor(layout.threads) as pool:
        futures = [pool.submit(train, sweep, piece) for piece in pieces]
        while True:
            try:
                results = [future.result() for future in futures]
                break
            except KeyboardInterrupt:
                sweep.interrupted.set()
            except BaseException:
                # The others shall not go on for nothing.
                sweep.interrupted.set()
                raise
    trained = [part for parts, _ in results for part in parts]
    return stack_trained(trained), [record for _, records in results for record in records]


def _with_settings_of_this_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Takes JAX's settings along, which context managers set for one thread only."""
    managers: dict[str, Callable[[Any], Any]] = {
        "jax_enable_x64": jax.enable_x64,
        "jax_default_device": jax.default_device,
        "jax_default_matmul_precision": jax.default_matmul_precision,
        "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
    }
    settings = {name: getattr(jax.config, name) for name in managers}

    def call(*arguments: Any) -> Any:
        with contextlib.ExitStack() as stack:
            for name, value in settings.items():
                stack.enter_context(managers[name](value))
            return function(*arguments)

    return call


def _epochs_per_call(common: Common, params: PyTree, layout: Layout) -> int:
    """So many that a call takes about half a second and its row numbers little memory.

    Calls are of one length, and the last has few epochs, if any, beyond those asked for.
    """
    batch_size, steps = common.loader.batch_size, len(common.loader)
    # `params` have the member axis, so that this is the time of all members' steps.
    seconds = seconds_per_step(params, batch_size) * steps
    own = layout.piece if common.seeds is not None else 1
    by_memory = _INDEX_NUMBERS // (own * steps * batch_size)
    most = max(1, min(common.epochs, int(CALL_SECONDS / seconds), by_memory))
    calls = -(-common.epochs // most)
    return -(-common.epochs // calls)


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
