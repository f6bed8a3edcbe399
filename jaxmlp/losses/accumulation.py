"""Turns losses and gradients of micro-batches into those of the whole batch."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from ..network import with_types_of
from .weights import scale_weight, wide_type


def accumulate(
    value_and_grad: Callable[..., Any],
    params: PyTree,
    batch: PyTree,
    key: Key[Array, ""],
    accumulate_steps: int,
    place: Callable[[Any], Any] | None = None,
) -> Any:
    """Returns the mean over micro-batches, each weighted by the sum W_i of its rows' weights.

    Args:
        value_and_grad: `(params, micro_batch, key) -> ((loss, metrics), grads)`.
        params: What it is evaluated at.
        batch: A pytree of arrays with the rows along their leading axes.
        key: Micro-batch i draws from `fold_in(key, i)`.
        accumulate_steps: The number of micro-batches.
        place: Says where the stacked micro-batches lie.

    Returns:
        What `value_and_grad` returns, of the whole batch; the mean of a metric is over those
        micro-batches in which it is no NaN.

    Raises:
        ValueError: `accumulate_steps` does not divide the rows.
    """

    def cut(leaf: Array) -> Array:
        if not leaf.ndim or leaf.shape[0] % accumulate_steps:
            raise ValueError(
                f"accumulate_steps={accumulate_steps} must divide the leading axis of every array "
                f"in the batch; got one of shape {leaf.shape}."
            )
        return leaf.reshape(accumulate_steps, -1, *leaf.shape[1:])

    micro_batches = jax.tree.map(cut, batch)
    if place is not None:
        micro_batches = place(micro_batches)
    weight = getattr(batch, "weight", None)
    totals = jnp.ones(accumulate_steps)
    if weight is not None:
        wide = scale_weight(weight, wide_type(weight.dtype))
        totals = jnp.sum(wide.reshape(accumulate_steps, -1), axis=1)

    def evaluate(micro_batch: PyTree, index: Array, total: Array) -> Any:
        (loss, metrics), grads = value_and_grad(params, micro_batch, jax.random.fold_in(key, index))
        # A metric that is NaN, as one of a class that is missing, does not count.
        metrics = jax.tree.map(_widened, metrics)
        defined = jax.tree.map(lambda a: jnp.where(jnp.isnan(a), 0, total), metrics)
        metrics = jax.tree.map(lambda a: jnp.where(jnp.isnan(a), 0, a), metrics)

        def scaled(a: Array) -> Array:
            a = _widened(a)
            # Of padding alone, a loss may be NaN.
            return jnp.where(total > 0, a * total.astype(a.dtype), 0)

        return jax.tree.map(scaled, ((loss, metrics), grads)), defined

    def body(sums: Any, inputs: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, sums, evaluate(*inputs)), None

    first = jax.tree.map(lambda leaf: leaf[0], micro_batches)
    shapes = jax.eval_shape(value_and_grad, params, first, key)
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, wide_type(a.dtype)), shapes)
    no_metric = jax.tree.map(lambda a: jnp.zeros(a.shape, totals.dtype), shapes[0][1])
    scanned = (micro_batches, jnp.arange(accumulate_steps), totals)
    (((loss, metrics), grads), defined), _ = jax.lax.scan(body, (zeros, no_metric), scanned)
    total = jnp.sum(totals)

    def mean(summed: Array, total: Array) -> Array:
        return summed / jnp.where(total > 0, total, 1).astype(summed.dtype)

    (like, _), like_grads = shapes
    means = jax.tree.map(functools.partial(mean, total=total), (loss, grads))
    loss, grads = with_types_of(means, (like, like_grads))
    metrics = jax.tree.map(
        lambda summed, known: jnp.where((known == 0) & (total > 0), jnp.nan, mean(summed, known)),
        metrics,
        defined,
    )
    return (loss, metrics), grads


def _widened(a: Any) -> Array:
    """In at least float32: sums of 16 bits would lose digits, and integers their fractions."""
    return jnp.asarray(a).astype(wide_type(jnp.result_type(a)))
