"""Turns a number of members and a strategy into members per call."""

import dataclasses
from typing import Any, Literal, TypeAlias, get_args

import jax

from ..checks import require_int, require_name
from ..fitting import count_cores

Strategy: TypeAlias = Literal["vmap", "map", "shard"]

# At once on a CPU core, where nothing is stopped early: benchmarks/NOTES.md has the measurement.
_MAPPED_WIDTH = 4
# Calls per thread, so that threads end together though members stop at epochs of their own.
_CALLS_PER_THREAD = 4
# Parts of a call in a loop: it holds states before and after it, and orders of rows. More save no
# time.
_MOST_PARTS = 32
# Calls of a sweep that together cost less than compiling a loop over members into its program.
_FEW_CALLS = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallelism:
    """How members are spread: over `devices`, and `threads` calls at a time.

    A call takes `per_call`; each device computes `width` of its own at once.
    """

    per_call: int
    width: int
    threads: int
    devices: int = 1


def choose_parallelism(
    members: int,
    *,
    strategy: Strategy | Literal["auto"],
    members_at_once: int | None,
    threads: int | None,
    stops_early: bool,
    stages: int,
) -> Parallelism:
    """Spreads members as the strategy says, or as was measured to be fastest on such a device.

    `stages` is how often all members wait for each other.

    Raises:
        TypeError: A number is no int, or the strategy no text.
        ValueError: The strategy is not known, a number is out of range or has no effect.
    """
    require_name("strategy", strategy, ("auto", *get_args(Strategy)))
    on_cpu = jax.default_backend() == "cpu"
    devices = len(jax.local_devices())
    if strategy == "auto":
        strategy = "map" if on_cpu or members_at_once is not None else "vmap"
        strategy = "shard" if devices > 1 and not on_cpu and threads is None else strategy
    if strategy == "vmap":
        for name, value in (("members_at_once", members_at_once), ("threads", threads)):
            if value is not None:
                raise ValueError(
                    f"{name} is a setting of strategy='map'; with strategy='vmap' all members are "
                    f"computed at once; got {name}={value}."
                )
        return Parallelism(per_call=members, width=members, threads=1)
    if strategy == "map":
        devices = 1
    else:
        _require_devices(devices, threads)
        threads = 1
    if threads is None:
        threads = count_cores() if on_cpu else 1
    threads = require_int("threads", threads, 1, None)
    each = -(-members // (threads * devices))
    if members_at_once is None:
        members_at_once = each
        if on_cpu or strategy == "map":
            # Members of one batch go on until the last of them stops.
            members_at_once = 1 if stops_early else min(_MAPPED_WIDTH, each)
    members_at_once = require_int("members_at_once", members_at_once, 1, None)
    width = min(members_at_once, -(-members // devices))
    return spread(
        members,
        Parallelism(per_call=members, width=width, threads=threads, devices=devices),
        stages=stages,
    )


def choose_width(members: int, members_at_once: int | None, *, stops_early: bool) -> int:
    """Returns how many of so many members are computed at once on a CPU, or as is asked for.

    Raises:
        TypeError: `members_at_once` is no int.
        ValueError: It is below 1.
    """
    if members_at_once is None:
        # Members of one batch go on until the last of them stops.
        members_at_once = 1 if stops_early else _MAPPED_WIDTH
    members_at_once = require_int("members_at_once", members_at_once, 1, None)
    return min(members_at_once, members)


def draws_alike(*kinds: Any) -> bool:
    """Whether `vmap` over keys of these kinds, and of JAX's default, draws what each draws alone.

    Only "threefry2x32" does: of a batch of keys, "rbg" draws all from the first.

    References:
        The table in the documentation of `jax.random`, "Advanced RNG configuration".
    """
    config: Any = jax.config
    return {*map(str, kinds), str(config.jax_default_prng_impl)} == {"threefry2x32"}


def spread(members: int, like: Parallelism, *, stages: int) -> Parallelism:
    """Cuts members into calls that end together on all devices and in all threads.

    A call takes what is computed at once where that makes few calls in all stages together, and
    else several such parts, up to 32, in a loop.
    """
    width = min(like.width, -(-members // like.devices))
    at_once = width * like.devices
    calls = like.threads * _CALLS_PER_THREAD if like.threads > 1 else 1
    parts = -(-members // at_once)
    if like.threads > 1 and parts * stages <= _FEW_CALLS:
        calls = parts
    per_call = at_once * min(-(-parts // calls), _MOST_PARTS)
    return dataclasses.replace(like, per_call=per_call, width=width)


def _require_devices(devices: int, threads: int | None) -> None:
    if threads is not None:
        raise ValueError(
            "threads is a setting of strategy='map'; with strategy='shard' the devices compute at "
            f"the same time; got threads={threads}."
        )
    if devices == 1:
        raise ValueError(
            "strategy='shard' needs several local devices; got one. A CPU becomes several by "
            "jax.config.update('jax_num_cpu_devices', cores) before JAX is first used."
        )


def with_less_memory(parallelism: Parallelism) -> Parallelism | None:
    """Returns a parallelism of about half the memory, or `None` where there is none."""
    at_once = parallelism.width * parallelism.devices
    if parallelism.per_call > at_once:
        return dataclasses.replace(
            parallelism, per_call=at_once * -(-parallelism.per_call // at_once // 2)
        )
    if parallelism.width > 1:
        half = -(-parallelism.width // 2)
        return dataclasses.replace(parallelism, per_call=half * parallelism.devices, width=half)
    return dataclasses.replace(parallelism, threads=1) if parallelism.threads > 1 else None
