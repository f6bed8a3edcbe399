"""Gives targets the shape and type that a criterion needs, or says what is wrong with them."""

from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped

Outputs: TypeAlias = Float[Array | np.ndarray, "*batch outputs"]
Targets: TypeAlias = Shaped[Array | np.ndarray, "..."]
RowLosses: TypeAlias = Float[Array, "*batch"]


def match_targets(name: str, outputs: Outputs, targets: Any) -> tuple[Array, Array]:
    """Gives targets the shape and type of the outputs; a vector is a column of one output."""
    outputs, targets = jnp.asarray(outputs), as_targets(targets)
    if outputs.shape[-1] == 1 and targets.shape == outputs.shape[:-1]:
        targets = targets[..., None]
    if targets.shape != outputs.shape:
        raise ValueError(
            f"{name} needs targets of shape {outputs.shape}, one per output; got {targets.shape}."
        )
    return outputs, targets.astype(outputs.dtype)


def as_targets(targets: Any) -> Array:
    """Returns the targets as a JAX array, or raises a TypeError unless they are real numbers."""
    dtype = getattr(targets, "dtype", None)
    if dtype is None or not (
        jnp.issubdtype(dtype, jnp.floating)
        or jnp.issubdtype(dtype, jnp.integer)
        or jnp.issubdtype(dtype, jnp.bool_)
    ):
        got = f"an array of {dtype}" if dtype is not None else f"a {type(targets).__name__}"
        raise TypeError(f"targets must be a real NumPy or JAX array; got {got}.")
    return jnp.asarray(targets)


def check_range(name: str, targets: Array, lowest: float, highest: float) -> None:
    """Raises for a target out of range where its value is known: outside `jax.jit`."""
    if isinstance(targets, Tracer) or targets.size == 0:
        return
    # In NumPy, since under `jax.jit` JAX would trace even targets whose values are known.
    values = np.asarray(targets)
    smallest, largest = float(values.min()), float(values.max())
    if smallest < lowest or largest > highest:
        raise ValueError(
            f"{name} needs targets in [{lowest:g}, {highest:g}]; got values in "
            f"[{smallest:g}, {largest:g}]."
        )


def mean_in_range(losses: Array, in_range: Array) -> RowLosses:
    """Mean over the outputs of a row; NaN where a target is out of range."""
    return jnp.mean(jnp.where(in_range, losses, jnp.nan), axis=-1)
