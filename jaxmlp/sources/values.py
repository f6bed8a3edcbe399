"""Turns numbers as files hold them into the types that JAX has, and refuses what does not fit."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from ..checks import require_int
from .ingestion import is_finite, is_floating, is_lost_weight, largest_exact

# Says where the value at an index lies: file, column and row; () stands for all rows.
Where = Callable[[tuple[int, ...]], str]


def stored_dtype(name: str, dtypes: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Returns the smallest type that JAX has for numbers of all these types.

    64-bit ones become 32-bit ones unless JAX's 64-bit types are on; integers stay integers.
    """
    dtypes = list(dtypes)
    for dtype in dtypes:
        if not (dtype.kind in "biuf" or is_floating(dtype)) or dtype.itemsize > 8:
            raise TypeError(
                f"{name} must hold bool, integers or floats of up to 64 bits; got {dtype}. "
                "Encode categories as integers, as in np.unique(values, return_inverse=True)."
            )
    common = np.result_type(*dtypes)
    if common.kind == "f" and all(dtype.kind != "f" for dtype in dtypes):
        common = np.dtype(np.int64)  # NumPy makes floats of int64 with uint64
    return np.dtype(jax.dtypes.canonicalize_dtype(common.newbyteorder("=")))


def fit_values(
    values: np.ndarray,
    dtype: np.dtype[Any],
    where: Where,
    *,
    check_finite: bool,
    exact: bool = False,
) -> np.ndarray:
    """Changes the type of an array, and refuses what the type cannot hold, or, if asked, NaN.

    `exact` says whether integers that become floats must keep all their digits.
    """
    if exact and dtype.kind == "f":
        require_exact(values, dtype, where)
    converted = convert(values, dtype, where)
    if check_finite:
        require_finite(converted, where)
    return converted


def convert(values: np.ndarray, dtype: np.dtype[Any], where: Where) -> np.ndarray:
    """Changes the type of an array, and refuses values that the type cannot hold."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        converted = values.astype(dtype)
    if values.dtype.kind == dtype.kind == "f":
        bad = np.isinf(converted) & np.isfinite(values)
    elif dtype.kind == "f" or np.can_cast(values.dtype, dtype):
        return converted
    else:
        bad = converted != values
    if bad.any():
        index = first(bad)
        raise ValueError(
            f"{where(index)} must fit into {dtype}; got {values[index]}. Call "
            "jax.config.update('jax_enable_x64', True) before, to keep 64-bit numbers."
        )
    return converted


def require_exact(values: np.ndarray, dtype: np.dtype[Any], where: Where) -> None:
    """Checks that integers keep all their digits as floats of a type."""
    if values.dtype.kind not in "iu" or not values.size:
        return
    limit = largest_exact(dtype)
    if max(int(values.max()), -int(values.min())) > limit:
        index = first((values > limit) | (values < -limit))
        raise ValueError(
            f"{where(index)} must be at most {limit} in size beside columns of floats, since "
            f"{dtype} does not tell larger integers apart; got {values[index]}. Drop or scale the "
            "column, or give it as an input of its own."
        )


def require_finite(values: np.ndarray, where: Where) -> None:
    """Checks for NaN and infinity."""
    if not is_finite(values):
        index = first(~np.isfinite(values))
        raise ValueError(
            f"{where(index)} must be finite; got {values[index]}. Impute or drop such rows, or "
            "pass check_finite=False."
        )


def require_weights(values: np.ndarray, where: Where) -> None:
    """Checks weights of rows, before they become float32: finite, at least 0, and not too small."""
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        index = first(bad)
        raise ValueError(f"{where(index)} must be finite and at least 0; got {values[index]}.")
    lost = is_lost_weight(values)
    if lost.any():
        index = first(lost)
        raise ValueError(
            f"{where(index)} must be 0 or at least 1.2e-38, since float32 does not hold smaller "
            f"weights; got {values[index]}. Multiply all of them by one factor: only their ratios "
            "count."
        )


def first(where: np.ndarray) -> tuple[int, ...]:
    """Returns the first index at which an array of bool is true."""
    return tuple(int(i) for i in np.unravel_index(int(where.argmax()), where.shape))


def require_chunk_rows(chunk_rows: Any, default: int) -> int:
    """Checks a number of rows per chunk."""
    if chunk_rows is None:
        return default
    require_int("chunk_rows", chunk_rows, 1, None)
    return int(chunk_rows)
