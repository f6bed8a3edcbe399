"""Turns columns of numbers into ones of about the same size, whatever their units and outliers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from ..checks import require_int
from .quantiles import require_columns, weighted_quantiles


class RobustScaling(NamedTuple):
    """Statistics of `robust_scale`: median and factor of every column, in float64."""

    center: Float[np.ndarray, " features"]
    factor: Float[np.ndarray, " features"]


def fit_robust_scaling(
    x: Real[np.ndarray, "rows features"], weight: Real[np.ndarray, " rows"] | None = None
) -> RobustScaling:
    """Computes the median and the inverse of the interquartile range of every column.

    Where the quartiles are the same, the factor is `2 / (max - min)`; a column that is constant or
    has no values has factor 0, and so is 0 once scaled.

    Args:
        x: Rows, of any finite size; NaN is a missing value, which does not count.
        weight: Weight of each row, at least 0; `None` weighs all alike.

    Returns:
        The statistics of its columns.

    Raises:
        TypeError: `x` is no array of real numbers.
        ValueError: `x` has not two axes or holds infinity, or `weight` is not one per row.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), section 3.

    Example:
        >>> scaling = fit_robust_scaling(np.array([[0.0], [0.0], [0.0], [0.0], [10.0]]))
        >>> scaling.center.tolist(), scaling.factor.tolist()
        ([0.0], [0.2])
    """
    require_columns(x, weight)
    x = np.asarray(x, np.float64)
    if np.isinf(x).any():
        row, feature = (int(i) for i in np.argwhere(np.isinf(x))[0])
        raise ValueError(
            f"x must be finite, or NaN where it is missing; got {x[row, feature]} in feature "
            f"{feature} of row {row}."
        )
    features = x.shape[1]
    center, factor = np.zeros(features), np.zeros(features)
    for number in range(features):
        known = (
            ~np.isnan(x[:, number]) if weight is None else ~np.isnan(x[:, number]) & (weight > 0)
        )
        if not known.any():
            continue
        # Halves, since the difference of two large numbers may be infinite.
        halves, levels = x[known, number] / 2, np.array([0, 0.25, 0.5, 0.75, 1])
        own = None if weight is None else weight[known]
        low, quarter, center[number], three_quarters, high = weighted_quantiles(halves, own, levels)
        center[number] *= 2
        spread, span = three_quarters - quarter, high - low
        with np.errstate(over="ignore"):
            scale = 0.5 / spread if spread > 0 else 1 / span if span > 0 else 0.0
        # Columns of subnormal numbers are constant for all that follows.
        factor[number] = scale if np.isfinite(scale) else 0.0
    return RobustScaling(center, factor)


def robust_scale(
    x: Real[np.ndarray, "rows features"], scaling: RobustScaling
) -> Float[np.ndarray, "rows features"]:
    """Computes `(x - center) * factor` by column; NaN becomes 0, the scaled median.

    Args:
        x: Rows; NaN is a missing value. Infinity is taken for the largest number.
        scaling: Statistics of the columns of the training set.

    Returns:
        Finite numbers, in float64, but none that float32 does not hold.

    Raises:
        TypeError: `x` is no array of real numbers.
        ValueError: `x` has not the columns of which the statistics are.

    Example:
        >>> x = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [np.nan, 9.0]])
        >>> robust_scale(x, fit_robust_scaling(x[:3])).tolist()
        [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    """
    require_columns(x, None)
    if x.shape[1:] != scaling.center.shape:
        raise ValueError(
            f"x must have {len(scaling.center)} features, as the rows that the statistics are of; "
            f"got x.shape={x.shape}."
        )
    x = np.asarray(x, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        # Both parts are scaled first where their difference would be infinite.
        scaled = np.where(
            np.isfinite(x - scaling.center),
            (x - scaling.center) * scaling.factor,
            x * scaling.factor - scaling.center * scaling.factor,
        )
    limits = np.finfo(np.float32)
    # Of infinity, a column without a scale is NaN.
    return np.clip(np.where(np.isnan(scaled), 0.0, scaled), limits.min, limits.max)


def smooth_clip(x: Float[Array, "*shape"], limit: float = 3.0) -> Float[Array, "*shape"]:
    """Returns `x / sqrt(1 + (x / limit)**2)`, which is about x near 0 and within +-limit.

    Args:
        x: Scaled numbers.
        limit: What large numbers tend to, above 0.

    Returns:
        Numbers of the same shape and type.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), section 3.

    Example:
        >>> round(float(smooth_clip(jnp.array(2.0))), 4)
        1.6641
    """
    # 1 / hypot does not overflow as the square does.
    return x / jnp.hypot(jnp.ones_like(x), x / limit)


def one_hot_columns(
    codes: Int[np.ndarray | jax.Array, " rows"], categories: int, *, has_missing: bool
) -> Float[np.ndarray, "rows columns"]:
    """Turns codes of one column into few columns: one per category.

    Args:
        codes: 0 where the category is missing or unknown, and 1 to `categories`.
        categories: Number of categories, at least 1.
        has_missing: Whether what is missing has a column of its own; else it is 0 in all.

    Returns:
        Float64. For two categories without a column for what is missing, one column that is -1 or
        1, and 0 where missing; else 1 in the column of the category and 0 in the others.

    Raises:
        TypeError: `codes` are no whole numbers, or `categories` is no int.
        ValueError: A code is below 0 or above `categories`, which is at least 1.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), section 3.

    Example:
        >>> one_hot_columns(np.array([1, 2, 0]), 2, has_missing=False).ravel().tolist()
        [-1.0, 1.0, 0.0]
    """
    require_int("categories", categories, 1, None)
    codes = np.asarray(codes)
    if not np.issubdtype(codes.dtype, np.integer):
        raise TypeError(f"codes must be an array of whole numbers; got one of {codes.dtype}.")
    if np.any((codes < 0) | (codes > categories)):
        raise ValueError(
            f"codes must be 0, or 1 to categories={categories}; got some in [{codes.min()}, "
            f"{codes.max()}]. Give 0 for a category that is unknown."
        )
    if categories == 2 and not has_missing:
        return np.array([0.0, -1.0, 1.0])[codes][:, None]
    first = 0 if has_missing else 1
    return (codes[:, None] == np.arange(first, categories + 1)).astype(np.float64)
