"""Turns a loss, an optimizer and batches into trained parameters, with scikit-learn's stopping."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key, PyTree
from sklearn.exceptions import ConvergenceWarning

from ...data import DataLoader
from ...fitting import (
    FitResult,
    NonFiniteError,
    OnEpoch,
    Plan,
    ProgressBar,
    first_epoch_of,
    start_of_run,
)
from ...fitting import train as train_by_plan
from ...network import Params
from ...train_step import TrainState, init_state
from ..splitting import Rows
from .orders import ShuffledOrders
from .stochastic import Loss, Model, Optimizer, Settings, SolverState
from .stopping import LossRule, Stopping, Validation

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
# With verbose or a bar, lines come after so many epochs at the latest.
_MOST_AT_ONCE = 16

Ended: TypeAlias = Literal["epochs", "stop", "callback", "interrupt", "nonfinite"]


class Reached(NamedTuple):
    """What was learned so far; `best` are the parameters with a score above all before, if any.

    `optimizer_state` is that of the solver without its count of steps, on the host.
    """

    params: Params
    best: Params | None
    optimizer_state: PyTree


class Trained(NamedTuple):
    """What was learned, and how a fit ended."""

    reached: Reached
    ended: Ended


Observe: TypeAlias = Callable[[Reached, Mapping[str, int | float]], bool]


class SolverRun(NamedTuple):
    """A fit of scikit-learn's solvers before its first epoch.

    `optimizer_state` is one of before, if there is one; `epochs` are the most that are trained.
    After every epoch `observe` is told its metrics, and stops training by returning True.
    """

    loss_fn: Loss
    optimizer: Optimizer
    model: Model
    optimizer_state: PyTree | None
    loader: DataLoader
    orders: ShuffledOrders | None
    stopping: Stopping
    epochs: int
    key: Key[Array, ""]
    held_out: Rows | None
    validate: Callable[[Params], Validation] | None
    observe: Observe | None
    progress: bool | None

    @property
    def dtype(self) -> Any:
        """The type in which all is computed."""
        return self.model.packed.dtype


def train(run: SolverRun) -> Trained:
    """Trains alone.

    Whenever the learning rate is lowered, training begins anew with the state that was reached: the
    rate is part of what it is given. Where nobody is told of each epoch, the program itself stops.
    """
    optimizer = optax.GradientTransformation(run.optimizer.init, run.optimizer.update)
    orders, stopping, epochs = run.orders, run.stopping, run.epochs
    validate, observe = run.validate, run.observe
    state = init_state(run.model, optimizer, key=run.key)
    if run.optimizer_state is not None:
        count = jnp.zeros((), jnp.int32)
        state = state._replace(opt_state=SolverState(count, run.optimizer_state))
    best, decision, ended = None, "go on", None

    def after_epoch(state: TrainState, metrics: Mapping[str, int | float]) -> bool:
        nonlocal best, decision
        loss, params = float(metrics["loss"]), state.params.params
        told: dict[str, int | float] = {"epoch": stopping.epochs + 1, "loss": loss}
        validation = None
        if validate is not None:
            validation = validate(params)
            told |= {"validation_loss": validation.loss, "validation_score": validation.score}
            if stopping.is_best(validation.score):
                best = jax.tree.map(np.asarray, params)
        decision = stopping.after_epoch(loss, validation)
        bar.update(1, told)
        if observe is not None and observe(_reached(state, best), told):
            decision = "callback"
        return decision != "go on"

    each_epoch = validate is not None or observe is not None
    plan = Plan(stop_rule=None if each_epoch else LossRule())
    shown = stopping.verbose or run.progress is not False
    with ProgressBar(epochs, show=run.progress) as bar:
        while ended is None:
            left = epochs - stopping.epochs
            if shown and not each_epoch:
                left = min(left, _MOST_AT_ONCE)
            try:
                result = _fit(
                    run, optimizer, state, plan, left, after_epoch if each_epoch else None
                )
            except NonFiniteError as error:
                reached: Any = error.result
                result, ended = reached, "nonfinite"
            if not each_epoch:
                history: Any = result.history
                losses = [float(loss) for loss in history.get("loss", ())]
                for loss in losses:
                    decision = stopping.after_epoch(loss, None)
                bar.update(len(losses), {"loss": losses[-1]} if losses else {})
            if ended == "nonfinite":
                nothing = None if validate is None else Validation(math.nan, math.nan)
                stopping.after_epoch(math.nan, nothing)
            elif result.stopped_by == "interrupt":
                ended = "interrupt"
            elif decision in ("stop", "callback"):
                ended = decision
            elif stopping.epochs == epochs:
                ended = "epochs"
            state = result.state
            if ended is None:
                state = _with_numbers(state, stopping)
            if decision == "lower":
                state = _begin_again(state)
                if orders is not None:
                    orders.begin(stopping.epochs)
    if orders is not None and stopping.epochs:
        orders.wind_back(stopping.epochs)
    return Trained(_reached(state, best), ended)


def _fit(
    run: SolverRun,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    plan: Plan,
    epochs: int,
    on_epoch: OnEpoch | None,
) -> FitResult:
    """Does what `fit` does with `state`, by a plan."""
    return train_by_plan(
        run.loss_fn,
        optimizer,
        run.loader,
        start=start_of_run(None, optimizer, key=None, state=state),
        first_epoch=first_epoch_of(state, run.loader),
        plan=plan,
        epochs=epochs,
        validation=None,
        nonfinite="raise",
        on_epoch=on_epoch,
        progress=False,
        driver="auto",
        checkpoints=None,
        resume=False,
    )


def _reached(state: TrainState, best: Params | None) -> Reached:
    """Copies to the host what `fit` may write over when it goes on."""
    solver_state: Any = state.opt_state
    params, inner = jax.tree.map(np.array, (state.params.params, solver_state.inner))
    return Reached(params, best, inner)


def warn_of_end(ended: str, iterations: int, most: int) -> None:
    """Warns if training did not end by itself, from the method that a user called."""
    messages = {
        "interrupt": "Training interrupted by user.",
        "nonfinite": (
            f"Training met NaN or infinity in iteration {iterations} and stopped; the weights are "
            "those of the best validation score before."
        ),
        "epochs": (
            f"Stochastic Optimizer: Maximum iterations ({most}) reached and the optimization "
            "hasn't converged yet."
        ),
    }
    if ended in messages:
        kind = UserWarning if ended == "interrupt" else ConvergenceWarning
        warnings.warn(messages[ended], kind, stacklevel=7)


def _with_numbers(state: TrainState, stopping: Stopping) -> TrainState:
    packed = np.array(state.params.packed)
    for name, number in stopping.numbers().items():
        packed[Settings._fields.index(name)] = number
    return state._replace(params=state.params._replace(packed=jnp.asarray(packed)))


def _begin_again(state: TrainState) -> TrainState:
    # Steps are counted anew, and draw from another key.
    key = jax.random.fold_in(state.key, state.step)
    return state._replace(step=jnp.zeros((), jnp.int32), key=key)
