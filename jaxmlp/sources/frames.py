"""Turns frames, tables and their columns into arrays; no package of frames is imported."""

from collections.abc import Hashable
from typing import Any

import jax
import numpy as np

from .ingestion import ingest, largest_exact, package_of

_PACKAGES = {"pandas", "polars", "pyarrow"}


def is_frame(value: Any) -> bool:
    """Whether a value is a frame, table, series or column of pandas, polars or pyarrow."""
    return bool(package_of(value) & _PACKAGES)


def ingest_frame(name: str, frame: Any, *, check_finite: bool) -> np.ndarray:
    """Copies a frame's columns into one matrix of one type, or a series into a vector.

    Args:
        name: What errors call it.
        frame: Frame, table, series or column of pandas, polars or pyarrow.
        check_finite: Whether to refuse NaN and infinity.

    Returns:
        An array of the columns' common type, shape (rows, columns) or (rows,).

    Raises:
        TypeError: A column holds something else than numbers, or the frame is lazy.
        ValueError: Two columns have one name, a column has nulls, numbers are not finite, or
            integers would lose digits beside floats.
    """
    if hasattr(frame, "collect"):
        raise TypeError(f"{name} must be a frame with rows; got a lazy one. Give {name}.collect().")
    if not hasattr(frame, "columns"):
        return _column(name, frame, check_finite=check_finite)
    if hasattr(frame, "column_names"):  # pyarrow
        labels, columns = list(frame.column_names), list(frame.columns)
    elif hasattr(frame, "iloc"):  # pandas
        labels = list(frame.columns)
        columns = [frame.iloc[:, i] for i in range(len(labels))]
    else:  # polars
        labels, columns = list(frame.columns), frame.get_columns()
    if not labels:
        raise ValueError(f"{name} must have at least one column; got none.")
    _refuse_duplicates(name, labels)
    arrays = {
        f"{name}[{label!r}]": _column(f"{name}[{label!r}]", column, check_finite=check_finite)
        for label, column in zip(labels, columns, strict=True)
    }
    return stack_columns(name, arrays)


def stack_columns(matrix: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Joins columns, by the names that errors use, into one matrix of their common type.

    Raises:
        ValueError: A column has more than one axis, or integers would lose digits beside floats.
    """
    for name, array in arrays.items():
        if array.ndim != 1:
            raise ValueError(
                f"{name} must have one number per row to be a column of a matrix; got shape "
                f"{array.shape}. Give it as an input of its own, as in x={{'name': ...}}."
            )
    dtype = np.result_type(*(array.dtype for array in arrays.values()))
    stored = jax.dtypes.canonicalize_dtype(dtype)
    exact = largest_exact(stored) if stored.kind == "f" else 0
    for name, array in arrays.items():
        if exact and array.dtype.kind in "iu" and array.size:
            largest = max(abs(int(array.min())), abs(int(array.max())))
            if largest > exact:
                raise ValueError(
                    f"{name} holds integers up to {largest}, which {stored} does not tell "
                    f"apart above {exact}; drop or scale it, or give it as an input of its own, as "
                    "in x={'name': ...}."
                )
    joined = np.stack([array.astype(dtype) for array in arrays.values()], axis=-1)
    return ingest(matrix, joined, check_finite=False, copy=False)


def _column(name: str, column: Any, *, check_finite: bool) -> np.ndarray:
    dtype = getattr(column, "dtype", getattr(column, "type", None))
    nulls = _nulls(column, dtype)
    if nulls.any():
        raise ValueError(
            f"{name} must not have nulls; got {np.count_nonzero(nulls)}, the first in row "
            f"{int(nulls.argmax())}. Fill or drop them."
        )
    # Of pandas' nullable types, which read as objects otherwise.
    numbers = getattr(dtype, "numpy_dtype", None)
    array = column.to_numpy() if numbers is None else column.to_numpy(dtype=numbers)
    if array.dtype.kind not in "biuf" or getattr(dtype, "kind", "f") not in "biuf":
        raise TypeError(
            f"{name} must hold real numbers; got a column of {dtype}. Drop it, or encode its "
            "categories as integers, as in np.unique(values, return_inverse=True)."
        )
    return ingest(name, array, check_finite=check_finite)


def _nulls(column: Any, dtype: Any) -> np.ndarray:
    if hasattr(column, "isna"):  # pandas, where NaN among NumPy's floats is a number
        if isinstance(dtype, np.dtype) and dtype.kind != "O":
            return np.zeros(1, bool)
        return np.asarray(column.isna())
    if hasattr(column, "null_count") and not column.null_count:
        return np.zeros(1, bool)
    return np.asarray(column.is_null())


def _refuse_duplicates(name: str, labels: list[Hashable]) -> None:
    twice = sorted({str(label) for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"{name} must have columns of different names; got {twice} twice.")
