"""Turns epochs over rows on the device into calls of one or several whole epochs each."""

import functools
from collections.abc import Generator

import numpy as np
from jaxtyping import Int

from ..data import DataLoader
from ..types import Batch
from .calls import Call, Run, replay
from .program import FitState


def run_epochs(
    run: Run, state: FitState, loader: DataLoader, rows: Batch, joined: int
) -> Generator[Call]:
    """Takes `joined` epochs in every call, until `run.epochs` or closed.

    Args:
        run: What is to be run.
        state: Before an epoch.
        loader: Its order of rows.
        rows: Its rows, on the device.
        joined: Epochs in a call, at least 1.
    """
    compiled = run.compiled("run_epochs")
    start = int(state.epoch)
    joined = min(joined, run.epochs)
    index = _joined_index(loader, start, joined, run.epochs)
    for first in range(start, run.epochs, joined):
        after, metrics = compiled(state, rows, index, np.int32(run.epochs), run.validation)
        used = index
        if first + joined < run.epochs:
            # The device runs meanwhile.
            index = _joined_index(loader, first + joined, joined, run.epochs)
        finite = np.asarray(metrics.pop("finite"))
        if not finite.all():
            yield from _split_at(int(finite.argmin()), run, state, after, rows, used)
            return
        yield Call(state, after, metrics, True, functools.partial(replay, rows, used), {})
        state = after


def _split_at(
    bad: int, run: Run, state: FitState, after: FitState, rows: Batch, index: np.ndarray
) -> Generator[Call]:
    """Repeats the epochs before the bad one, so that what they gave is kept."""
    if bad:
        end = np.int32(int(state.epoch) + bad)
        good, metrics = run.compiled("run_epochs")(state, rows, index, end, run.validation)
        del metrics["finite"]
        yield Call(state, good, metrics, True, functools.partial(replay, rows, index[:bad]), {})
        state = good
    yield Call(state, after, None, False, functools.partial(replay, rows, index[bad]), {})


def _joined_index(
    loader: DataLoader, first: int, joined: int, epochs: int
) -> Int[np.ndarray, "epochs steps batch"]:
    """Orders of the next epochs; those after the last repeat it, and the program skips them."""
    numbers = range(first, min(first + joined, epochs))
    orders = [loader.index(epoch).astype(np.int32) for epoch in numbers]
    return np.stack(orders + orders[-1:] * (joined - len(orders)))
