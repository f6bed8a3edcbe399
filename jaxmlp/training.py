"""Turns a loss function, an optimizer, parameters and data into trained parameters: `fit`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Unpack

from jaxtyping import Array, Key, PyTree

from .checks import suggests_settings
from .data import DataLoader
from .fitting import (
    FIT_SETTINGS,
    Driver,
    FitResult,
    FitSettings,
    OnEpoch,
    complete,
    first_epoch_of,
    make_plan,
    spelled_out,
    start_of_run,
    train,
)
from .network import LossFn
from .optimizers import Optimizer
from .storage import Checkpoints, as_checkpoints
from .train_step import TrainState


@suggests_settings("fit")
@spelled_out(FIT_SETTINGS)
def fit(
    loss_fn: LossFn,
    optimizer: Optimizer,
    params: PyTree,
    data: DataLoader | Iterable[Any],
    *,
    epochs: int,
    key: Key[Array, ""] | None = None,
    state: TrainState | None = None,
    validation: PyTree | None = None,
    nonfinite: Literal["raise", "skip", "stop"] = "raise",
    on_epoch: OnEpoch | None = None,
    progress: bool | None = None,
    driver: Driver | Literal["auto"] = "auto",
    checkpoint: str | Path | Checkpoints | None = None,
    resume: bool = False,
    **settings: Unpack[FitSettings],
) -> FitResult:
    """Trains parameters: the same steps as the hand-written loop, compiled together.

    Epoch e visits the rows in the order `data.order(e)`; step t draws from `fold_in(key, t)`.

    Args:
        loss_fn: `(params, batch, key) -> (loss, metrics)`, as `make_loss` builds or your own.
        optimizer: Any optax optimizer, with any schedule; put clipping into it with `optax.chain`.
            See `make_train_step` for what it is handed.
        params: Where to start; any pytree of floating arrays. They are copied. With `state`, `None`
            or a tree of the same shapes.
        data: A `DataLoader`, whose `transform` runs inside the compiled steps, or an iterable of
            batches that can be iterated once per epoch, and may refill its NumPy arrays, which
            are copied; see `sources.batches`.
        epochs: Number of passes over the data, at least 1.
        key: One typed JAX random key; with `state`, `None` or that of the state.
        state: Where to go on instead: the `state` of a `FitResult`, or of a loop of your own with
            the same loss and optimizer. Steps and epochs are counted on, so that two runs in a row
            are one long run, bit for bit, but for what is kept per run: history, best parameters,
            averages, patience. A state within an epoch goes on with the next one. It is copied.
        validation: `(x, y)`, `(x, y, weight)`, a `Batch`, or whatever batch `loss_fn` takes;
            evaluated as a whole after every epoch, without randomness. Of a `DataLoader`, all rows
            are taken, through its own `transform`. The parameters of the epoch with the best
            monitored value are returned.
        nonfinite: What to do when a loss or parameter becomes NaN or infinite. "raise" an error
            that names the step, the cause and the rows; "stop" with a warning at the last good
            state; "skip" the step, counted in `history["skipped"]`.
        on_epoch: Called after every epoch with the state and that epoch's metrics, "epoch" among
            them; return True to stop. `fit` goes on with that state: give a step that donates it,
            as `make_train_step`'s does, a copy. One with a `next_epoch`, as a `Recorder`, is called
            after those epochs alone, and after the last.
        progress: Whether to show a progress bar; `None` shows it in terminals and notebooks, and
            in the first of the processes that share the run alone.
        driver: How many steps one compiled call takes: one "step", a "chunk" of about half a
            second, an "epoch", several "epochs", or "auto" by the estimated time of an epoch.
            Results do not depend on it beyond rounding.
        checkpoint: Directory in which the run keeps checkpoints of all that it needs to go on, one
            a minute and one at its end, or `Checkpoints` with other settings. SIGINT and SIGTERM
            then end the run after the call at hand, with a checkpoint. Processes share it.
        resume: Whether to go on from the newest whole checkpoint in that directory, if there is
            one: a run that was interrupted, even within an epoch, gives the same numbers as one
            that was not. All arguments must be those of then, the starting `params` among them,
            but `epochs` may be any number that has not been passed. An iterable as `data` must
            give the same batches.

    Returns:
        The parameters, the history, the state, and how the run ended. An interrupt from the
        keyboard returns what was reached by the last finished call.

    Raises:
        NonFiniteError: Training met NaN or infinity and `nonfinite="raise"`; its `result` has the
            last good parameters.
        CheckpointError: No checkpoint in the directory is whole, or they are of another network.
        OSError: The checkpoints' directory cannot be used, holds another run's checkpoints, or is
            in use by one.
        TimeoutError: Another process that shares the run has not come in time.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, would have no effect, or differs from that of the
            run to resume, or of another process.

    References:
        Exponential averages: Polyak & Juditsky 1992; stochastic weight averaging: Izmailov et al.
        2018, algorithm 1.

    Example:
        >>> import jax, jaxmlp, optax
        >>> import numpy as np
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
    chosen = complete("fit", settings, FIT_SETTINGS)
    first_epoch = first_epoch_of(state, data)
    return train(
        loss_fn,
        optimizer,
        data,
        # Not held here, so that its memory is given back after the first steps.
        start=start_of_run(params, optimizer, key=key, state=state),
        first_epoch=first_epoch,
        plan=make_plan(chosen, nonfinite=nonfinite, epochs=epochs, first_epoch=first_epoch),
        epochs=epochs,
        validation=validation,
        nonfinite=nonfinite,
        on_epoch=on_epoch,
        progress=progress,
        driver=driver,
        checkpoints=as_checkpoints(checkpoint, resume=resume),
        resume=resume,
    )
