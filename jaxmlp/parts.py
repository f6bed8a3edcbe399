"""Turns epochs into several calls each: chunks of rows on the device, blocks, or single batches."""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from .calls import Call, NumberedBatch, Run, StepMetrics, is_finite, join_metrics
from .pace import CALL_SECONDS, Pace
from .program import FitState, Metrics, take_batch
from .streaming import Block
from .types import Batch

Index = Int[np.ndarray, "steps batch"]


class Part(NamedTuple):
    """Steps of an epoch that one compiled call takes.

    `run` returns metrics with one entry per step, those of these steps from `first` on.
    """

    first: int
    steps: int
    run: Callable[[FitState], tuple[FitState, Metrics]]
    batches: Callable[[], Iterator[NumberedBatch]]


def run_parts(
    run: Run,
    state: FitState,
    unfinished: StepMetrics,
    parts: Callable[[int, int, Pace], Generator[Part]],
    pace: Pace,
    *,
    steps: int,
    end: int,
) -> Generator[Call]:
    """Runs up to epoch `end`, each of so many steps in the parts `parts(epoch, step, pace)`.

    `unfinished` holds the metrics of the steps that the first epoch has taken already.
    """
    for epoch in range(int(state.epoch), end):
        # An error's traceback would keep what is open in there.
        with contextlib.closing(parts(epoch, _count(unfinished), pace)) as epoch_parts:
            for part in epoch_parts:
                begin = time.perf_counter()
                after, metrics = part.run(state)
                finite = bool(metrics.pop("finite"))
                pace.observe(part.steps, time.perf_counter() - begin)
                taken = slice(part.first, part.first + part.steps)
                unfinished = join_metrics(
                    unfinished, {n: np.asarray(v)[taken] for n, v in metrics.items()}
                )
                before, state, ended = state, after, None
                if _count(unfinished) == steps:
                    state, ended, finite = run.finish(after, unfinished)
                    unfinished = {}
                if not finite:
                    epoch_parts.close()
                yield Call(before, state, ended, finite, part.batches, unfinished)


def make_chunks(
    run: Run, rows: Batch, order_index: Callable[[int], Index]
) -> Callable[[int, int, Pace], Generator[Part]]:
    """Cuts epochs over rows on the device into calls of any size, which share one program."""
    run_steps = run.compiled("run_steps")

    def parts(epoch: int, step: int, pace: Pace) -> Generator[Part]:
        index = order_index(epoch)
        while step < len(index):
            steps = min(pace.steps, len(index) - step)
            bounds = {"start": np.int32(step), "count": np.int32(steps)}
            call = functools.partial(run_steps, rows=rows, index=index, **bounds)
            yield Part(step, steps, call, functools.partial(replay, rows, index[step:][:steps]))
            step += steps

    return parts


class _Ahead:
    """The block that comes next, and those after it."""

    def __init__(self) -> None:
        self.start(iter(()))

    def start(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self.advance()

    def advance(self) -> None:
        self.block = next(self._blocks, None)


def make_blocks(
    run: Run, read_blocks: Callable[[int, int], Iterator[Block]], *, steps: int
) -> Callable[[int, int, Pace], Generator[Part]]:
    """Runs epochs over blocks of stacked batches, each one call of one program.

    `read_blocks(epoch, step)` reads batches from that step on, in blocks of one shape, to the end
    of the epoch, of `steps` steps, or of the epochs after it, too. The next block is read, and on
    its way to the device, while the device runs the one before.
    """
    run_block = run.compiled("run_block")
    ahead = _Ahead()

    def parts(epoch: int, step: int, pace: Pace) -> Generator[Part]:
        del pace
        if ahead.block is None:
            ahead.start(map(_to_device, read_blocks(epoch, step)))
        while step < steps:
            block = ahead.block
            assert block is not None

            def call(state: FitState, block: Block = block) -> tuple[FitState, Metrics]:
                result = run_block(state, block.batch, np.int32(len(block.numbers)))
                ahead.advance()
                return result

            try:
                yield Part(0, len(block.numbers), call, functools.partial(_unstack, block))
            except GeneratorExit:
                # Ends the reading, also where an error's traceback keeps this frame.
                ahead.start(iter(()))
                raise
            step += len(block.numbers)

    return parts


def run_batches(
    run: Run,
    state: FitState,
    unfinished: StepMetrics,
    epoch_batches: Callable[[int, int], Generator[NumberedBatch]],
) -> Generator[Call]:
    """Runs over any batches, one jitted step at a time; a call is an epoch, or a part of it.

    `epoch_batches(epoch, step)` gives an epoch's batches from that step on. A call's batches are
    kept, since an iterable need not give the same ones again.
    """
    advance = run.compiled("advance")
    for epoch in range(int(state.epoch), run.epochs):
        steps: list[Metrics] = []
        used: list[NumberedBatch] = []
        longest, begin, before = 0, 0.0, state
        batches = epoch_batches(epoch, _count(unfinished))
        with contextlib.closing(batches):
            for batch, row_numbers in batches:
                longest = longest or _kept_batches(batch)
                is_long = time.perf_counter() - begin > CALL_SECONDS
                if len(used) == longest or (used and is_long):
                    unfinished = join_metrics(unfinished, _gather(steps))
                    finite = np.isfinite(unfinished["loss"]).all() and is_finite(state.train.params)
                    again = functools.partial(iter, used)
                    if not finite:
                        batches.close()
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
        state, ended, finite = run.finish(state, _fill_up(unfinished, max(1, longest)))
        unfinished = {}
        yield Call(before, state, ended, finite, functools.partial(iter, used), unfinished)


def replay(rows: Batch, index: np.ndarray) -> Iterator[NumberedBatch]:
    """Gives the batches of an index again, one by one, with their row numbers."""
    for row_numbers in index.reshape(-1, index.shape[-1]):
        yield take_batch(rows, jnp.asarray(row_numbers)), row_numbers


def _to_device(block: Block) -> Block:
    # A block's arrays are its own, so that the device may use their memory.
    return block._replace(batch=jax.device_put(block.batch))


def _unstack(block: Block) -> Iterator[NumberedBatch]:
    for position, row_numbers in enumerate(block.numbers):
        yield jax.tree.map(lambda leaf, i=position: leaf[i], block.batch), row_numbers


def _count(unfinished: StepMetrics) -> int:
    return len(unfinished["loss"]) if unfinished else 0


def _fill_up(steps: StepMetrics, size: int) -> StepMetrics:
    """Fills metrics up with 0 to a multiple of a size, so that what reads them compiles once."""
    padding = -_count(steps) % size
    return {n: np.concatenate([v, np.zeros(padding, v.dtype)]) for n, v in steps.items()}


def _kept_batches(batch: Any) -> int:
    """Returns how many batches to keep: up to 256, as long as they take up to 64 MiB."""
    size = sum(getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(batch))
    return max(1, min(256, 2**26 // max(1, size)))


@jax.jit
def _stack(steps: list[Metrics]) -> Metrics:
    return jax.tree.map(lambda *values: jnp.stack(values), *steps)


def _gather(steps: list[Metrics]) -> StepMetrics:
    """Stacks steps' metrics, 64 at a time: one by one is slow, and so is a stack of many."""
    filled = steps + steps[-1:] * (-len(steps) % 64)
    parts = [_stack(filled[start : start + 64]) for start in range(0, len(filled), 64)]
    names = parts[0] if parts else ()
    return {n: np.concatenate([np.asarray(p[n]) for p in parts])[: len(steps)] for n in names}
