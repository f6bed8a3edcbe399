"""Gives outputs and targets the shapes and types that a criterion needs, or says what is wrong."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Shaped

from ..checks import is_real_array

Outputs: TypeAlias = Shaped[Array | np.ndarray, "*batch outputs"]
Targets: TypeAlias = Shaped[Array | np.ndarray, "..."]
RowLosses: TypeAlias = Float[Array, "*batch"]


def as_outputs(outputs: Any, name: str = "outputs") -> tuple[Array, np.dtype[Any]]:
    """Returns outputs in at least float32, and the type of the losses, that of the outputs.

    Votes, counts and other integers are taken as the floats that they are equal to. Errors call
    them by `name`.
    """
    outputs = _as_real(name, outputs)
    if outputs.ndim == 0:
        raise ValueError(f"{name} must have shape (*batch, outputs); got a scalar.")
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        outputs = outputs.astype(float)
    wide = np.promote_types(outputs.dtype, "float32")
    return outputs.astype(wide), outputs.dtype


def as_targets(targets: Any) -> Array:
    """Returns the targets as a JAX array, or raises a TypeError unless they are real numbers."""
    return _as_real("targets", targets)


def match_targets(
    name: str, outputs: Array, targets: Any, lowest: float = -np.inf, highest: float = np.inf
) -> tuple[Array, Bool[Array, "*batch outputs"]]:
    """Gives targets the shape and type of the outputs; a vector is a column of one output.

    Returns the targets, and which of them are in range.
    """
    targets = as_targets(targets)
    column = outputs.shape[-1] == 1 and targets.shape == outputs.shape[:-1]
    shape = (*targets.shape, 1) if column else targets.shape
    if shape != outputs.shape:
        raise ValueError(
            f"{name} needs targets of shape {outputs.shape}, one per output; got {targets.shape}."
        )
    # Before any operation, since JAX traces those even on targets whose values are known.
    check_range(name, targets, lowest, highest)
    targets = targets.reshape(shape).astype(outputs.dtype)
    return targets, (targets >= lowest) & (targets <= highest)


def check_range(name: str, targets: Array, lowest: float, highest: float) -> None:
    """Raises for a target out of range where its value is known: outside `jax.jit`."""
    if isinstance(targets, Tracer) or targets.size == 0 or (lowest, highest) == (-np.inf, np.inf):
        return
    # In NumPy, since under `jax.jit` JAX would trace even targets whose values are known.
    values = np.asarray(targets)
    smallest, largest = float(values.min()), float(values.max())
    if smallest < lowest or largest > highest:
        raise ValueError(
            f"{name} needs targets in [{lowest:g}, {highest:g}]; got values in "
            f"[{smallest:g}, {largest:g}]."
        )


def mean_in_range(losses: Array, in_range: Array, dtype: np.dtype[Any]) -> RowLosses:
    """Mean over the outputs of a row, of a type; NaN where a target is out of range."""
    return jnp.mean(jnp.where(in_range, losses, jnp.nan), axis=-1).astype(dtype)


def _as_real(what: str, values: Any) -> Array:
    if not is_real_array(values):
        dtype = getattr(values, "dtype", None)
        got = f"an array of {dtype}" if dtype is not None else f"a {type(values).__name__}"
        raise TypeError(f"{what} must be a real NumPy or JAX array; got {got}.")
    dtype = values.dtype
    narrow = jax.dtypes.canonicalize_dtype(dtype)
    if narrow != dtype and jnp.issubdtype(dtype, jnp.integer) and np.size(values):
        limits = np.iinfo(narrow)
        if np.min(values) < limits.min or np.max(values) > limits.max:
            raise ValueError(
                f"{what} must fit into {narrow}; got values in [{np.min(values)}, "
                f"{np.max(values)}]. Convert them, or call "
                "jax.config.update('jax_enable_x64', True) to keep 64-bit numbers."
            )
    return jnp.asarray(values)
