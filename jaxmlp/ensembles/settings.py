"""The settings that every sweep takes, `fit_members` and `search` alike."""

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Literal, TypedDict

from ..fitting import FitSettings, SettingsGroup
from ..storage import Checkpoints
from .parallelism import Strategy


class SweepSettings(TypedDict, total=False):
    """How members are computed, and what is kept of them on the way.

    Args:
        nonfinite: What to do where a member meets NaN or infinity: "stop" it at its last good
            state, with one warning for all such members at the end, or "skip" the step. Either way
            the other members go on as if nothing had happened. `search` never chooses a candidate
            with a member that was stopped so.
        strategy: "vmap" computes all members at once; "map" some at once, one batch of them after
            the other, which keeps them in a CPU's caches; "shard" spreads them over the local
            devices. "auto" takes "map" on CPU, else "shard" where there are several devices, else
            "vmap". Results do not depend on it beyond rounding: members are computed one after the
            other whatever it is where they draw from keys of another kind than "threefry2x32",
            which would draw other numbers together.
        members_at_once: How many members "map", or each device of "shard", computes at once, at
            least 1; by default 4 on a CPU, or 1 with `patience`, where a stopped member then costs
            nothing further.
        threads: How many threads run "map", at least 1; by default one per core of a CPU.
        executor: Where to train members: a `concurrent.futures.Executor`, such as what Dask's
            `client.get_executor()` returns, or a function of no arguments that makes one, which is
            asked for another where it breaks; `None` trains here. Members are cut into pieces, of
            sizes that follow from numbers of members, steps and parameters alone, so that the
            result is bit for bit that of any other executor, an executor of this process included,
            on the same versions and instructions of the CPU; workers tell theirs. It is that of a
            sweep without executor where `members_at_once` is 1, and up to rounding elsewhere. Rows
            are sent to each worker once, functions by cloudpickle; needs `jaxmlp[cluster]`.
            Members whose workers die again and again are given up: "lost" in `stopped_by`.
        members_per_piece: How many members a worker trains in one task with `executor`, at least 1,
            rounded up to a multiple of those at once; by default so many that it takes some
            seconds, and at most a 64th of them.
        memory: Bytes that the sweep may take on a device, at least 1; by default what it has left.
            A sweep that does not fit is split, into one member at a time if need be.
        progress: Whether to show a progress bar over the epochs of all members; `None` shows it in
            terminals and notebooks. With `executor` it tells how many members have come back since
            the last stage.
        checkpoint: As for `fit`. With `executor`, every piece is kept when it arrives, too.
        resume: As for `fit`; strategy, threads, memory and executor may be others than then. A
            warning names what differs if machines that compute other bits have trained the sweep.
    """

    nonfinite: Literal["skip", "stop"]
    strategy: Strategy | Literal["auto"]
    members_at_once: int | None
    threads: int | None
    executor: Executor | Callable[[], Executor] | None
    members_per_piece: int | None
    memory: int | None
    progress: bool | None
    checkpoint: str | Path | Checkpoints | None
    resume: bool


SWEEP_SETTINGS = SettingsGroup(
    SweepSettings,
    {
        "nonfinite": "stop",
        "strategy": "auto",
        "members_at_once": None,
        "threads": None,
        "executor": None,
        "members_per_piece": None,
        "memory": None,
        "progress": None,
        "checkpoint": None,
        "resume": False,
    },
)


class MemberSettings(FitSettings, SweepSettings, total=False):
    """Both, for annotations."""
