"""Turns epochs over rows on the device into calls of one or several whole epochs each."""

import functools
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..data import DataLoader
from ..loading import place_whole
from ..network import Batch
from .buckets import bucket, padded_index, places_for
from .calls import Call, Run, replay_places
from .fit_state import FitState
from .partitioning import PartedRows
from .step_metrics import Metrics

# Epochs that a call has places for, if so many may be joined, however few are left.
_FEWEST_PLACES = 16


def run_epochs(
    run: Run,
    state: FitState,
    loader: DataLoader,
    rows: Batch | PartedRows,
    joined: int,
    next_look: Callable[[int], int],
) -> Generator[Call]:
    """Takes up to `joined` epochs in every call, until `run.epochs` or closed.

    Args:
        run: What is to be run.
        state: Before an epoch.
        loader: Its order of rows.
        rows: Its rows, on the device.
        joined: Most epochs in a call, at least 1.
        next_look: Of an epoch, the next one at which a call has to end.
    """
    first = int(state.epoch)
    # Rounded, so that other numbers of epochs share the program, which skips those behind the last.
    joined = min(bucket(joined + 1) // 2, max(bucket(run.epochs - first), _FEWEST_PLACES))
    if run.plan.stop_rule is not None:
        # It may end long before: orders are then drawn for nothing, and all ends share a program.
        joined = min(joined, _FEWEST_PLACES)

    def cut() -> Generator[tuple[int, np.ndarray]]:
        start = first
        while start < run.epochs:
            end = min(start + joined, run.epochs, next_look(start))
            yield end, _joined_index(loader, start, joined, end)
            start = end

    cuts = cut()
    ahead = next(cuts, None)
    while ahead is not None:
        end, index = ahead
        after, metrics = _call(run, state, loader, rows, index, end)
        # The device runs meanwhile.
        ahead = next(cuts, None)
        # Together: each way from a device takes its time. The state's numbers are kept with it.
        metrics, *_ = jax.device_get((metrics, after.epoch, after.stopped))
        finite = metrics.pop("finite")
        if not finite.all():
            bad = int(finite.argmin())
            yield from _split_at(bad, run, state, after, loader, rows, index)
            return
        used = index[: end - int(state.epoch), : len(loader)]
        yield Call(
            state, after, metrics, True, functools.partial(replay_places, loader, rows, used), {}
        )
        state = after


def _call(
    run: Run,
    state: FitState,
    loader: DataLoader,
    rows: Batch | PartedRows,
    index: np.ndarray,
    end: int,
) -> tuple[FitState, Metrics]:
    steps = places_for(len(loader)).taken
    compiled = run.compiled("run_epochs")
    if run.layout is not None:
        places: Any = place_whole(index, run.layout.whole)
    else:
        places = index
    return compiled(state, rows, places, np.int32(end), run.validation, steps=steps)


def _split_at(
    bad: int,
    run: Run,
    state: FitState,
    after: FitState,
    loader: DataLoader,
    rows: Batch | PartedRows,
    index: np.ndarray,
) -> Generator[Call]:
    """Repeats the epochs before the bad one, so that what they gave is kept."""
    used = index[:, : len(loader)]
    if bad:
        good, metrics = _call(run, state, loader, rows, index, int(state.epoch) + bad)
        del metrics["finite"]
        yield Call(
            state,
            good,
            metrics,
            True,
            functools.partial(replay_places, loader, rows, used[:bad]),
            {},
        )
        state = good
    yield Call(
        state, after, None, False, functools.partial(replay_places, loader, rows, used[bad]), {}
    )


def _joined_index(
    loader: DataLoader, first: int, joined: int, end: int
) -> Int[np.ndarray, "epochs steps batch"]:
    """Orders of the epochs before `end`; behind there are none, and the program skips them."""
    index = np.zeros((joined, places_for(len(loader)).total, loader.batch_size), np.int32)
    for place, epoch in enumerate(range(first, end)):
        index[place] = padded_index(loader, epoch)
    return index
