"""Turns weighted numbers into quantiles, as if each number was there as often as it weighs."""

from typing import Any

import numpy as np
from jaxtyping import Float, Real

from ..checks import is_real_array
from ..losses.weights import effective_count


def weighted_quantiles(
    values: Real[np.ndarray, " rows"],
    weight: Real[np.ndarray, " rows"] | None,
    levels: Real[np.ndarray, " levels"],
) -> Float[np.ndarray, " levels"]:
    """Computes quantiles by linear interpolation, in float64.

    With weights that are whole numbers they are NumPy's of every number repeated so often. Weights
    whose sum is less than their effective number, (sum of w)^2 / sum of w^2, are multiplied by
    what makes it that: they then say how numbers compare, and not how often each was there.

    Args:
        values: Finite numbers, at least one of positive weight.
        weight: Weight of each, at least 0; `None` is 1.
        levels: Shares in [0, 1].

    Returns:
        The quantiles.

    Raises:
        ValueError: No number has positive weight, or weights are not one per number.

    References:
        Hyndman & Fan 1996, definition 7; Kish 1965, section 11.7, for the effective number.

    Example:
        >>> weighted_quantiles(np.array([3.0, 1.0]), np.array([1, 3]), np.array([0.5, 0.75]))
        array([1. , 1.5])
    """
    values = np.asarray(values, np.float64)
    weight = None if weight is None else np.asarray(weight, np.float64)
    if weight is not None and weight.shape != values.shape:
        raise ValueError(
            f"weight must have shape {values.shape}, one per number; got {weight.shape}."
        )
    if not (len(values) if weight is None else np.any(weight > 0)):
        raise ValueError(
            "values must have at least one of positive weight, since there are no quantiles of "
            f"none; got {len(values)} values."
        )
    if weight is None:
        return np.quantile(values, levels)
    kept = weight > 0
    values, weight = values[kept], weight[kept]
    weight = weight * max(1.0, effective_count(weight) / weight.sum())
    order = np.argsort(values, kind="stable")
    values, ends = values[order], np.cumsum(weight[order])
    # Place of each level among the repeated numbers, the first of which has place 0.
    places = np.asarray(levels, np.float64) * max(ends[-1] - 1, 0)
    lower = np.floor(places)
    low = values[_at(ends, lower)]
    high = values[_at(ends, np.ceil(places))]
    return low + (places - lower) * (high - low)


def require_columns(x: Any, weight: Any) -> None:
    """Refuses anything but rows of real numbers, and weights that are not one per row."""
    if not is_real_array(x):
        raise TypeError(f"x must be an array of real numbers; got a {type(x).__name__}.")
    if x.ndim != 2:
        raise ValueError(f"x must have shape (rows, features); got {x.shape}.")
    if weight is not None and np.shape(weight) != x.shape[:1]:
        raise ValueError(
            f"weight must have shape {x.shape[:1]}, one per row; got {np.shape(weight)}."
        )


def _at(ends: np.ndarray, places: np.ndarray) -> np.ndarray:
    # Sums of weights are rounded.
    return np.minimum(np.searchsorted(ends * (1 - 1e-12), places, side="right"), len(ends) - 1)
