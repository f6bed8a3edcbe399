"""Turns logits of rows that were not trained on into the temperature that makes them honest."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

# Temperatures that are tried lie between its inverse and it.
_LARGEST = 10.0
# More rows tell one number no better.
_MOST_ROWS = 50_000


class Logits(NamedTuple):
    """Logits of rows by members that were not trained on them, entry by entry."""

    values: np.ndarray
    """Shape (members, entries, outputs): of one network's members, or of one."""
    row: np.ndarray
    """Which row each entry is of, in increasing order."""
    targets: np.ndarray
    """Of each row: a class, shape (rows,), or 0 and 1, shape (rows, outputs)."""
    weight: np.ndarray
    """Of each row."""


class Calibration:
    """Learns the temperature of an estimator that wants one, and applies it."""

    calibrate: bool = False

    def _require_held_out(self, are_there: bool) -> None:
        """Raises a ValueError if rows are needed that are not trained on, and there are none."""
        if self.calibrate and not are_there:
            raise ValueError(
                "calibrate=True needs rows that are not trained on, and there are none: give X_val "
                "and y_val to fit, or set early_stopping=True, or train by a recipe with folds on "
                "more than 48 rows; solver='lbfgs' and partial_fit have no such rows."
            )

    def _use_held_out(self, compute: Callable[[], Logits]) -> None:
        """Learns from rows that were not trained on."""
        if self.calibrate:
            self.temperature_ = fit_temperature(compute())

    def _temper(self, params: Any) -> Any:
        """Returns parameters of a network that gives logits divided by the temperature."""
        temperature = getattr(self, "temperature_", 1.0)
        if temperature == 1:
            return params
        output = params.output
        output = output._replace(kernel=output.kernel / temperature, bias=output.bias / temperature)
        return params._replace(output=output)


def fit_temperature(logits: Logits) -> float:
    """Finds the temperature of least log loss, by which logits are to be divided.

    A row's probabilities are averaged over all that there is of it.

    Returns:
        A temperature in [0.1, 10], or 1 where none has a lower loss.

    References:
        Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks", section 4.2.

    Example:
        >>> values, row = np.array([[[4.0], [4.0], [4.0], [4.0]]]), np.arange(4)
        >>> targets = np.array([[1.0], [1.0], [1.0], [0.0]])
        >>> round(fit_temperature(Logits(values, row, targets, np.ones(4))), 2)
        3.64
    """
    if not logits.weight.any():
        return 1.0
    most = np.log(_LARGEST)
    found: Any = minimize_scalar(
        lambda power: tempered_loss(logits, float(np.exp(power))),
        bounds=(-most, most),
        method="bounded",
        options={"xatol": 1e-4},
    )
    temperature = float(np.exp(found.x))
    return temperature if tempered_loss(logits, temperature) < tempered_loss(logits, 1.0) else 1.0


def tempered_loss(logits: Logits, temperature: float) -> float:
    """Computes the weighted mean log loss of rows at a temperature."""
    values = np.asarray(logits.values, np.float64) / temperature
    targets = logits.targets[logits.row]
    if targets.ndim == 1:
        found = np.take_along_axis(log_softmax(values, axis=-1), targets[None, :, None], axis=-1)
    else:
        found = log_expit(np.where(targets > 0, values, -values))
    # log p = log mean exp of what all members and entries of a row say of its targets.
    by_entry = np.logaddexp.reduce(found, axis=0)
    rows, starts, counts = np.unique(logits.row, return_index=True, return_counts=True)
    by_row = np.logaddexp.reduceat(by_entry, starts, axis=0)
    by_row -= np.log(counts * len(values))[:, None]
    weight = logits.weight[rows]
    return float(-(weight @ by_row.sum(axis=1)) / weight.sum())


def choose_rows(weight: np.ndarray) -> np.ndarray:
    """Returns which rows to look at, in their order: of many some, evenly spread.

    Args:
        weight: Weight of each row for each member, shape (members, rows).
    """
    rows = np.flatnonzero(weight.any(axis=0))
    return rows[:: -(-len(rows) // _MOST_ROWS)] if len(rows) else rows
