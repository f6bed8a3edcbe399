"""Turns the metrics of every step into those of an epoch, and checks what a loss function gives."""

from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, Shaped

Metrics: TypeAlias = dict[str, Array]

# What a run reports beside the metrics of the loss function.
_OWN_NAMES = ("epoch", "finite", "ran", "skipped", "weight")


def mean_metrics(metrics: Metrics) -> Metrics:
    """Turns every step's metrics into their means over rows, by each step's total weight.

    Where every step was skipped they are NaN, so that such an epoch is never the best one.
    """
    weight = metrics["weight"]
    total = jnp.sum(weight)
    share = weight / jnp.where(total > 0, total, 1)

    def mean(values: Shaped[Array, " steps"]) -> Float[Array, ""]:
        # Sums of integers and of half-precision floats need more.
        is_wide = values.dtype in (jnp.float32, jnp.float64)
        values = values if is_wide else values.astype(jnp.float32)
        # Of rows of weight 0 alone, a metric may be NaN.
        mean = jnp.sum(jnp.where(share > 0, share.astype(values.dtype) * values, 0))
        return jnp.where(total > 0, mean, jnp.nan) if "skipped" in metrics else mean

    means = {name: mean(values) for name, values in metrics.items() if name not in _OWN_NAMES}
    skipped = {"skipped": jnp.sum(metrics["skipped"])} if "skipped" in metrics else {}
    return {**means, **skipped}


def check_metrics(metrics: Mapping[str, Array]) -> None:
    """Refuses metrics of a loss function that are no scalars or take a name of `fit`."""
    for name, value in metrics.items():
        if name in _OWN_NAMES or name.startswith("validation_"):
            raise ValueError(
                f"loss_fn must not name a metric {name!r}, which fit uses itself: "
                f"{', '.join(_OWN_NAMES)}, and what starts with 'validation_'."
            )
        if jnp.shape(value) != ():
            raise TypeError(
                f"loss_fn must return scalar metrics; got {name!r} of shape {jnp.shape(value)}."
            )


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every number in the tree is finite."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()
