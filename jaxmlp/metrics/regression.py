"""Metrics of predicted numbers: the size of their errors, and what they explain."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .counting import Counts, Metric, ratio, rows, weighted_sum


def _count_squares(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=False)
    return weighted_sum(weight, jnp.square(outputs - targets)), jnp.sum(weight)


def _root_mean(counts: Counts) -> Array:
    squares, weight = counts
    return jnp.sqrt(jnp.mean(squares) / weight)


rmse = Metric(name="rmse", count=_count_squares, compute=_root_mean)
"""Root of the mean squared error over rows and outputs, in target units."""


def _count_absolute(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=False)
    return jnp.mean(weighted_sum(weight, jnp.abs(outputs - targets))), jnp.sum(weight)


mae = Metric(name="mae", count=_count_absolute, compute=ratio)
"""Mean absolute error over rows and outputs, in target units."""


def _count_moments(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=False)
    total = jnp.sum(weight)
    divisor = jnp.where(total == 0, 1, total)
    # Seen from a row's own target, so that those of constant targets are exactly 0.
    origin = targets[jnp.argmax(weight != 0)] if len(targets) else jnp.zeros(targets.shape[1:])
    shifted = jnp.where((weight == 0)[:, None], 0, targets - origin)
    shift = weighted_sum(weight, shifted)
    centred = shifted - shift / divisor
    # Takes the rounding error of the mean out again (Chan et al. 1983, corrected two-pass).
    correction = jnp.square(weighted_sum(weight, centred)) / divisor
    summed = total * origin + shift
    return (
        weighted_sum(weight, jnp.square(outputs - targets)),
        weighted_sum(weight, jnp.square(centred)) - correction,
        summed,
        jnp.square(summed) / divisor,
        total,
    )


def _r2(counts: Counts) -> Array:
    residual, within, total, squares_between, weight = counts
    # Law of total variance: sum w (y - m)^2 = sum within batches + sum_b W_b m_b^2 - W m^2.
    between = squares_between - jnp.square(total) / weight
    # Batches of one and the same target differ by rounding.
    noise = 64 * jnp.finfo(between.dtype).eps * squares_between
    is_constant = (within == 0) & (jnp.abs(between) <= noise)
    explained = 1 - residual / jnp.where(is_constant, 1, within + between)
    of_constant = jnp.where(residual == 0, 1, 0 * residual)
    return jnp.mean(jnp.where(is_constant, of_constant, explained))


r2 = Metric(name="r2", count=_count_moments, compute=_r2)
"""Coefficient of determination, mean over the outputs, at most 1; for constant targets 1 where they
are met exactly and else 0, as in scikit-learn. Counts summed over batches lose (mean / standard
deviation)**2 of the targets in rounding: standardise them, or compute all rows at once."""
