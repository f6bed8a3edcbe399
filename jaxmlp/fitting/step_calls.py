"""Turns any batches into jitted steps, one at a time; a call is an epoch of them, or a part."""

import contextlib
import functools
import time
from collections.abc import Callable, Generator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .calls import Call, NumberedBatch, Run, StepMetrics, count_steps, is_finite, join_metrics
from .fit_state import FitState
from .pace import CALL_SECONDS, Pace, seconds_per_step
from .step_metrics import Metrics

_MOST_KEPT = 256


def run_batches(
    run: Run,
    state: FitState,
    unfinished: StepMetrics,
    epoch_batches: Callable[[int, int], Generator[NumberedBatch]],
) -> Generator[Call]:
    """Takes a step per batch, until `run.epochs` or closed.

    A call's batches are kept, since an iterable need not give the same ones again. Alone, a call
    ends by the clock; processes that share a run have as many clocks, and count steps.

    Args:
        run: What is to be run.
        state: Anywhere in an epoch.
        unfinished: Metrics of the steps that this epoch has taken already.
        epoch_batches: `(epoch, step)` gives an epoch's batches from that step on.
    """
    advance = run.compiled("advance")
    pace: Pace | None = None
    for epoch in range(int(state.epoch), run.epochs):
        steps: list[Metrics] = []
        used: list[NumberedBatch] = []
        most, begin, before = 0, 0.0, state
        batches = epoch_batches(epoch, count_steps(unfinished))
        with contextlib.closing(batches):
            for batch, row_numbers in batches:
                most = most or _kept_batches(batch)
                if run.processes.several:
                    pace = pace or Pace(seconds_per_step(state.train.params, _rows_of(batch)))
                    is_long = len(used) >= pace.steps
                else:
                    is_long = time.perf_counter() - begin > CALL_SECONDS
                if len(used) == most or (used and is_long):
                    unfinished = join_metrics(unfinished, _gather(steps))
                    finite = np.isfinite(unfinished["loss"]).all() and is_finite(state.train.params)
                    again = functools.partial(iter, used)
                    if not finite:
                        batches.close()
                    if pace:
                        pace.observe(len(used), run.first_time(time.perf_counter() - begin))
                    yield Call(before, state, None, bool(finite), again, unfinished)
                    steps, used = [], []
                if not used:
                    begin = time.perf_counter()
                    # A step donates its state, which the caller may keep.
                    before, state = state, jax.tree.map(jnp.copy, state)
                state, metrics = advance(state, batch)
                steps.append(metrics)
                used.append((batch, row_numbers))
        if not used and not unfinished:
            raise ValueError(
                f"data must give at least one batch in every epoch; epoch {epoch} had none."
            )
        unfinished = join_metrics(unfinished, _gather(steps))
        state, ended, finite = run.finish(state, unfinished)
        unfinished = {}
        yield Call(before, state, ended, finite, functools.partial(iter, used), unfinished)


def _rows_of(batch: Any) -> int:
    return max((np.shape(leaf)[0] for leaf in jax.tree.leaves(batch) if np.ndim(leaf)), default=1)


def _kept_batches(batch: Any) -> int:
    """Returns how many batches to keep: up to so many, as long as they take up to 64 MiB."""
    size = sum(getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(batch))
    return max(1, min(_MOST_KEPT, 2**26 // max(1, size)))


@jax.jit
def _stack(steps: list[Metrics]) -> Metrics:
    return jax.tree.map(lambda *values: jnp.stack(values), *steps)


def _gather(steps: list[Metrics]) -> StepMetrics:
    """Stacks steps' metrics, 64 at a time: one by one is slow, and so is a stack of many."""
    filled = steps + steps[-1:] * (-len(steps) % 64)
    parts = [_stack(filled[start : start + 64]) for start in range(0, len(filled), 64)]
    names = parts[0] if parts else ()
    return {n: np.concatenate([np.asarray(p[n]) for p in parts])[: len(steps)] for n in names}
