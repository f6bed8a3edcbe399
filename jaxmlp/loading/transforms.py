"""Turns a user's function of batches into one from whose result padding can be told."""

from collections.abc import Callable
from typing import TypeAlias

import jax

from ..types import Batch

Transform: TypeAlias = Callable[[Batch], Batch]


def apply_transform(transform: Transform, batch: Batch) -> Batch:
    """Transforms a batch.

    Raises:
        TypeError: The result is no `Batch`, or has lost the weight of the rows.
    """
    result = transform(batch)
    if not isinstance(result, Batch):
        raise TypeError(
            f"transform must return a Batch, as batch._replace(x=...) does; got a "
            f"{type(result).__name__}."
        )
    if (result.weight is None) != (batch.weight is None):
        raise TypeError(
            "transform must keep the weight of every row, by which padding counts for nothing, as "
            f"batch._replace(x=...) does; got shapes {jax.tree.map(jax.numpy.shape, result)}."
        )
    return result
