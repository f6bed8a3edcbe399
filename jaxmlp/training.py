"""Turns a loss function, an optimizer, parameters and data into trained parameters: `fit`."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import optax
from jaxtyping import PRNGKeyArray, PyTree

from .calls import Call, Run, StepMetrics, join_metrics
from .data import DataLoader
from .drivers import Driver
from .feeding import as_validation, make_calls
from .nonfinite import find_first_bad_step
from .order import require_int
from .program import Plan, init_fit_state
from .progress import ProgressBar
from .run_files import Progress, RunFiles
from .settings import make_plan, require_averaging
from .signals import stop_requests
from .train_step import TrainState, copy_arrays, init_state
from .types import LossFn
from .writer import Checkpoints, as_checkpoints, open_writer

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
    checkpoint: str | Path | Checkpoints | None = None,
    resume: bool = False,
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
        checkpoint: Directory in which the run keeps checkpoints of all that it needs to go on, one
            a minute and one at its end, or `Checkpoints` with other settings. SIGINT and SIGTERM
            then end the run after the call at hand, with a checkpoint.
        resume: Whether to go on from the newest whole checkpoint in that directory, if there is
            one: a run that was interrupted, even within an epoch, gives the same numbers as one
            that was not. All arguments must be those of then, but `epochs` may grow. An iterable
            as `data` must give the same batches.

    Returns:
        The parameters, the history, the state, and how the run ended. An interrupt from the
        keyboard returns what was reached by the last finished call.

    Raises:
        NonFiniteError: Training met NaN or infinity and `nonfinite="raise"`; its `result` has the
            last good parameters.
        CheckpointError: No checkpoint in the directory is whole, or they are of another network.
        OSError: The checkpoints' directory cannot be used, holds another run's checkpoints, or is
            in use by one.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, would have no effect, or differs from that of the
            run to resume.

    References:
        Exponential averages: Polyak & Juditsky 1992; stochastic weight averaging: Izmailov et al.
        2018, algorithm 1.

    Example:
        >>> import jax
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
    require_int("epochs", epochs, 1, None)
    plan = make_plan(
        accumulate_steps, monitor, mode, patience, min_delta, ema_decay, swa_start, nonfinite
    )
    if isinstance(data, DataLoader):
        plan = dataclasses.replace(plan, transform=data.transform)
    require_averaging(swa_start, epochs)
    checkpoints = as_checkpoints(checkpoint, resume=resume)
    validation = as_validation(validation)
    run = Run(loss_fn, optimizer, plan, epochs, validation)
    state = init_fit_state(
        init_state(params, optimizer, key=key), plan, validated=validation is not None
    )
    made, stopped_by = Progress(state, {}, {}), "epochs"
    with contextlib.ExitStack() as stack:
        writer, stop_requested = None, lambda: False
        if checkpoints is not None:
            files = RunFiles(run, data)
            writer = stack.enter_context(open_writer(checkpoints, files.encode, resume=resume))
            made = (files.load(checkpoints.directory, state) if resume else None) or made
            stop_requested = stack.enter_context(stop_requests())
        calls = make_calls(
            driver,
            run,
            made.state,
            data,
            unfinished=made.unfinished,
            each_epoch=on_epoch is not None,
        )
        # An error's traceback would keep the reading of files alive.
        stack.enter_context(contextlib.closing(calls))
        bar = stack.enter_context(ProgressBar(epochs, show=progress))
        bar.update(int(made.state.epoch), {})
        try:
            is_over = made.state.stopped or int(made.state.epoch) >= epochs
            for call in () if is_over else calls:
                if not call.finite:
                    good, error = find_first_bad_step(run, call)
                    made = Progress(good, {}, made.history)
                    if nonfinite == "raise":
                        error.result = _make_result(plan, made, "nonfinite")
                        raise error
                    warnings.warn(str(error), RuntimeWarning, stacklevel=2)
                    stopped_by = "nonfinite"
                    break
                ended = _ended_epochs(call, made.history)
                made = Progress(call.after, call.unfinished, join_metrics(made.history, ended))
                if ended:
                    latest = {name: values[-1].item() for name, values in ended.items()}
                    bar.update(len(ended["epoch"]), latest)
                    if on_epoch is not None and _wants_stop(on_epoch(made.state.train, latest)):
                        stopped_by = "callback"
                        break
                if made.state.stopped:
                    break
                if stop_requested():
                    stopped_by = "interrupt"
                    break
                if writer is not None:
                    writer.offer(made)
        except KeyboardInterrupt:
            stopped_by = "interrupt"
        if made.state.stopped and stopped_by == "epochs":
            stopped_by = "patience"
        if writer is not None and stopped_by != "nonfinite":
            writer.finish(made)
    return _make_result(plan, made, stopped_by)


def _ended_epochs(call: Call, history: StepMetrics) -> dict[str, np.ndarray]:
    """Returns the metrics of the epochs that a call ended, with their numbers; {} within one."""
    if call.metrics is None:
        return {}
    metrics = {name: np.asarray(values) for name, values in call.metrics.items()}
    ran = metrics.pop("ran", np.ones(1, bool))
    first = len(history["epoch"]) if history else 0
    ended = {name: values[ran] for name, values in metrics.items()}
    return {"epoch": first + np.arange(ran.sum()), **ended}


def _wants_stop(answer: object) -> bool:
    if answer is not None and not isinstance(answer, bool | np.bool_):
        raise TypeError(f"on_epoch must return True to stop, or None; got {answer!r}.")
    return bool(answer)


def _make_result(plan: Plan, made: Progress, stopped_by: StopReason) -> FitResult:
    state = made.state
    params = state.train.params
    if plan.ema_decay is not None or int(state.averaged) > 0:
        params = state.average
    best_epoch = int(state.best_epoch)
    if state.best_params is not None and best_epoch >= 0:
        params = state.best_params
    if params is state.train.params:
        # Who goes on from the state may donate it.
        params = copy_arrays(params)
    history = dict(made.history) or {"epoch": np.zeros(0, np.int64)}
    return FitResult(params, history, state.train, best_epoch, stopped_by)
