"""Turns the metrics of every step into those of an epoch, and checks what a loss function gives."""

from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from ..losses.weights import scale_weight, wide_type

Metrics: TypeAlias = dict[str, Array]

# What a run reports beside the metrics of the loss function.
_OWN_NAMES = ("epoch", "finite", "ran", "skipped", "weight")


def mean_metrics(metrics: Metrics) -> Metrics:
    """Turns every step's metrics into their means over rows, by each step's total weight.

    A metric that is NaN in a step, as one of a class that its batch lacks, is the mean over the
    others; the loss is not. Where every step was skipped they are NaN, so that such an epoch is
    never the best one.
    """
    weight = scale_weight(metrics["weight"], metrics["weight"].dtype)
    total = jnp.sum(weight)

    def mean(name: str, values: Shaped[Array, " steps"]) -> Float[Array, ""]:
        # Sums of integers and of half-precision floats need more.
        values = values.astype(wide_type(values.dtype))
        counted = weight if name == "loss" else jnp.where(jnp.isnan(values), 0, weight)
        defined = jnp.sum(counted)
        share = counted / jnp.where(defined > 0, defined, 1)
        # Of rows of weight 0 alone, a metric may be NaN.
        mean = jnp.sum(jnp.where(share > 0, share.astype(values.dtype) * values, 0))
        has_rows = True if "skipped" in metrics else total > 0
        return jnp.where((defined == 0) & has_rows, jnp.nan, mean)

    means = {name: mean(name, values) for name, values in metrics.items() if name not in _OWN_NAMES}
    skipped = {"skipped": jnp.sum(metrics["skipped"])} if "skipped" in metrics else {}
    return {**means, **skipped}


def row_weight(batch: PyTree) -> Float[Array, ""]:
    """Returns what a batch counts in means over rows: its total weight, or its number of rows.

    Without weights that is the length of the leading axis that all its arrays share, else 1.
    """
    weight = getattr(batch, "weight", None)
    if weight is not None:
        return jnp.sum(weight, dtype=float)
    lengths = {a.shape[0] for a in jax.tree.leaves(batch) if getattr(a, "ndim", 0)}
    return jnp.asarray(lengths.pop() if len(lengths) == 1 else 1, float)


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
