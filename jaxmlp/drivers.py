"""Turns a run over a loader into calls of a chosen size: a step, a chunk, an epoch, or several.

Every driver runs the same pure step on the same batches; they differ in how many steps one compiled
call takes, and so in what a step costs beside its arithmetic.
"""

import functools
from collections.abc import Generator, Iterator
from typing import Literal, TypeAlias, get_args

import jax
import numpy as np
from jaxtyping import Int, PyTree

from .calls import Call, NumberedBatch, Run, StepMetrics
from .data import DataLoader
from .pace import CALL_SECONDS, Pace, seconds_per_step
from .parts import make_blocks, make_chunks, replay, run_batches, run_parts
from .program import FitState
from .streaming import Block
from .types import Batch

Driver: TypeAlias = Literal["step", "chunk", "epoch", "epochs"]
DRIVERS: tuple[str, ...] = get_args(Driver)


def choose_driver(params: PyTree, loader: DataLoader, *, each_epoch: bool) -> Driver:
    """Picks the driver by the estimated time of an epoch; benchmarks/NOTES.md has the measurement.

    Rows that are not dense in memory go to the device in blocks of batches, a chunk each; batches
    that lie over several devices are driven step by step. An epoch above a second is cut into
    chunks, so that an interrupt is answered soon; epochs below a twentieth are joined, unless the
    host wants to see each one.
    """
    if loader.rows is None:
        return "chunk" if loader.sharding is None else "step"
    epoch_seconds = seconds_per_step(params, loader.batch_size) * len(loader)
    if epoch_seconds > 2 * CALL_SECONDS:
        return "chunk"
    return "epochs" if epoch_seconds < 0.05 and not each_epoch else "epoch"


def order_index(loader: DataLoader, epoch: int) -> Int[np.ndarray, "steps batch"]:
    """Returns the row numbers of every batch of an epoch in the device's integers."""
    return loader.index(epoch).astype(np.int32)


def run_loader(
    driver: Driver,
    run: Run,
    state: FitState,
    loader: DataLoader,
    unfinished: StepMetrics,
) -> Generator[Call]:
    """Runs over a loader's rows until `run.epochs` or closed.

    Epochs need dense rows in memory, and chunks batches that are not sharded. `state` may stand
    within an epoch, of which `unfinished` has the steps' metrics.
    """
    if driver == "step":
        yield from run_batches(run, state, unfinished, functools.partial(_read_epoch, loader))
        return
    seconds = seconds_per_step(state.train.params, loader.batch_size)
    if loader.rows is None:
        # Blocks are not cut to a measured pace: half a second, if the estimate holds.
        yield from _run_blocks(run, state, loader, unfinished, Pace(0.2 * seconds))
        return
    # The loader's arrays cannot change, so that the device may use their memory.
    rows = jax.device_put(loader.rows)
    if driver == "chunk" or unfinished:
        end = run.epochs if driver == "chunk" else int(state.epoch) + 1
        chunks = make_chunks(run, rows, functools.partial(order_index, loader))
        steps, pace = len(loader), Pace(seconds)
        for call in run_parts(run, state, unfinished, chunks, pace, steps=steps, end=end):
            yield call
            state = call.after
    if driver != "chunk":
        joined = 1 if driver == "epoch" else max(1, int(0.1 / (seconds * len(loader))))
        yield from _run_epochs(run, state, rows, loader, joined)


def _run_blocks(
    run: Run, state: FitState, loader: DataLoader, unfinished: StepMetrics, pace: Pace
) -> Generator[Call]:
    """Takes a block in every call; all have the size that the pace starts with."""
    batches = pace.steps

    def read_blocks(epoch: int, step: int) -> Iterator[Block]:
        # A sampler may depend on what is done between epochs.
        epochs = 1 if loader.window_chunks is None else run.epochs - epoch
        return loader.blocks(epoch, step=step, batches=batches, epochs=epochs)

    steps = len(loader)
    blocks = make_blocks(run, read_blocks, steps=steps)
    yield from run_parts(run, state, unfinished, blocks, pace, steps=steps, end=run.epochs)


def _run_epochs(
    run: Run, state: FitState, rows: Batch, loader: DataLoader, joined: int
) -> Generator[Call]:
    """Takes so many epochs in every call."""
    run_epochs = run.compiled("run_epochs")
    start = int(state.epoch)
    joined = min(joined, run.epochs)
    index = _joined_index(loader, start, joined, run.epochs)
    for first in range(start, run.epochs, joined):
        after, metrics = run_epochs(state, rows, index, np.int32(run.epochs), run.validation)
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
    orders = [order_index(loader, epoch) for epoch in range(first, min(first + joined, epochs))]
    return np.stack(orders + orders[-1:] * (joined - len(orders)))


def _read_epoch(loader: DataLoader, epoch: int, step: int) -> Generator[NumberedBatch]:
    yield from loader.numbered(epoch, step)
