"""Turns data into the calls of a run, each of a chosen size: a step, a chunk, an epoch, or several.

Every driver runs the same pure step on the same batches; they differ in how many steps one compiled
call takes, and so in what a step costs beside its arithmetic.
"""

import functools
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

import jax
import numpy as np
from jaxtyping import PyTree

from ..data import DataLoader
from ..loading import place_whole
from ..network import Batch
from ..sources.ingestion import package_of
from .buckets import padded_rows
from .calls import Call, NumberedBatch, Run, StepMetrics
from .chunk_calls import run_blocks, run_chunks
from .epoch_calls import run_epochs
from .fit_state import FitState
from .layouts import place_parts
from .looks import Looks
from .pace import CALL_SECONDS, Pace, seconds_per_step
from .step_calls import run_batches

Driver: TypeAlias = Literal["step", "chunk", "epoch", "epochs"]
DRIVERS: tuple[str, ...] = get_args(Driver)
# Of rows that each of several devices holds whole.
_WHOLE_BYTES = 2**32
# What devices take to add up a step's gradients, by sockets.
_EXCHANGE_SECONDS = 2e-4


def make_calls(
    driver: Driver | Literal["auto"],
    run: Run,
    state: FitState,
    data: Any,
    *,
    unfinished: StepMetrics,
    looks: Looks,
) -> Generator[Call]:
    """Returns the calls of a run over a loader or an iterable of batches.

    `state` may stand within an epoch, of which `unfinished` has the steps' metrics. A call ends
    where the host looks, or before.

    Raises:
        TypeError: `data` is no such thing.
        ValueError: The driver is not known, or cannot run over such data.
    """
    if driver != "auto" and driver not in DRIVERS:
        known = ", ".join(map(repr, ("auto", *DRIVERS)))
        raise ValueError(f"driver must be one of {known}; got {driver!r}.")
    if driver == "epochs" and looks.each_epoch:
        raise ValueError(
            "on_epoch is called after every epoch, but driver='epochs' runs several at once; use "
            "driver='epoch' or 'auto'."
        )
    if isinstance(data, DataLoader):
        if driver == "auto":
            driver = choose_driver(state.train.params, data, each_epoch=looks.each_epoch)
        if driver in ("epoch", "epochs") and data.rows is None:
            raise ValueError(
                f"driver={driver!r} needs dense rows in memory, which lie on the device; other "
                "rows go there in blocks: use driver='chunk' or 'auto'."
            )
        return run_loader(driver, run, state, data, unfinished, looks)
    if driver not in ("auto", "step"):
        raise ValueError(
            f"driver={driver!r} needs a DataLoader, whose rows lie on the device; an iterable of "
            "batches is driven step by step."
        )
    if isinstance(data, Batch | tuple | Mapping) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be a DataLoader or an iterable of batches; got a "
            f"{type(data).__name__}. Wrap arrays as DataLoader(x, y, batch_size=...)."
        )
    if isinstance(data, Iterator) and run.epochs > 1:
        raise TypeError(
            f"data must give its batches once per epoch; a {type(data).__name__} is used up after "
            "the first. Give a list, or an object whose __iter__ starts anew."
        )
    return run_batches(run, state, unfinished, lambda _, step: _without_numbers(data, step))


def choose_driver(params: PyTree, loader: DataLoader, *, each_epoch: bool) -> Driver:
    """Picks the driver by the estimated time of an epoch; benchmarks/NOTES.md has the measurement.

    Rows that are not dense in memory go to the device in blocks of batches, a chunk each. An epoch
    above a second is cut into chunks, so that an interrupt is answered soon; epochs below a
    twentieth are joined, unless the host wants to see each one.
    """
    if go_in_blocks(loader):
        return "chunk"
    epoch_seconds = _estimate(params, loader) * len(loader)
    if epoch_seconds > CALL_SECONDS:
        return "chunk"
    return "epochs" if epoch_seconds < 0.05 and not each_epoch else "epoch"


def go_in_blocks(loader: DataLoader) -> bool:
    """Whether rows go to the devices in blocks: not dense, or too many for each of them."""
    rows, parts = loader.rows, loader.parts
    if rows is None or loader.sharding is None:
        return rows is None
    held = sum(a.nbytes for a in jax.tree.leaves(rows))
    if parts is not None:
        # Of rows its part, filled up, and all weights.
        longest = int(parts.lengths.max())
        held = held / len(loader.source) * longest + 4 * len(parts.lengths) * longest
    return held > _WHOLE_BYTES


def _estimate(params: PyTree, loader: DataLoader) -> float:
    seconds = seconds_per_step(params, loader.batch_size)
    return seconds if loader.sharding is None else seconds + _EXCHANGE_SECONDS


def run_loader(
    driver: Driver,
    run: Run,
    state: FitState,
    loader: DataLoader,
    unfinished: StepMetrics,
    looks: Looks,
) -> Generator[Call]:
    """Runs over a loader's rows until `run.epochs` or closed.

    Epochs need dense rows in memory. `state` may stand within an epoch, of which `unfinished` has
    the steps' metrics.
    """
    seconds = _estimate(state.train.params, loader)
    if driver == "step":
        yield from run_batches(run, state, unfinished, functools.partial(_read_epoch, loader))
        return
    if driver == "chunk" and go_in_blocks(loader):
        # Blocks are not cut to a measured pace: a second, if the estimate holds.
        yield from run_blocks(run, state, unfinished, loader, Pace(0.2 * seconds))
        return
    # The loader's arrays cannot change, so that the devices may use their memory.
    if run.layout is None:
        rows = jax.device_put(padded_rows(loader))
    elif loader.parts is not None:
        rows = place_parts(loader, run.layout.whole)
    else:
        rows = place_whole(padded_rows(loader), run.layout.whole)
    if driver == "chunk" or unfinished:
        end = run.epochs if driver == "chunk" else int(state.epoch) + 1
        calls = run_chunks(run, state, unfinished, loader, rows, Pace(seconds), end=end)
        # A state that is held here is memory that the next call has to do without.
        for call in calls:
            state = call.after
            yield call
            del call
    if driver != "chunk":
        joined = 1 if driver == "epoch" else max(1, int(0.1 / (seconds * len(loader))))
        calls = run_epochs(run, state, loader, rows, joined, looks.next_epoch)
        del state
        yield from calls


def _read_epoch(loader: DataLoader, epoch: int, step: int) -> Generator[NumberedBatch]:
    yield from loader.numbered(epoch, step)


def _without_numbers(batches: Iterable[Any], step: int) -> Generator[NumberedBatch]:
    for batch in itertools.islice(batches, step, None):
        if any("torch" in package_of(leaf) for leaf in jax.tree.leaves(batch)):
            raise TypeError(
                "data must give batches of arrays; got tensors of PyTorch. Wrap the iterable as "
                "jaxmlp.sources.batches(data)."
            )
        yield jax.tree.map(_own, batch), None


def _own(leaf: Any) -> Any:
    """Copies an array of the host: a device may read it after the iterable has refilled it."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf
