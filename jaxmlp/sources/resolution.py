"""Refuses 64-bit floats that would run together in the narrower type that JAX gives them.

Looked at are at most 1024 rows, evenly spaced, so the cost does not grow with the data. A column is
refused if its numbers lie close together on a large offset, and of those that differ more than a
quarter become equal, or rounding moves one by more than a tenth of their standard deviation.
"""

from typing import Any

import numpy as np
from jaxtyping import Int

# Rows and numbers that are looked at, and the fewest rows where a row has many numbers.
_MOST_ROWS, _MOST_NUMBERS, _FEWEST_ROWS = 1024, 2**20, 32
# Relative differences that arithmetic in float64 itself makes.
_NOISE = 1e-12


def is_narrowed(values: np.dtype, stored: np.dtype) -> bool:
    """Whether numbers of one type are stored as floats of fewer digits."""
    return values.kind == stored.kind == "f" and stored.itemsize < values.itemsize


def is_narrow(low: Any, high: Any) -> Any:
    """Whether numbers in [low, high] lie on an offset of at least 32 times their range.

    Args:
        low: The least number of each column, an array or one number.
        high: The largest one.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return (high > low) & (high - low < np.maximum(np.abs(low), np.abs(high)) / 32)


def require_resolved(name: str, values: np.ndarray, stored: np.dtype) -> None:
    """Checks that the numbers of each column stay apart in the type that they are stored in.

    Args:
        name: What errors call them.
        values: Numbers, shape (rows, ...); what is on one place of the rows is a column.
        stored: The type.

    Raises:
        ValueError: They run together.
    """
    if not is_narrowed(values.dtype, stored) or len(values) < 2 or not values.size:
        return
    width = values.size // len(values)
    rows = min(_MOST_ROWS, max(_FEWEST_ROWS, _MOST_NUMBERS // width))
    sample = values[:: -(-len(values) // rows)].reshape(-1, width)
    if not np.isfinite(sample).all():
        sample = np.where(np.isfinite(sample), sample, np.nan)
    low, high = np.fmin.reduce(sample), np.fmax.reduce(sample)
    for column in np.flatnonzero(is_narrow(low, high)):
        place = tuple(int(i) for i in np.unravel_index(column, values.shape[1:]))
        of = "" if not place else f", column {place[0] if len(place) == 1 else place},"
        _require_column(f"{name}{of}", sample[:, column], stored)


def sampled_rows(chunks: Int[np.ndarray, " chunks_and_end"]) -> Int[np.ndarray, " rows"]:
    """Returns the rows to look at of a source: of its first, middle and last chunk."""
    parts = np.unique(np.linspace(0, len(chunks) - 2, 3).astype(np.int64))
    spans = [(int(chunks[i]), int(chunks[i + 1])) for i in parts]
    each = _MOST_ROWS // len(spans)
    return np.concatenate([np.arange(low, end, -(-(end - low) // each)) for low, end in spans])


def _require_column(name: str, column: np.ndarray, stored: np.dtype) -> None:
    values = np.sort(column[np.isfinite(column)])
    with np.errstate(over="ignore"):
        rounded = values.astype(stored)
    different = 1 + np.count_nonzero(np.diff(values) > _NOISE * np.abs(values[1:]))
    left = 1 + np.count_nonzero(np.diff(rounded) > 0)
    with np.errstate(over="ignore", invalid="ignore"):
        moved, deviation = np.abs(values - rounded).max(), np.std(values)
    if different > 1 and (left < 0.75 * different or moved > deviation / 10):
        raise ValueError(
            f"{name} must have numbers that {stored} tells apart; those from {values[0]:.17g} to "
            f"{values[-1]:.17g} lose their differences: of {different} that differ {left} are "
            f"left, and rounding moves them by up to {moved:.2g}, at a standard deviation of "
            f"{deviation:.2g}. Subtract an offset in float64 first, as in values - values.mean(), "
            "or call jax.config.update('jax_enable_x64', True) to keep 64-bit numbers."
        )
