"""Turns a loss, an optimizer and batches into trained parameters, with scikit-learn's stopping."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key, PyTree
from sklearn.exceptions import ConvergenceWarning

from ..data import DataLoader
from ..fitting import NonFiniteError
from ..train_step import TrainState, init_state
from ..training import fit
from ..types import LossFn, Params
from .orders import ShuffledOrders
from .stochastic import Model, Settings, SolverState
from .stopping import Stopping

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


class Trained(NamedTuple):
    """How a fit ended; `best` are the parameters with the best score so far, if one was above all.

    `optimizer_state` is that of the solver without its count of steps, on the host.
    """

    params: Params
    best: Params | None
    optimizer_state: PyTree
    ended: Literal["epochs", "stop", "interrupt", "nonfinite"]


def train(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    model: Model,
    optimizer_state: PyTree | None,
    loader: DataLoader,
    orders: ShuffledOrders | None,
    stopping: Stopping,
    *,
    epochs: int,
    key: Key[Array, ""],
    validate: Callable[[Params], float] | None,
) -> Trained:
    """Trains for so many epochs at most, from an optimizer's state of before if there is one.

    Whenever the learning rate is lowered, `fit` begins anew with the state that was reached: the
    rate is part of what it is given.
    """
    state = init_state(model, optimizer, key=key)
    if optimizer_state is not None:
        count = jnp.zeros((), jnp.int32)
        state = state._replace(opt_state=SolverState(count, optimizer_state))
    best, decision, ended = None, "go on", None

    def after_epoch(state: TrainState, metrics: Mapping[str, int | float]) -> bool:
        nonlocal best, decision
        assert validate is not None
        score = validate(state.params.params)
        if stopping.is_best(score):
            best = jax.tree.map(np.asarray, state.params.params)
        decision = stopping.after_epoch(float(metrics["loss"]), score)
        return decision != "go on"

    while ended is None:
        left = epochs - stopping.epochs
        if validate is None:
            # Several epochs in one call, since nothing can be decided before the last of them.
            left = min(left, stopping.certain_epochs)
        on_epoch = None if validate is None else after_epoch
        settings = {"epochs": left, "state": state, "on_epoch": on_epoch, "progress": False}
        try:
            result = fit(loss_fn, optimizer, None, loader, **settings)
        except NonFiniteError as error:
            reached: Any = error.result
            result, ended = reached, "nonfinite"
        if validate is None:
            for loss in result.history.get("loss", ()):
                decision = stopping.after_epoch(float(loss), None)
        if ended == "nonfinite":
            stopping.after_epoch(math.nan, None if validate is None else math.nan)
        elif result.stopped_by == "interrupt":
            ended = "interrupt"
        elif decision == "stop":
            ended = "stop"
        elif stopping.epochs == epochs:
            ended = "epochs"
        state = result.state
        if decision == "lower":
            state = _begin_again(state, stopping.learning_rate)
            if orders is not None:
                orders.begin(stopping.epochs)
    if orders is not None and stopping.epochs:
        orders.wind_back(stopping.epochs)
    solver_state: Any = state.opt_state
    inner = jax.tree.map(np.asarray, solver_state.inner)
    return Trained(state.params.params, best, inner, ended)


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
        warnings.warn(messages[ended], kind, stacklevel=6)


def _begin_again(state: TrainState, learning_rate: float) -> TrainState:
    packed = np.array(state.params.packed)
    packed[Settings._fields.index("learning_rate")] = learning_rate
    params = state.params._replace(packed=jnp.asarray(packed))
    # Steps are counted anew, and draw from another key.
    key = jax.random.fold_in(state.key, state.step)
    return state._replace(params=params, step=jnp.zeros((), jnp.int32), key=key)
