"""Turns a setting of a criterion, Python's, NumPy's or traced, into a checked array."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Real

Scalar: TypeAlias = float | Real[Array | np.ndarray | np.generic, ""]
Levels: TypeAlias = Sequence[Scalar] | Real[Array | np.ndarray, " levels"]


def as_option(
    name: str,
    value: Any,
    requirement: str,
    allowed: Callable[[Any], Any],
    dtype: np.dtype[Any],
    *,
    ndim: int = 0,
) -> Float[Array, "..."]:
    """Returns a setting in the type of the outputs; a traced one out of range is NaN.

    Args:
        name: What errors call it.
        value: A number or an array, which may be traced.
        requirement: What errors say that it must be.
        allowed: Says of an array which of its numbers are in range.
        dtype: Type of the result.
        ndim: Number of axes, 0 or 1.

    Raises:
        TypeError: It is no real number, or has another number of axes.
        ValueError: It is empty, or its value is known and out of range.
    """
    if ndim and isinstance(value, list | tuple) and any(isinstance(v, jax.Array) for v in value):
        value = jnp.stack([jnp.asarray(v, dtype) for v in value])
    if isinstance(value, Tracer):
        _check_kind(name, value, value.dtype, value.ndim == ndim, requirement)
        value = value.astype(dtype)
        return jnp.where(allowed(value), value, jnp.nan)
    try:
        known = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be {requirement}; got {value!r}.") from error
    _check_kind(name, value, known.dtype, known.ndim == ndim, requirement)
    if not (known.size and np.all(allowed(known))):
        raise ValueError(f"{name} must be {requirement}; got {value}.")
    return jnp.asarray(known, dtype)


def _check_kind(name: str, value: Any, dtype: Any, has_shape: bool, requirement: str) -> None:
    is_real = jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
    if not (is_real and has_shape):
        raise TypeError(f"{name} must be {requirement}; got {value!r}.")
