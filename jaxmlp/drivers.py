"""Turns a program of many steps into calls of a chosen size, and rows into the calls' orders.

Every driver runs the same pure step on the same batches; they differ in how many steps one compiled
call takes, and so in what a step costs beside its arithmetic.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int, PyTree

from . import program
from .data import DataLoader
from .program import FitState, Metrics, Plan
from .types import Batch, LossFn

Driver: TypeAlias = Literal["step", "chunk", "epoch", "epochs"]
# A batch, and the numbers of its rows where it has them.
NumberedBatch: TypeAlias = tuple[Any, np.ndarray | None]
DRIVERS: tuple[str, ...] = get_args(Driver)


class Call(NamedTuple):
    """What one compiled call did.

    `before` and `after` are the states around it, `metrics` those of the epochs that it ended,
    shape (epochs,) each, or `None` within an epoch; `finite` whether all went well; `batches` gives
    the same batches again, one by one, with their row numbers.
    """

    before: FitState
    after: FitState
    metrics: Metrics | None
    finite: bool
    batches: Callable[[], Iterator[NumberedBatch]]


def seconds_per_step(params: PyTree, batch_rows: int) -> float:
    """Estimates a step's time: 6 FLOPs per parameter and row, and a floor for what surrounds them.

    The rates are those of two CPU cores and of a data-centre GPU, in float32.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    rate, floor = (1e11, 1e-5) if jax.default_backend() == "cpu" else (1e13, 2e-5)
    return max(floor, 6 * size * batch_rows / rate)


def choose_driver(params: PyTree, loader: DataLoader, *, each_epoch: bool) -> Driver:
    """Picks the driver by the estimated time of an epoch; benchmarks/NOTES.md has the measurement.

    Rows that are not dense in memory are driven step by step.

    An epoch above two seconds is cut into chunks, so that an interrupt is answered soon; epochs
    below a twentieth are joined, unless the host wants to see each one.
    """
    if loader.rows is None:
        return "step"
    epoch_seconds = seconds_per_step(params, loader.batch_size) * len(loader)
    if epoch_seconds > 2:
        return "chunk"
    return "epochs" if epoch_seconds < 0.05 and not each_epoch else "epoch"


def order_index(loader: DataLoader, epoch: int) -> Int[np.ndarray, "steps batch"]:
    """Returns the row numbers of every batch of an epoch in the device's integers."""
    return loader.index(epoch).astype(np.int32)


class Run(NamedTuple):
    """What is to be run, the same for every driver."""

    loss_fn: LossFn
    optimizer: optax.GradientTransformation
    plan: Plan
    epochs: int
    validation: PyTree | None

    def compiled(self, name: str) -> Callable[..., Any]:
        """Returns a function of `program`, or `finish`, jitted for this run."""
        return _compiled(name, self.loss_fn, self.optimizer, self.plan)


def run_loader(driver: Driver, run: Run, state: FitState, loader: DataLoader) -> Iterator[Call]:
    """Runs over a loader's rows until `run.epochs` or closed; but for "step" they must be dense.

    Those of all drivers but "step" lie on the device.
    """
    if driver == "step":
        yield from run_batches(run, state, functools.partial(_read_epoch, loader))
        return
    # Copied, since the device may otherwise use the loader's memory.
    rows = jax.tree.map(lambda a: jnp.array(a, copy=True), loader.rows)
    if driver == "chunk":
        yield from _run_chunks(run, state, rows, loader)
        return
    epoch_seconds = seconds_per_step(state.train.params, loader.batch_size) * len(loader)
    joined = 1 if driver == "epoch" else max(1, min(run.epochs, int(0.1 / epoch_seconds)))
    run_epochs = run.compiled("run_epochs")
    index = _joined_index(loader, 0, joined, run.epochs)
    for first in range(0, run.epochs, joined):
        after, metrics = run_epochs(state, rows, index, np.int32(run.epochs), run.validation)
        used = index
        if first + joined < run.epochs:
            # The device runs meanwhile.
            index = _joined_index(loader, first + joined, joined, run.epochs)
        finite = np.asarray(metrics.pop("finite"))
        if not finite.all():
            yield from _split_at(int(finite.argmin()), run, state, after, rows, used)
            return
        yield Call(state, after, metrics, True, functools.partial(_replay, rows, used))
        state = after


def _split_at(
    bad: int, run: Run, state: FitState, after: FitState, rows: Batch, index: np.ndarray
) -> Iterator[Call]:
    """Repeats the epochs before the bad one, so that what they gave is kept."""
    if bad:
        end = np.int32(int(state.epoch) + bad)
        good, metrics = run.compiled("run_epochs")(state, rows, index, end, run.validation)
        del metrics["finite"]
        yield Call(state, good, metrics, True, functools.partial(_replay, rows, index[:bad]))
        state = good
    yield Call(state, after, None, False, functools.partial(_replay, rows, index[bad]))


def run_batches(
    run: Run,
    state: FitState,
    epoch_batches: Callable[[int], Iterable[NumberedBatch]],
) -> Iterator[Call]:
    """Runs over any batches, one jitted step at a time; a call is an epoch, or a part of it.

    A call's batches are kept, since an iterable need not give the same ones again.
    """
    advance, finish = run.compiled("advance"), run.compiled("finish")
    for epoch in range(run.epochs):
        ended: list[dict[str, np.ndarray]] = []
        steps: list[Metrics] = []
        used: list[NumberedBatch] = []
        longest, before = 1, state
        for batch, row_numbers in epoch_batches(epoch):
            if not ended and not used:
                longest = _kept_batches(batch)
            if len(used) == longest:
                ended.append(_gather(steps, longest))
                finite = np.isfinite(ended[-1]["loss"]).all() and is_finite(state.train.params)
                yield Call(before, state, None, bool(finite), functools.partial(iter, used))
                steps, used = [], []
            if not used:
                # A step donates its state, which the caller may keep.
                before, state = state, jax.tree.map(jnp.copy, state)
            state, metrics = advance(state, batch)
            steps.append(metrics)
            used.append((batch, row_numbers))
        if not used:
            raise ValueError(
                f"data must give at least one batch in every epoch; epoch {epoch} had none."
            )
        ended.append(_gather(steps, longest))
        stacked = {name: np.concatenate([m[name] for m in ended]) for name in ended[0]}
        state, metrics, finite = finish(state, stacked, run.validation)
        yield Call(before, state, metrics, bool(finite), functools.partial(iter, used))


def _kept_batches(batch: Any) -> int:
    """Returns how many batches to keep: up to 256, as long as they take up to 64 MiB."""
    size = sum(getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(batch))
    return max(1, min(256, 2**26 // max(1, size)))


@jax.jit
def _stack(steps: list[Metrics]) -> Metrics:
    return jax.tree.map(lambda *values: jnp.stack(values), *steps)


def _gather(steps: list[Metrics], length: int) -> dict[str, np.ndarray]:
    """Stacks steps' metrics, filled up with 0, so that what reads them compiles once."""
    # Fetching number by number is slow, and so is compiling a stack of many.
    size = 64
    filled = steps + steps[-1:] * (-len(steps) % size)
    parts = [_stack(filled[start : start + size]) for start in range(0, len(filled), size)]
    gathered = {}
    for name in parts[0]:
        values = np.concatenate([np.asarray(part[name]) for part in parts])[: len(steps)]
        gathered[name] = np.concatenate([values, np.zeros(length - len(steps), values.dtype)])
    return gathered


def _run_chunks(run: Run, state: FitState, rows: Batch, loader: DataLoader) -> Iterator[Call]:
    """Cuts every epoch into calls of about half a second."""
    seconds = seconds_per_step(state.train.params, loader.batch_size)
    chunk = max(1, min(len(loader), int(0.5 / seconds)))
    run_steps, finish = run.compiled("run_steps"), run.compiled("finish")
    for epoch in range(run.epochs):
        index = order_index(loader, epoch)
        collected = []
        for start in range(0, len(index), chunk):
            used = index[start : start + chunk]
            padded = np.resize(used, (chunk, loader.batch_size))
            after, metrics = run_steps(state, rows, padded, np.int32(len(used)))
            finite = metrics.pop("finite")
            collected.append(metrics)
            before, state, ended = state, after, None
            if start + chunk >= len(index):
                stacked = {n: jnp.concatenate([m[n] for m in collected]) for n in collected[0]}
                state, ended, finite = finish(after, stacked, run.validation)
            again = functools.partial(_replay, rows, used)
            yield Call(before, state, ended, bool(finite), again)


def _finish(
    loss_fn: LossFn,
    _: optax.GradientTransformation,
    plan: Plan,
    state: FitState,
    stacked: Metrics,
    validation: PyTree | None,
) -> tuple[FitState, Metrics, jax.Array]:
    """Ends an epoch whose steps were taken in several calls."""
    means = program.mean_metrics(stacked)
    state, metrics = program.end_epoch(loss_fn, plan, state, means, validation)
    finite = metrics.pop("finite")
    return state, {name: value[None] for name, value in metrics.items()}, finite


is_finite = jax.jit(program.all_finite)


# Shared by runs of the same loss function, optimizer and plan, such as the folds of a
# cross-validation; bounded, since it keeps what these functions close over.
@functools.lru_cache(maxsize=16)
def _compiled(
    name: str, loss_fn: LossFn, optimizer: optax.GradientTransformation, plan: Plan
) -> Callable[..., Any]:
    function = _finish if name == "finish" else getattr(program, name)
    donated = 0 if name == "advance" else ()
    return jax.jit(functools.partial(function, loss_fn, optimizer, plan), donate_argnums=donated)


def _joined_index(
    loader: DataLoader, first: int, joined: int, epochs: int
) -> Int[np.ndarray, "epochs steps batch"]:
    """Orders of the next epochs; those after the last repeat it, and the program skips them."""
    orders = [order_index(loader, epoch) for epoch in range(first, min(first + joined, epochs))]
    return np.stack(orders + orders[-1:] * (joined - len(orders)))


def _read_epoch(loader: DataLoader, epoch: int) -> Iterator[NumberedBatch]:
    index = loader.index(epoch)
    return zip(loader.read_all(index), index, strict=True)


def _replay(rows: Batch, index: np.ndarray) -> Iterator[tuple[Batch, np.ndarray]]:
    for row_numbers in index.reshape(-1, index.shape[-1]):
        yield program.take_batch(rows, jnp.asarray(row_numbers)), row_numbers
