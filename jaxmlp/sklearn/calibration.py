"""Turns logits of rows that were not trained on into the temperature that makes them honest."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from ..losses.weights import effective_count

# Temperatures that are tried lie between its inverse and it.
_LARGEST = 10.0
# Of how many rows, beside those that are seen, the class is left open; and the standard deviation
# of log T before any row is seen.
_DOUBT, _SPREAD = 0.5, 0.4
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

    def _begin_calibration(self, are_there: bool) -> None:
        """Forgets the temperature of a fit before.

        Raises:
            ValueError: Rows are needed that are not trained on, and there are none.
        """
        if hasattr(self, "temperature_"):
            self.temperature_ = 1.0
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
    """Finds the likeliest temperature, by which logits are to be divided.

    The mean log loss of N rows is least at some T, which is 0 where all rows are told right. Few
    rows tell little, so that as much as half a row is taken to be of any class, as Platt has it of
    a row of each class, and log T to be normal around 0 with a standard deviation of 0.4. A row's
    probabilities are averaged over all that there is of it; rows of unequal weight count as
    N = (sum of w)^2 / sum of w^2.

    Returns:
        A temperature in [0.1, 10], or 1 where none is likelier.

    References:
        Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks", section 4.2;
        Platt 1999, "Probabilistic outputs for support vector machines", section 2.2; Kish 1965,
        "Survey sampling", section 11.7, for N.

    Example:
        >>> values, row = np.array([[[4.0], [4.0], [4.0], [4.0]]]), np.arange(4)
        >>> targets = np.array([[1.0], [1.0], [1.0], [0.0]])
        >>> round(fit_temperature(Logits(values, row, targets, np.ones(4))), 2)
        1.46
    """
    weight = logits.weight[np.unique(logits.row)]
    if not weight.any():
        return 1.0
    most = np.log(_LARGEST)
    count = effective_count(weight)

    def cost(power: float) -> float:
        loss = tempered_loss(logits, float(np.exp(power)), _DOUBT / (count + _DOUBT))
        return loss + power**2 / (2 * _SPREAD**2 * count)

    found: Any = minimize_scalar(
        cost, bounds=(-most, most), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.exp(found.x)) if found.fun < cost(0.0) else 1.0


def tempered_loss(logits: Logits, temperature: float, smoothing: float = 0.0) -> float:
    """Computes the weighted mean log loss of rows at a temperature.

    Of each row, a share of `smoothing`, from 0 to 1, is taken to be of all classes alike.
    """
    values = np.asarray(logits.values, np.float64) / temperature
    rows, starts, counts = np.unique(logits.row, return_index=True, return_counts=True)

    def by_row(found: np.ndarray) -> np.ndarray:
        # log p = log mean exp of what all members and entries of a row say of a class.
        by_entry = np.logaddexp.reduce(found, axis=0)
        sums = np.logaddexp.reduceat(by_entry, starts, axis=0)
        return sums - np.log(counts * len(values))[:, None]

    targets = logits.targets[rows]
    if targets.ndim == 1:
        classes = by_row(log_softmax(values, axis=-1))
        own, any_class = classes[np.arange(len(rows)), targets], classes.mean(axis=1)
    else:
        yes, no = by_row(log_expit(values)), by_row(log_expit(-values))
        own = np.where(targets > 0, yes, no).sum(axis=1)
        any_class = (yes + no).sum(axis=1) / 2
    weight = np.asarray(logits.weight[rows], np.float64)
    loss = (1 - smoothing) * own + smoothing * any_class
    return float(-np.average(loss, weights=weight / weight.max()))


def choose_rows(weight: np.ndarray) -> np.ndarray:
    """Returns which rows to look at, in their order: of many some, evenly spread.

    Args:
        weight: Weight of each row for each member, shape (members, rows).
    """
    rows = np.flatnonzero(weight.any(axis=0))
    return rows[:: -(-len(rows) // _MOST_ROWS)] if len(rows) else rows
