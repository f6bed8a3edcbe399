"""Turns a loss, an optimizer and batches into trained parameters, with scikit-learn's stopping."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from ..data import DataLoader
from ..fitting import NonFiniteError
from ..train_step import TrainState, init_state
from ..training import fit
from ..types import LossFn, Params
from .orders import ShuffledOrders
from .stochastic import Model, Settings, SolverState
from .stopping import Stopping


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
    validate: Callable[[Params], float] | None,
) -> Trained:
    """Trains for so many epochs at most, from an optimizer's state of before if there is one.

    Whenever the learning rate is lowered, `fit` begins anew with the state that was reached: the
    rate is part of what it is given.
    """
    state = init_state(model, optimizer, key=jax.random.key(0))
    if optimizer_state is not None:
        count = jnp.zeros((), jnp.int32)
        state = state._replace(opt_state=SolverState(count, optimizer_state))
    best, decision = None, "go on"

    def after_epoch(state: TrainState, metrics: Mapping[str, int | float]) -> bool:
        nonlocal best, decision
        score = None if validate is None else validate(state.params.params)
        if score is not None and stopping.is_best(score):
            best = jax.tree.map(np.asarray, state.params.params)
        decision = stopping.after_epoch(float(metrics["loss"]), score)
        return decision != "go on"

    ended = None
    while ended is None:
        try:
            result = fit(
                *(loss_fn, optimizer, None, loader),
                epochs=epochs - stopping.epochs,
                state=state,
                on_epoch=after_epoch,
                progress=False,
            )
        except NonFiniteError as error:
            result = error.result
            assert result is not None
            stopping.after_epoch(math.nan, None if validate is None else math.nan)
            ended = "nonfinite"
        state = result.state
        if result.stopped_by == "interrupt":
            ended = "interrupt"
        elif decision == "stop":
            ended = "stop"
        elif stopping.epochs == epochs:
            ended = "epochs"
        elif decision == "lower":
            state = _begin_again(state, stopping.learning_rate)
            if orders is not None:
                orders.begin(stopping.epochs)
    if orders is not None and stopping.epochs:
        orders.wind_back(stopping.epochs)
    reached: Any = state.opt_state
    return Trained(state.params.params, best, jax.tree.map(np.asarray, reached.inner), ended)


def _begin_again(state: TrainState, learning_rate: float) -> TrainState:
    packed = np.array(state.params.packed)
    packed[Settings._fields.index("learning_rate")] = learning_rate
    params = state.params._replace(packed=jnp.asarray(packed))
    return state._replace(params=params, step=jnp.zeros((), jnp.int32))
