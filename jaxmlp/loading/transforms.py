"""Turns a user's function of batches into one from whose result padding can be told."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax

from ..network import Batch

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


class JittedTransform:
    """A transform of a user, checked and compiled; pickled, it is compiled anew elsewhere.

    Args:
        transform: The pure function.
    """

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._jitted = jax.jit(functools.partial(apply_transform, transform))

    def __call__(self, batch: Batch) -> Batch:
        """Transforms a batch; see `apply_transform`."""
        return self._jitted(batch)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._transform,)
