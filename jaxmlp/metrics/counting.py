"""Turns outputs and targets into counts that add up over batches, and counts into numbers."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from ..checks import as_real_array, require_function
from ..losses.weights import scale_weight, wide_type

Counts: TypeAlias = tuple[Array, ...]
Outputs: TypeAlias = Shaped[Array | np.ndarray, "*batch outputs"]
Targets: TypeAlias = Shaped[Array | np.ndarray, "..."]
Weight: TypeAlias = Shaped[Array | np.ndarray, "*batch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that is computed from sums over rows.

    Args:
        name: What the number is called.
        count: `(outputs, targets, weight) -> counts`, a tuple of arrays that add up over batches.
        compute: `counts -> scalar`.

    Raises:
        TypeError: `name` is no text, or a function cannot be called so.
    """

    name: str
    count: Callable[[Any, Any, Any], Counts]
    compute: Callable[[Counts], Array]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a text, the metric's; got {self.name!r}.")
        form, remedy = "(outputs, targets, weight) -> counts", "a tuple of arrays that add up"
        require_function("count", self.count, form, remedy)
        require_function("compute", self.compute, "(counts) -> scalar", "of their sums")

    def __repr__(self) -> str:
        """Shows the name, and options that it does not tell."""
        options = self.count.args if isinstance(self.count, functools.partial) else ()
        return f"Metric({', '.join(map(repr, (self.name, *options)))})"

    def __call__(
        self, outputs: Outputs, targets: Targets, weight: Weight | None = None
    ) -> Float[Array, ""]:
        """Computes the metric of these rows.

        Args:
            outputs: What `jaxmlp.apply` returned, shape (*batch, outputs).
            targets: What the rows should have given, in the shape that the metric names.
            weight: Weight of each row, at least 0, shape (*batch,); `None` weighs all alike. Only
                ratios count: very large or small ones are divided by a power of two.

        Returns:
            A scalar; NaN where it is undefined (no rows), an output is NaN, or a target no class.

        Raises:
            ValueError: Shapes do not match.
        """
        if weight is not None:
            weight = rescale(weight)
        return self.compute(self.count(outputs, targets, weight))


def predicted_class(outputs: Array) -> Array:
    """Class with the largest output; one output is the log-odds of class 1."""
    if outputs.shape[-1] == 1:
        return (outputs[:, 0] > 0).astype(outputs.dtype)
    return jnp.argmax(outputs, axis=-1).astype(outputs.dtype)


def is_correct(outputs: Array, targets: Array) -> Array:
    """Returns 1 for the rows whose predicted class is the target, else 0."""
    return (predicted_class(outputs) == targets).astype(outputs.dtype)


def rescale(weight: Any) -> Array:
    """Returns weights in at least float32, the largest neither very large nor small."""
    weight = as_real_array("weight", weight)
    return scale_weight(weight, wide_type(weight.dtype))


def rows(outputs: Any, targets: Any, weight: Any, *, per_row: bool) -> tuple[Array, Array, Array]:
    """Flattens batch axes: outputs (rows, outputs), targets (rows,) or as outputs, weight (rows,).

    All three have one floating type, of at least 32 bits, that holds what each of them holds.

    The weight of a row with a NaN output, or whose target is no class, is NaN (unless 0), since
    `argmax(NaN)` returns a class. A row of weight 0 is all zeros, since `0 * NaN` is NaN.
    """
    outputs = jnp.asarray(as_real_array("outputs", outputs))
    targets = jnp.asarray(as_real_array("targets", targets))
    if outputs.ndim == 0:
        raise ValueError("outputs must have shape (*batch, outputs); got a scalar.")
    batch = outputs.shape[:-1]
    weight = (
        jnp.ones(batch, bool) if weight is None else jnp.asarray(as_real_array("weight", weight))
    )
    dtype = wide_type(outputs.dtype, targets.dtype, weight.dtype)
    outputs, targets, weight = (a.astype(dtype) for a in (outputs, targets, weight))
    if targets.shape == (*batch, 1) and outputs.shape[-1] == 1:
        targets = targets[..., 0]
    if not per_row and outputs.shape[-1] == 1 and targets.shape == batch:
        targets = targets[..., None]
    required = batch if per_row else outputs.shape
    if targets.shape != required:
        raise ValueError(
            f"targets must have shape {required}; got {targets.shape}, with outputs of shape "
            f"{outputs.shape}."
        )
    if weight.shape != batch:
        raise ValueError(f"weight must have shape {batch}; got {weight.shape}.")
    weight = weight.reshape(-1)
    outputs = outputs.reshape(-1, outputs.shape[-1])
    outputs = jnp.where((weight == 0)[:, None], 0, outputs)
    invalid = jnp.isnan(outputs).any(axis=-1)
    targets = targets.reshape(-1) if per_row else targets.reshape(outputs.shape)
    targets = jnp.where(weight == 0 if per_row else (weight == 0)[:, None], 0, targets)
    if per_row:
        classes = count_classes(outputs)
        invalid |= ~((targets >= 0) & (targets < classes) & (targets == jnp.round(targets)))
    return outputs, targets, jnp.where(invalid, jnp.nan, weight)


def count_classes(outputs: Array) -> int:
    """Returns the number of classes: one output tells two apart."""
    return max(outputs.shape[-1], 2)


def weighted_sum(weight: Array, values: Array) -> Array:
    """Sum over rows. A matrix product would be rounded coarsely, on CPUs as on accelerators."""
    return jnp.sum(weight[:, None] * values, axis=0)


def ratio(counts: Counts) -> Array:
    """Returns a sum over rows divided by the sum of their weights."""
    total, weight = counts
    return total / weight
