"""Turns epochs into calls of several steps each: over rows on the device, or over blocks of them.

Rows that are not dense in memory go to the device in blocks of stacked batches, one to a call.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import jax
import numpy as np

from ..data import DataLoader
from ..loading import Block, place_whole
from ..network import Batch
from .buckets import padded_index
from .calls import (
    Call,
    NumberedBatch,
    Run,
    StepMetrics,
    count_steps,
    join_metrics,
    replay,
    replay_places,
)
from .fit_state import FitState
from .pace import Pace
from .partitioning import PartedRows
from .step_metrics import Metrics


class _Chunk(NamedTuple):
    """Successive steps of an epoch that one compiled call takes.

    `run` returns metrics with one entry per step, those of these steps from `first` on.
    """

    first: int
    steps: int
    run: Callable[[FitState], tuple[FitState, Metrics]]
    batches: Callable[[], Iterator[NumberedBatch]]


def run_chunks(
    run: Run,
    state: FitState,
    unfinished: StepMetrics,
    loader: DataLoader,
    rows: Batch | PartedRows,
    pace: Pace,
    *,
    end: int,
) -> Generator[Call]:
    """Takes as many steps in every call as the pace says, up to epoch `end`.

    Args:
        run: What is to be run.
        state: Anywhere in an epoch.
        unfinished: Metrics of the steps that this epoch has taken already.
        loader: Its order of rows.
        rows: Its rows, on the device.
        pace: How many steps a call should take.
        end: Number of the epoch to stop before.
    """
    # Calls of any size share one program.
    run_steps, layout = run.compiled("run_steps"), run.layout

    def cut(epoch: int, step: int) -> Generator[_Chunk]:
        index = padded_index(loader, epoch)
        # Once, for all calls of the epoch.
        on_device = jax.device_put(index) if layout is None else place_whole(index, layout.whole)
        while step < len(loader):
            steps = min(pace.steps, len(loader) - step)
            bounds = {"start": np.int32(step), "count": np.int32(steps)}
            call = functools.partial(run_steps, rows=rows, index=on_device, **bounds)
            again = functools.partial(replay_places, loader, rows, index[step:][:steps])
            yield _Chunk(step, steps, call, again)
            step += steps

    return _run(run, state, unfinished, cut, pace, steps=len(loader), end=end)


def run_blocks(
    run: Run, state: FitState, unfinished: StepMetrics, loader: DataLoader, pace: Pace
) -> Generator[Call]:
    """Takes a block of batches in every call, all of the size that the pace starts with.

    The next block is read, and on its way to the device, while the device runs the one before.
    """
    run_block = run.compiled("run_block")
    batches, steps, ahead = pace.steps, len(loader), _Ahead()

    def cut(epoch: int, step: int) -> Generator[_Chunk]:
        if ahead.block is None:
            # A sampler may depend on what is done between epochs.
            epochs = 1 if loader.window_chunks is None else run.epochs - epoch
            blocks = loader.blocks(epoch, step=step, batches=batches, epochs=epochs)
            ahead.start(map(_to_device, blocks) if run.layout is None else blocks)
        while step < steps:
            block = ahead.block
            assert block is not None

            def call(state: FitState, block: Block = block) -> tuple[FitState, Metrics]:
                result = run_block(state, block.batch, np.int32(len(block.numbers)))
                ahead.advance()
                return result

            try:
                again = functools.partial(_unstack, loader, block)
                yield _Chunk(0, len(block.numbers), call, again)
            except GeneratorExit:
                # Ends the reading, also where an error's traceback keeps this frame.
                ahead.start(iter(()))
                raise
            step += len(block.numbers)

    return _run(run, state, unfinished, cut, pace, steps=steps, end=run.epochs)


def _run(
    run: Run,
    state: FitState,
    unfinished: StepMetrics,
    cut: Callable[[int, int], Generator[_Chunk]],
    pace: Pace,
    *,
    steps: int,
    end: int,
) -> Generator[Call]:
    """Runs up to epoch `end`, each of so many steps in the chunks `cut(epoch, step)`."""
    for epoch in range(int(state.epoch), end):
        # An error's traceback would keep what is open in there.
        with contextlib.closing(cut(epoch, count_steps(unfinished))) as chunks:
            for chunk in chunks:
                begin = time.perf_counter()
                after, metrics = chunk.run(state)
                finite = bool(metrics.pop("finite"))
                pace.observe(chunk.steps, run.first_time(time.perf_counter() - begin))
                taken = slice(chunk.first, chunk.first + chunk.steps)
                unfinished = join_metrics(
                    unfinished, {n: np.asarray(v)[taken] for n, v in metrics.items()}
                )
                before, state, ended = state, after, None
                if count_steps(unfinished) == steps:
                    state, ended, finite = run.finish(after, unfinished)
                    unfinished = {}
                if not finite:
                    chunks.close()
                yield Call(before, state, ended, finite, chunk.batches, unfinished)
                # The next chunk runs without that memory.
                del before, after


class _Ahead:
    """The block that comes next, and those after it."""

    def __init__(self) -> None:
        self.start(iter(()))

    def start(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self.advance()

    def advance(self) -> None:
        self.block = next(self._blocks, None)


def _to_device(block: Block) -> Block:
    # A block's arrays are its own, so that the device may use their memory.
    return block._replace(batch=jax.device_put(block.batch))


def _unstack(loader: DataLoader, block: Block) -> Iterator[NumberedBatch]:
    if loader.sharding is not None:
        yield from replay(loader, block.batch, block.numbers)
        return
    for position, row_numbers in enumerate(block.numbers):
        yield jax.tree.map(lambda leaf, i=position: leaf[i], block.batch), row_numbers
