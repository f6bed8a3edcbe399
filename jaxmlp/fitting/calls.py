"""Turns the pure programs of a run into compiled ones, and names what one call of them did."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..data import DataLoader
from ..network import LossFn
from ..optimizers import Optimizer
from ..storage import ALONE, Processes
from ..train_step import with_auto_axes
from . import program
from .buckets import padded_steps
from .fit_state import FitState
from .layouts import Layout, spread_validation
from .program import take_batch
from .program_cache import ProgramCache
from .settings import Plan
from .step_metrics import Metrics

# A batch, and the numbers of its rows where it has them.
NumberedBatch: TypeAlias = tuple[Any, np.ndarray | None]
# Metrics of every step that an epoch has taken so far, shape (steps,) each.
StepMetrics: TypeAlias = Mapping[str, np.ndarray]


def join_metrics(before: StepMetrics, after: StepMetrics) -> dict[str, np.ndarray]:
    """Appends metrics to those before; either may be empty."""
    if not before or not after:
        return dict(after or before)
    return {name: np.concatenate([before[name], after[name]]) for name in after}


def count_steps(unfinished: StepMetrics) -> int:
    """Returns the number of steps whose metrics these are."""
    return len(unfinished["loss"]) if unfinished else 0


class Call(NamedTuple):
    """What one call of a compiled program did.

    `before` and `after` are the states around it, `metrics` those of the epochs that it ended,
    shape (epochs,) each, or `None` within an epoch; `finite` whether all went well; `batches` gives
    the same batches again, one by one, with their row numbers. `unfinished` holds the metrics of
    the steps of an epoch that goes on after the call: with `after`, all that is needed to continue.
    """

    before: FitState
    after: FitState
    metrics: Metrics | None
    finite: bool
    batches: Callable[[], Iterator[NumberedBatch]]
    unfinished: StepMetrics


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What is to be run, the same for every driver; over a mesh if there is a layout."""

    loss_fn: LossFn
    optimizer: Optimizer
    plan: Plan
    epochs: int
    validation: PyTree | None
    layout: Layout | None = None
    processes: Processes = ALONE

    _own: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)

    def compiled(self, name: str) -> Callable[..., Any]:
        """Returns a function of `program`, or `finish`, jitted for this run."""
        if name not in self._own:
            functions = (self.loss_fn, self.optimizer, self.plan)
            make = functools.partial(_jit, name, functions, self.layout)
            # The layout stands in the name.
            kept = (*functions[:2], dataclasses.replace(self.plan, batch_sharding=None))
            place = (name, None if self.layout is None else self.layout.key)
            self._own[name] = _PROGRAMS.get(kept, place, make)
        return self._own[name]

    def first_time(self, seconds: float) -> float:
        """Returns the time that a call has taken in the first process, in all of them."""
        return self.processes.first_says("the first process to end a call", lambda: seconds)

    def finish(self, state: FitState, steps: StepMetrics) -> tuple[FitState, Metrics, bool]:
        """Ends an epoch of which the metrics of all steps are given."""
        # Filled up with 0, so that epochs of other lengths share the program.
        missing = padded_steps(count_steps(steps)) - count_steps(steps)
        filled = {n: np.concatenate([v, np.zeros(missing, v.dtype)]) for n, v in steps.items()}
        state, metrics, finite = self.compiled("finish")(state, filled, self.validation)
        return state, metrics, bool(finite)


def spread(run: Run, layout: Layout) -> Run:
    """Returns the run over a mesh, with the rows to validate on there."""
    rows, parts = run.validation, 1
    if rows is not None:
        rows, parts = spread_validation(run.loss_fn, rows, layout.batch, layout.whole)
    plan = dataclasses.replace(run.plan, batch_sharding=layout.batch, validation_parts=parts)
    return Run(run.loss_fn, run.optimizer, plan, run.epochs, rows, layout, run.processes)


def _finish(
    loss_fn: LossFn,
    _: Optimizer,
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


def replay(loader: DataLoader, rows: Any, index: np.ndarray) -> Iterator[NumberedBatch]:
    """Gives the batches of an index again, one by one, with their row numbers."""
    for row_numbers in index.reshape(-1, index.shape[-1]):
        if loader.sharding is None:
            yield take_batch(rows, jnp.asarray(row_numbers)), row_numbers
        else:
            yield loader.read(row_numbers), row_numbers


def replay_places(loader: DataLoader, rows: Any, places: np.ndarray) -> Iterator[NumberedBatch]:
    """Gives the batches of a `padded_index` again."""
    return replay(loader, rows, places if loader.parts is None else loader.parts.numbers(places))


is_finite = jax.jit(program.all_finite)


# Shared by runs of equal loss functions, optimizers and plans, such as the folds of a
# cross-validation.
_PROGRAMS = ProgramCache(64)


def _jit(
    name: str,
    functions: tuple[Any, ...],
    layout: Layout | None,
    traced: Callable[..., Any],
) -> Callable[..., Any]:
    function = _finish if name == "finish" else getattr(program, name)
    donated = 0 if name == "advance" else ()
    placed = with_auto_axes(traced(functools.partial(function, *functions)))
    if layout is None:
        return jax.jit(placed, donate_argnums=donated)
    others = [layout.whole] * (2 if name == "finish" else 1)
    return jax.jit(placed, donate_argnums=donated, out_shardings=(layout.state, *others))
