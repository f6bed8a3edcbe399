"""Turns what `fit` is given to validate on into rows on the device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..data import DataLoader
from ..loading import apply_transform
from ..types import Batch, LossFn
from .buckets import padded_validation


def as_validation(validation: PyTree | None, loss_fn: LossFn | None = None) -> PyTree | None:
    """Copies the rows to validate on; those of a loader go through its transform.

    Raises:
        ValueError: There are not two or three entries, or rows that do not fit together.
    """
    if isinstance(validation, tuple) and not hasattr(validation, "_fields"):
        if len(validation) not in (2, 3):
            raise ValueError(
                f"validation must be (x, y) or (x, y, weight); got {len(validation)} entries."
            )
        validation = DataLoader(*validation, batch_size=1)
    if isinstance(validation, DataLoader):
        loader, rows = validation, read_rows(validation)
        if loader.transform is not None:
            return jax.jit(functools.partial(apply_transform, loader.transform))(rows)
        # The loader's arrays cannot change, so that the device may use their memory.
        return jax.device_put(rows if loss_fn is None else padded_validation(loss_fn, rows))
    return jax.tree.map(lambda a: jnp.array(a, copy=True), validation)


def read_rows(loader: DataLoader) -> Batch:
    """Reads all rows of a loader's source as they lie, before `transform` and not sharded."""
    whole = DataLoader(loader.source, batch_size=1, check_finite=loader.check_finite)
    return whole.rows or whole.read(np.arange(len(loader.source)))
