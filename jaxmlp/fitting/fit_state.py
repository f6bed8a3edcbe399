"""Turns the state before the first step into that of a run: averages, the best so far, patience."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ..losses.weights import wide_type
from ..train_step import TrainState
from .settings import Plan, StopRule


class Counted(NamedTuple):
    """The last value that was better than the one counted before by more than `min_delta`."""

    value: Float[Array, ""]
    epoch: Int[Array, ""]


class FitState(NamedTuple):
    """Everything that a run reads and writes.

    `average` are averaged parameters and `averaged` how many went into them; `best_params` those
    with the best monitored value so far, in epoch `best_epoch`; `stopped` whether patience ran out
    or an epoch was not finite. `counted` is what patience goes by where that is not the best value;
    `stopping` is what the plan's `StopRule` remembers, if it has one.
    """

    train: TrainState
    average: PyTree | None
    averaged: Int[Array, ""]
    best_params: PyTree | None
    best_value: Float[Array, ""]
    best_epoch: Int[Array, ""]
    epoch: Int[Array, ""]
    stopped: Bool[Array, ""]
    counted: Counted | None = None
    stopping: PyTree | None = None


def init_fit_state(train: TrainState, plan: Plan, *, validated: bool) -> FitState:
    """Returns the state before the first epoch."""
    averages = plan.ema_decay is not None or plan.swa_start is not None
    records = _init_records(
        train.params,
        averages=averages,
        mode=plan.mode,
        validated=validated,
        counts=plan.min_delta > 0,
        stop_rule=plan.stop_rule,
    )
    return FitState(train=train, **records)


# Jitted, since eager operations compile a program each.
@functools.partial(
    jax.jit, static_argnames=("averages", "mode", "validated", "counts", "stop_rule")
)
def _init_records(
    params: PyTree,
    *,
    averages: bool,
    mode: str,
    validated: bool,
    counts: bool,
    stop_rule: StopRule | None,
) -> dict[str, Any]:
    worst = jnp.asarray(jnp.inf if mode == "min" else -jnp.inf, float)
    never = jnp.asarray(-1, jnp.int32)
    return {
        "average": jax.tree.map(_wide_copy, params) if averages else None,
        "averaged": jnp.zeros((), jnp.int32),
        "best_params": jax.tree.map(jnp.copy, params) if validated else None,
        "best_value": worst,
        "best_epoch": never,
        "epoch": jnp.zeros((), jnp.int32),
        "stopped": jnp.zeros((), bool),
        "counted": Counted(worst, never) if counts else None,
        "stopping": None if stop_rule is None else stop_rule.init(params),
    }


def _wide_copy(a: Array) -> Array:
    # In 16 bits, an average would not move by less than a digit of the parameters.
    return jnp.copy(a.astype(wide_type(a.dtype)))


def note_value(
    plan: Plan, state: FitState, value: Float[Array, ""]
) -> tuple[FitState, Bool[Array, ""]]:
    """Notes an epoch's monitored value; says whether it is the best so far.

    The least improvement is the best value. What patience counts has to exceed `min_delta`, from
    the value that was counted last: many small improvements are one in the end.
    """
    sign = 1 if plan.mode == "min" else -1

    def improves(on: Array, by: float) -> Bool[Array, ""]:
        return jnp.isfinite(value) & (sign * value < sign * on - by)

    best = improves(state.best_value, 0.0)
    counted = state.counted
    if counted is not None:
        counts = improves(counted.value, plan.min_delta)
        counted = Counted(
            jnp.where(counts, value, counted.value),
            jnp.where(counts, state.epoch, counted.epoch),
        )
    return state._replace(
        best_value=jnp.where(best, value, state.best_value),
        best_epoch=jnp.where(best, state.epoch, state.best_epoch),
        counted=counted,
    ), best
