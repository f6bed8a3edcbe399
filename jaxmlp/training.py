"""Turns a loss function, an optimizer, parameters and data into trained parameters: `fit`."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray, PyTree

from .calls import Run
from .data import DataLoader
from .drivers import Driver
from .feeding import as_validation, make_calls
from .nonfinite import find_first_bad_step
from .program import FitState, Plan, init_fit_state
from .progress import ProgressBar
from .train_step import TrainState, init_state
from .types import LossFn

OnEpoch: TypeAlias = Callable[[TrainState, Mapping[str, int | float]], bool | None]
StopReason: TypeAlias = Literal["epochs", "patience", "callback", "interrupt", "nonfinite"]


class FitResult(NamedTuple):
    """What a run gave.

    `params` are the parameters to use: with validation those of the best epoch, else the last; the
    averaged ones where averaging was asked for. `history` has one array per metric, one entry per
    epoch, "epoch" among them: `pandas.DataFrame(result.history)` is a table. `state` is the state
    after the last step, from which training can go on. `best_epoch` is the number of the best
    epoch, or -1 if none was finite. `stopped_by` is "epochs" for a whole run, or what ended it:
    "patience", "callback", "interrupt", "nonfinite".
    """

    params: PyTree
    history: dict[str, np.ndarray]
    state: TrainState
    best_epoch: int
    stopped_by: StopReason


def fit(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    params: PyTree,
    data: DataLoader | Iterable[Any],
    *,
    epochs: int,
    key: PRNGKeyArray,
    validation: PyTree | None = None,
    monitor: str = "loss",
    mode: Literal["min", "max"] | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    ema_decay: float | None = None,
    swa_start: int | None = None,
    accumulate_steps: int = 1,
    nonfinite: Literal["raise", "skip", "stop"] = "raise",
    on_epoch: OnEpoch | None = None,
    progress: bool | None = None,
    driver: Driver | Literal["auto"] = "auto",
) -> FitResult:
    """Trains parameters: the same steps as the hand-written loop, compiled together.

    Epoch e visits the rows in the order `data.order(e)`; step t draws from `fold_in(key, t)`.

    Args:
        loss_fn: `(params, batch, key) -> (loss, metrics)`, as `make_loss` builds or your own.
        optimizer: Any optax optimizer, with any schedule; put clipping into it with `optax.chain`.
        params: Where to start; any pytree of floating arrays. They are copied.
        data: A `DataLoader`, whose `transform` runs inside the compiled steps, or an iterable of
            batches that can be iterated once per epoch; see `sources.batches`.
        epochs: Number of passes over the data, at least 1.
        key: One typed JAX random key.
        validation: `(x, y)`, `(x, y, weight)`, a `Batch`, or whatever batch `loss_fn` takes;
            evaluated as a whole after every epoch, without randomness. Of a `DataLoader`, all rows
            are taken, through its own `transform`. The parameters of the epoch with the best
            monitored value are returned.
        monitor: Metric that tells which epoch is best: "loss" or a name that `loss_fn` returns,
            of the validation rows if there are any, else of the training rows.
        mode: Whether "min" or "max" of it is best; "min" for the loss, required for others.
        patience: Number of epochs without improvement, at least 1, after which to stop.
        min_delta: What an improvement must exceed, at least 0, in the metric's unit.
        ema_decay: Decay per step in (0, 1) of an exponential moving average of the parameters,
            started at the first ones; the average is evaluated and returned.
        swa_start: Number of the first epoch, at least 0, whose last parameters enter a plain mean
            (stochastic weight averaging); the mean is evaluated and returned.
        accumulate_steps: Micro-batches per batch; see `make_train_step`.
        nonfinite: What to do when a loss or parameter becomes NaN or infinite. "raise" an error
            that names the step, the cause and the rows; "stop" with a warning at the last good
            state; "skip" the step, counted in `history["skipped"]`.
        on_epoch: Called after every epoch with the state and that epoch's metrics, "epoch" among
            them; return True to stop.
        progress: Whether to show a progress bar; `None` shows it in terminals and notebooks.
        driver: How many steps one compiled call takes: one "step", a "chunk" of about half a
            second, an "epoch", several "epochs", or "auto" by the estimated time of an epoch.
            Results do not depend on it beyond rounding.

    Returns:
        The parameters, the history, the state, and how the run ended. An interrupt from the
        keyboard returns what was reached by the last finished call.

    Raises:
        NonFiniteError: Training met NaN or infinity and `nonfinite="raise"`; its `result` has the
            last good parameters.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, or would have no effect.

    References:
        Exponential averages: Polyak & Juditsky 1992; stochastic weight averaging: Izmailov et al.
        2018, algorithm 1.

    Example:
        >>> import jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
        >>> result = jaxmlp.fit(
        ...     jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        ...     optax.adam(0.1),
        ...     jaxmlp.init_params(config, key=jax.random.key(0)),
        ...     jaxmlp.DataLoader(x, x @ np.array([1, -2], np.float32), batch_size=16),
        ...     epochs=50,
        ...     key=jax.random.key(1),
        ... )
        >>> result.params.output.kernel.round(2).ravel().tolist()
        [1.0, -2.0]
    """
    if mode is None and monitor == "loss":
        mode = "min"
    _require_int("epochs", epochs, 1)
    plan = make_plan(
        accumulate_steps, monitor, mode, patience, min_delta, ema_decay, swa_start, nonfinite
    )
    if isinstance(data, DataLoader):
        plan = dataclasses.replace(plan, transform=data.transform)
    require_averaging(swa_start, epochs)
    validation = as_validation(validation)
    run = Run(loss_fn, optimizer, plan, epochs, validation)
    state = init_fit_state(
        init_state(params, optimizer, key=key), plan, validated=validation is not None
    )
    calls = make_calls(driver, run, state, data, unfinished={}, each_epoch=on_epoch is not None)
    records: list[dict[str, np.ndarray]] = []
    stopped_by: StopReason = "epochs"
    with ProgressBar(epochs, show=progress) as bar:
        try:
            for call in calls:
                if not call.finite:
                    state, error = find_first_bad_step(run, call)
                    if nonfinite == "raise":
                        error.result = _make_result(plan, state, records, "nonfinite")
                        raise error
                    warnings.warn(str(error), RuntimeWarning, stacklevel=2)
                    stopped_by = "nonfinite"
                    break
                state = call.after
                if call.metrics is None:
                    continue
                ended = {name: np.asarray(values) for name, values in call.metrics.items()}
                ran = ended.pop("ran", np.ones(1, bool))
                first = sum(len(record["epoch"]) for record in records)
                ended = {name: values[ran] for name, values in ended.items()}
                records.append({"epoch": first + np.arange(ran.sum()), **ended})
                latest = {name: values[-1].item() for name, values in records[-1].items()}
                bar.update(int(ran.sum()), latest)
                if on_epoch is not None and _wants_stop(on_epoch(state.train, latest)):
                    stopped_by = "callback"
                    break
                if state.stopped:
                    stopped_by = "patience"
                    break
        except KeyboardInterrupt:
            stopped_by = "interrupt"
    return _make_result(plan, state, records, stopped_by)


def make_plan(
    accumulate_steps: int,
    monitor: str,
    mode: Literal["min", "max"] | None,
    patience: int | None,
    min_delta: float,
    ema_decay: float | None,
    swa_start: int | None,
    nonfinite: str,
) -> Plan:
    """Checks the settings of a run that are compiled into it."""
    _require_int("accumulate_steps", accumulate_steps, 1)
    if patience is not None:
        _require_int("patience", patience, 1)
    if swa_start is not None:
        _require_int("swa_start", swa_start, 0)
    if mode not in ("min", "max"):
        raise ValueError(
            f"mode must be 'min' or 'max', whichever is better for monitor={monitor!r}; "
            f"got {mode!r}."
        )
    if not 0 <= min_delta < math.inf:
        raise ValueError(f"min_delta must be finite and at least 0; got {min_delta}.")
    if ema_decay is not None and not 0 < ema_decay < 1:
        raise ValueError(f"ema_decay must be in (0, 1); got {ema_decay}.")
    if ema_decay is not None and swa_start is not None:
        raise ValueError("ema_decay and swa_start are two ways to average; give one of them.")
    if nonfinite not in ("raise", "skip", "stop"):
        raise ValueError(f"nonfinite must be 'raise', 'skip' or 'stop'; got {nonfinite!r}.")
    return Plan(
        accumulate_steps=accumulate_steps,
        monitor=monitor,
        mode=mode,
        patience=patience,
        min_delta=min_delta,
        ema_decay=ema_decay,
        swa_start=swa_start,
        skip_nonfinite=nonfinite == "skip",
    )


def require_averaging(swa_start: int | None, epochs: int) -> None:
    """Refuses an average that would begin after the last epoch."""
    if swa_start is not None and swa_start >= epochs:
        raise ValueError(
            f"swa_start must be below epochs, or nothing is averaged; got swa_start={swa_start}, "
            f"epochs={epochs}."
        )


def _require_int(name: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int of at least {lowest}; got {value!r}.")
    if value < lowest:
        raise ValueError(f"{name} must be an int of at least {lowest}; got {value}.")


def _wants_stop(answer: object) -> bool:
    if answer is not None and not isinstance(answer, bool | np.bool_):
        raise TypeError(f"on_epoch must return True to stop, or None; got {answer!r}.")
    return bool(answer)


def _make_result(
    plan: Plan, state: FitState, records: list[dict[str, np.ndarray]], stopped_by: StopReason
) -> FitResult:
    params = state.train.params
    if plan.ema_decay is not None or int(state.averaged) > 0:
        params = state.average
    best_epoch = int(state.best_epoch)
    if state.best_params is not None and best_epoch >= 0:
        params = state.best_params
    # Copied, since who goes on from the state may donate it.
    params = jax.tree.map(jnp.copy, params)
    names = records[0] if records else ("epoch",)
    history = {
        name: np.concatenate([record[name] for record in records])
        if records
        else np.zeros(0, np.int64)
        for name in names
    }
    return FitResult(params, history, state.train, best_epoch, stopped_by)
