"""Turns a run into its result, call by call: what happens on the host while a device computes."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from ..checks import require_function, require_key, require_loss, require_optimizer
from ..data import DataLoader
from ..losses.loss_function import NetworkLoss
from ..network import LossFn
from ..optimizers import Optimizer
from ..storage import Checkpoints, open_writer, processes_of
from ..train_step import TrainState, copy_arrays, init_state
from .agreement import require_agreement
from .callbacks import Callback
from .calls import Call, Run, StepMetrics, join_metrics, spread
from .decisions import decide
from .drivers import Driver, make_calls
from .fit_state import init_fit_state
from .layouts import make_layout, place_like
from .looks import OnEpoch, looks_of
from .nonfinite import find_first_bad_step
from .progress import ProgressBar
from .results import FitResult, make_result
from .run_files import Progress, RunFiles
from .settings import Plan
from .signals import stop_requests
from .validation import as_validation


def first_epoch_of(state: TrainState | None, data: Any) -> int:
    """Returns the number of the epoch that comes next.

    Raises:
        TypeError: `state` is no `TrainState`.
    """
    if state is None:
        return 0
    if not isinstance(state, TrainState):
        raise TypeError(
            f"state must be a TrainState, as result.state or init_state gives it; got a "
            f"{type(state).__name__}."
        )
    steps = len(data) if isinstance(data, DataLoader) else 0
    return -(-int(state.step) // steps) if steps else 0


def start_of_run(
    params: PyTree | None,
    optimizer: Optimizer,
    *,
    key: Key[Array, ""] | None,
    state: TrainState | None,
) -> TrainState:
    """Returns the state to start from.

    Raises:
        TypeError: Without a state, `key` is no typed random key.
        ValueError: `params` or `key` contradict the state.
    """
    if state is None:
        require_key("fit", key)
        assert key is not None
        return init_state(params, optimizer, key=key)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (params, state.params)]
    if params is not None and shapes[0] != shapes[1]:
        raise ValueError(
            "params must be None with state, or have the shapes of its parameters; got "
            f"{shapes[0]} for {shapes[1]}."
        )
    data_of = jax.random.key_data
    if key is not None and not np.array_equal(data_of(key), data_of(state.key)):
        raise ValueError(
            "key must be None with state, or the state's own, from which its steps go on to draw; "
            "for other draws use state._replace(key=key)."
        )
    return copy_arrays(state)


def train(
    loss_fn: LossFn,
    optimizer: Optimizer,
    data: DataLoader | Iterable[Any],
    *,
    start: TrainState,
    first_epoch: int,
    plan: Plan,
    epochs: int,
    validation: PyTree | None,
    nonfinite: Literal["raise", "skip", "stop"],
    on_epoch: OnEpoch | None,
    progress: bool | None,
    driver: Driver | Literal["auto"],
    checkpoints: Checkpoints | None,
    resume: bool,
) -> FitResult:
    """Runs `jaxmlp.fit`, whose settings have been checked and gone into the plan."""
    require_loss(loss_fn)
    require_optimizer(optimizer)
    if on_epoch is not None:
        remedy = "such as lambda state, metrics: metrics['loss'] < 0.1"
        require_function("on_epoch", on_epoch, "(state, metrics) -> bool or None", remedy)
    if isinstance(data, DataLoader):
        plan = dataclasses.replace(plan, transform=data.transform)
    validation = as_validation(
        validation, loss_fn, data, takes_batch=isinstance(loss_fn, NetworkLoss)
    )
    end = first_epoch + int(epochs)
    sharding = data.sharding if isinstance(data, DataLoader) else None
    processes = processes_of((start, sharding))
    run = Run(loss_fn, optimizer, plan, end, validation, processes=processes)
    looks = looks_of(on_epoch, end)
    state = init_fit_state(start, plan, validated=validation is not None)
    state = state._replace(epoch=jnp.asarray(first_epoch, state.epoch.dtype))
    callback = Callback(on_epoch, processes)
    callback.begin(start, first_epoch)
    settings = {"driver": driver, "nonfinite": nonfinite, "resume": resume}
    settings |= {"on_epoch": on_epoch is not None, "checkpoint": checkpoints and str(checkpoints)}
    require_agreement(run, data, state, settings)
    made, stopped_by = Progress(state, {}, {}), "epochs"
    with contextlib.ExitStack() as stack:
        writer, stop_requested = None, lambda: False
        if checkpoints is not None:
            files = RunFiles(run, data, processes.whole(state))
            opened = open_writer(checkpoints, files.encode, resume=resume, processes=processes)
            writer = stack.enter_context(opened)
            if resume and (found := files.load(writer)):
                made = found._replace(state=place_like(found.state, state))
        if checkpoints is not None or processes.several:
            stop_requested = stack.enter_context(stop_requests())
        if isinstance(data, DataLoader) and data.sharding is not None:
            layout = make_layout(state, data.sharding)
            run = spread(run, layout)
            made = made._replace(state=layout.place_state(made.state))
        calls = make_calls(
            driver,
            run,
            made.state,
            data,
            unfinished=made.unfinished,
            looks=looks,
        )
        # Nor shall the first state, which no later one is computed from, take memory to the end.
        del start, state
        # An error's traceback would keep the reading of files alive.
        stack.enter_context(contextlib.closing(calls))
        shown = False if progress is None and not processes.is_first else progress
        bar = stack.enter_context(ProgressBar(epochs, show=shown))
        done = int(made.state.epoch)
        bar.update(done - first_epoch, {})
        look = looks.next_epoch(done)
        try:
            is_over = made.state.stopped or done >= end
            for call in () if is_over else calls:
                if not call.finite:
                    good, error = find_first_bad_step(run, call)
                    made = Progress(good, {}, made.history)
                    if nonfinite == "raise":
                        error.result = make_result(plan, made, "nonfinite")
                        raise error
                    warnings.warn(str(error), RuntimeWarning, stacklevel=4)
                    stopped_by = "nonfinite"
                    break
                ended = _ended_epochs(call, made.history, first_epoch)
                made = Progress(call.after, call.unfinished, join_metrics(made.history, ended))
                is_due, latest = False, {}
                if ended:
                    latest = {name: values[-1].item() for name, values in ended.items()}
                    bar.update(len(ended["epoch"]), latest)
                    done = int(latest["epoch"]) + 1
                    is_due = done >= look or bool(made.state.stopped)
                    look = looks.next_epoch(done) if is_due else look
                if is_due and callback.asks_to_stop(made.state.train, latest):
                    stopped_by = "callback"
                    break
                if made.state.stopped:
                    break
                decision = decide(processes, stop_requested, writer)
                if decision.stops:
                    stopped_by = "interrupt"
                    break
                if decision.saves and writer is not None:
                    writer.start(processes.whole(made), decision.failure)
                # The state before it is not needed while the next one runs.
                del call
        except KeyboardInterrupt:
            # The second one, if others go on: they do not hear of it.
            if processes.several:
                raise
            stopped_by = "interrupt"
        if made.state.stopped and stopped_by == "epochs":
            stopped_by = "patience"
        if writer is not None and stopped_by != "nonfinite":
            writer.finish(processes.whole(made))
    return make_result(plan, made, stopped_by)


def _ended_epochs(call: Call, history: StepMetrics, first_epoch: int) -> dict[str, np.ndarray]:
    """Returns the metrics of the epochs that a call ended, with their numbers; {} within one."""
    if call.metrics is None:
        return {}
    metrics = {name: np.asarray(values) for name, values in call.metrics.items()}
    ran = metrics.pop("ran", np.ones(1, bool))
    first = first_epoch + (len(history["epoch"]) if history else 0)
    ended = {name: values[ran] for name, values in metrics.items()}
    return {"epoch": first + np.arange(ran.sum()), **ended}
