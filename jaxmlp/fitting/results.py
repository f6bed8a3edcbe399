"""Turns what a run has reached into its result: parameters to use, history, state."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import PyTree

from ..network import trained_part, with_types_of
from ..train_step import TrainState, copy_arrays
from .run_files import Progress
from .settings import Plan

StopReason: TypeAlias = Literal["epochs", "patience", "callback", "interrupt", "nonfinite"]


class FitResult(NamedTuple):
    """What a run gave.

    `params` are the parameters to use: with validation those of the best epoch, else the last; the
    averaged ones where averaging was asked for. `history` has one array per metric, one entry per
    epoch, "epoch" among them; `to_frame()` is the same as a table. `state` is the state
    after the last step, from which training can go on. `best_epoch` is the number of the best
    epoch, or -1 if none was finite. `stopped_by` is "epochs" for a whole run, or what ended it:
    "patience", "callback", "interrupt", "nonfinite".
    """

    params: PyTree
    history: dict[str, np.ndarray]
    state: TrainState
    best_epoch: int
    stopped_by: StopReason

    def __repr__(self) -> str:
        """Shows how the run went, and no arrays."""
        last = {name: values[-1] for name, values in self.history.items() if len(values)}
        last.pop("epoch", None)
        shown = "".join(f", {name}={value:.4g}" for name, value in last.items())
        return (
            f"FitResult({count_parameters(self.params):,} parameters, "
            f"{len(self.history['epoch'])} epochs, best_epoch={self.best_epoch}, "
            f"stopped_by={self.stopped_by!r}{shown})"
        )

    def to_frame(self) -> Any:
        """Returns the history as a `pandas.DataFrame`, one row per epoch.

        Returns:
            The columns "epoch" and one per metric, in the order of `history`.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> history = {"epoch": np.arange(2), "loss": np.array([2.0, 1.0])}
            >>> print(FitResult({}, history, None, 1, "epochs").to_frame())
               epoch  loss
            0      0   2.0
            1      1   1.0
        """
        return as_frame(self.history)


def as_frame(columns: Mapping[str, Any]) -> Any:
    """Returns columns of one length as a `pandas.DataFrame`.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "to_frame needs pandas, which is not installed; pip install pandas."
        ) from error
    return pd.DataFrame({name: _of_numpy(values) for name, values in columns.items()})


def _of_numpy(values: Any) -> Any:
    # pandas computes nothing of bfloat16, which is no type of NumPy's own.
    is_foreign = isinstance(values, np.ndarray) and values.dtype.kind == "V"
    return values.astype(np.float32) if is_foreign else values


def count_parameters(params: PyTree) -> int:
    """Returns the number of numbers that are trained."""
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(trained_part(params)))


def make_result(plan: Plan, made: Progress, stopped_by: StopReason) -> FitResult:
    """Chooses the best parameters, else the averaged ones, else the last."""
    state = made.state
    params = state.train.params
    if plan.ema_decay is not None or int(state.averaged) > 0:
        params = with_types_of(state.average, params)
    best_epoch = int(state.best_epoch)
    if state.best_params is not None and best_epoch >= 0:
        params = state.best_params
    if params is state.train.params:
        # Who goes on from the state may donate it.
        params = copy_arrays(params)
    history = dict(made.history) or {"epoch": np.zeros(0, np.int64)}
    return FitResult(params, history, state.train, best_epoch, stopped_by)
