"""Turns a table's numbers and codes into rows of a network for tables, as training rows tell."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...tabular import (
    Bins,
    RobustScaling,
    TabularRows,
    fit_robust_scaling,
    one_hot_columns,
    quantile_bins,
    robust_scale,
    smooth_clip,
)
from .cells import parse_numbers
from .columns import open_table
from .encoding import Column, Encoded, describe_table, encode_table

# Columns of more categories become embeddings.
_MOST_ONE_HOT = 8


class Preparation(NamedTuple):
    """What is known of the columns of a table."""

    columns: tuple[Column, ...]
    """How each is encoded."""
    scaling: RobustScaling
    """Of all numbers of the table."""
    missing: np.ndarray
    """Whether a number was missing in training rows, shape (numbers,)."""

    @property
    def codes(self) -> tuple[int, ...]:
        """How many codes each column has that becomes an embedding."""
        return tuple(len(c.categories) + 1 for c in self.columns if is_embedded(c))


def prepare_columns(
    table: Any, weight: np.ndarray, *, categorical_features: Any, dtype: Any
) -> tuple[Preparation, TabularRows]:
    """Learns how to prepare a table, and prepares it.

    Args:
        table: Rows to train on.
        weight: Weight of each.
        categorical_features: As for `describe_table`.
        dtype: Type of the prepared numbers.

    Raises:
        TypeError: As `describe_table`.
        ValueError: As `describe_table`.
    """
    columns = describe_table(table, categorical_features=categorical_features)
    encoded = encode_table(table, columns)
    scaling = fit_robust_scaling(encoded.numbers, weight)
    missing: Any = np.isnan(encoded.numbers).any(axis=0)
    preparation = Preparation(columns, scaling, missing)
    return preparation, _prepare(preparation, encoded, dtype)


def prepare_rows(preparation: Preparation, table: Any, *, dtype: Any) -> TabularRows:
    """Prepares rows of a table.

    Raises:
        TypeError: As `encode_table`.
        ValueError: As `encode_table`.
    """
    return _prepare(preparation, encode_table(table, preparation.columns), dtype)


def needs_preparation(table: Any, *, categorical_features: Any) -> bool:
    """Whether scikit-learn would refuse a table: not all cells are numbers, or some are missing.

    Columns of a categorical type, and those that are told to be categories, need it too.

    Raises:
        TypeError: As `describe_table`.
        ValueError: As `describe_table`.
    """
    if not isinstance(categorical_features, str) and np.size(categorical_features):
        return True
    if type(table) is np.ndarray and table.dtype.kind in "biuf":
        return bool(table.ndim == 2 and table.dtype.kind == "f" and np.isnan(table).any())
    opened = open_table(table)
    for position in range(len(opened.names)):
        cells = opened.read(position)
        if opened.is_array:
            cells = parse_numbers(cells) or cells
        if cells.is_category or cells.missing.any() or cells.group not in ("bool", "number"):
            return True
    return False


def prepare_matrix(preparation: Preparation, table: Any) -> np.ndarray:
    """Prepares rows of a table as numbers alone: every category has a column of its own.

    Returns:
        Float64, shape (rows, columns), at least one; numbers are scaled and clipped smoothly.

    Raises:
        TypeError: As `encode_table`.
        ValueError: As `encode_table`.
    """
    encoded = encode_table(table, preparation.columns)
    rows = _prepare(preparation, encoded, np.float64, embeds=False)
    with jax.enable_x64(True):
        clipped = np.asarray(smooth_clip(jnp.asarray(rows.numbers)))
    matrix = np.concatenate([clipped, np.asarray(rows.columns)], axis=1)
    return matrix if matrix.shape[1] else np.zeros((len(matrix), 1))


def _prepare(
    preparation: Preparation, encoded: Encoded, dtype: Any, *, embeds: bool = True
) -> TabularRows:
    scaling = preparation.scaling
    # A column without two different numbers says nothing but where it is missing.
    used = scaling.factor > 0
    numbers = robust_scale(encoded.numbers, scaling)[:, used]
    columns = [np.isnan(encoded.numbers[:, preparation.missing])]
    codes = []
    categories = [column for column in preparation.columns if column.kind == "category"]
    for column, own in zip(categories, encoded.codes.T, strict=True):
        if embeds and is_embedded(column):
            codes.append(own)
        elif column.categories:
            count = len(column.categories)
            columns.append(one_hot_columns(own, count, has_missing=column.has_missing))
    rows = len(encoded.numbers)
    return TabularRows(
        numbers.astype(dtype),
        np.concatenate(columns, axis=1).astype(dtype),
        np.stack(codes, axis=1) if codes else np.zeros((rows, 0), np.int32),
    )


def find_bins(rows: TabularRows, bins: int, weight: np.ndarray) -> Bins:
    """Cuts prepared numbers at their quantiles."""
    return quantile_bins(np.asarray(smooth_clip(jnp.asarray(rows.numbers))), bins, weight=weight)


def is_embedded(column: Column) -> bool:
    """Whether a recipe's network learns an embedding of the categories of a column."""
    return len(column.categories) > _MOST_ONE_HOT
