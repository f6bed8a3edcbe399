"""Turns rows' values and weights into their weighted mean, whatever the size of the weights."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ..checks import is_real_array

# Weights whose largest is in between need no scaling: sums and products are far from overflow.
_SMALLEST, _LARGEST = 2.0**-32, 2.0**32


def weighted_mean(
    values: Shaped[Array | np.ndarray, "*batch"],
    weight: Shaped[Array | np.ndarray, "*batch"] | None = None,
) -> Float[Array, ""]:
    """Mean over rows, `sum(weight * value) / sum(weight)`, computed in at least float32.

    Args:
        values: One number per row. Those of rows of weight 0 do not enter, NaN included; to take
            gradients, what they are computed from must be finite all the same.
        weight: Weight of each row, at least 0; `None` weighs all rows alike. Only their ratios
            count, so that they may be as large or small as their type holds.

    Returns:
        A scalar of the type of `values`, floating where they are integers; 0 where all weights are
        0, and NaN where one is NaN.

    Raises:
        TypeError: `values` or `weight` are no real arrays.
        ValueError: `weight` has not the shape of `values`.
    """
    values = _require_real("values", values)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        values = values.astype(float)
    if weight is None:
        return jnp.mean(values)
    if np.shape(weight) != values.shape:
        raise ValueError(
            f"weight must have one entry per row, shape {values.shape}; got {np.shape(weight)}."
        )
    # Sums of float16 overflow at 65504.
    wide = np.promote_types(values.dtype, "float32")
    # Twice: over several devices that all hold the weights, none then waits for the others' sum.
    total = jnp.sum(scale_weight(weight, wide))
    weight = scale_weight(weight, wide)
    summed = jnp.sum(jnp.where(weight == 0, 0, weight * values.astype(wide)))
    return (summed / jnp.where(total == 0, 1, total)).astype(values.dtype)


def effective_count(weight: Shaped[np.ndarray, " rows"]) -> float:
    """Returns (sum of w)^2 / sum of w^2, of weights of which one is above 0, whatever their size.

    References:
        Kish 1965, "Survey sampling", section 11.7.
    """
    share = np.asarray(weight, np.float64)
    share = share / share.max()
    return float(share.sum() ** 2 / (share**2).sum())


def scale_weight(weight: Any, dtype: Any) -> Float[Array, "*batch"]:
    """Returns weights in a floating type, divided by a power of two if they are extreme.

    The largest is then about 1, so that no sum overflows and none vanishes for being small; powers
    of two change no digit of a ratio. NaN and infinity stay.

    Raises:
        TypeError: The weights are no real array.
    """
    if isinstance(weight, np.ndarray | np.generic) and weight.dtype == np.float64 and weight.size:
        # Before they become float32, where they would be 0 or infinite.
        weight = np.ldexp(weight, -extreme_exponent(weight.max()))
    weight = _require_real("weight", weight).astype(dtype)
    if not weight.size:
        return weight
    largest = jax.lax.stop_gradient(jnp.max(weight))
    info = jnp.finfo(weight.dtype)
    bounded = jnp.clip(largest, info.tiny, 2.0 ** (info.maxexp - 2))
    power = jax.lax.reduce_precision(bounded, exponent_bits=info.nexp, mantissa_bits=0)
    usual = (largest == 0) | ((largest >= _SMALLEST) & (largest <= _LARGEST))
    return weight / jnp.where(usual, 1, power)


def wide_type(*dtypes: Any) -> np.dtype[Any]:
    """Returns the widest floating type among these, at least float32: 16 bits count to 256."""
    floating = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    wide = functools.reduce(np.promote_types, floating, np.dtype("float32"))
    return jax.dtypes.canonicalize_dtype(wide)


def extreme_exponent(largest: Any) -> int:
    """Returns the exponent of the power of two to divide by: 0 unless the largest is extreme."""
    if largest == 0 or _SMALLEST <= largest <= _LARGEST or not np.isfinite(largest):
        return 0
    return int(np.frexp(np.float64(largest))[1])


def _require_real(name: str, values: Any) -> Array:
    if not is_real_array(values):
        dtype = getattr(values, "dtype", None)
        got = f"an array of {dtype}" if dtype is not None else f"a {type(values).__name__}"
        raise TypeError(f"{name} must be a real NumPy or JAX array; got {got}.")
    return jnp.asarray(values)
