"""Turns what `fit` is given to validate on into rows on the device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..checks import is_real_array
from ..data import DataLoader
from ..loading import JittedTransform
from ..network import Batch, LossFn
from ..sources.choice import match_columns, require_same_columns
from .buckets import padded_validation


def as_validation(
    validation: PyTree | None,
    loss_fn: LossFn | None = None,
    data: Any = None,
    *,
    takes_batch: bool = False,
) -> PyTree | None:
    """Copies the rows to validate on; those of a loader go through its transform.

    Args:
        validation: The rows, as `fit` takes them.
        loss_fn: The loss, for which their number is rounded up.
        data: The rows to train on, into the order of whose columns those of frames are put.
        takes_batch: Whether the loss takes nothing but a `Batch`.

    Raises:
        TypeError: There are no arrays, or something else.
        ValueError: There are not two or three entries, rows that do not fit together, or none of a
            weight above 0.
    """
    data = data if isinstance(data, DataLoader) else None
    if isinstance(validation, tuple) and not hasattr(validation, "_fields"):
        if len(validation) not in (2, 3):
            raise ValueError(
                f"validation must be (x, y) or (x, y, weight); got {len(validation)} entries."
            )
        x, y, *weight = validation
        if data is not None:
            x, y = match_columns(data.source, x, y)
        validation = DataLoader(x, y, *weight, batch_size=1)
    if isinstance(validation, DataLoader):
        if validation.parts is not None and len(validation.source) < validation.parts.rows:
            raise ValueError(
                f"Rows to evaluate on must be held by every process; got a loader of process_local "
                f"rows, {len(validation.source)} of {validation.parts.rows}. Give all processes "
                "the same rows, as jax.experimental.multihost_utils.process_allgather(x, "
                "tiled=True) gathers them."
            )
        if data is not None:
            require_same_columns(data.source, validation.source)
        loader, rows = validation, read_rows(validation)
        if loader.transform is not None:
            rows = JittedTransform(loader.transform)(_require_rows(rows))
        rows = _require_rows(rows)
        # The loader's arrays cannot change, so that the device may use their memory.
        return jax.device_put(rows if loss_fn is None else padded_validation(loss_fn, rows))
    rows = _require_rows(validation)
    if takes_batch and not isinstance(validation, Batch | None):
        raise TypeError(
            "validation must be (x, y), (x, y, weight), a jaxmlp.Batch or a DataLoader, for a loss "
            f"of make_loss; got a {type(validation).__name__}."
        )
    return jax.tree.map(lambda a: jnp.array(a, copy=True), rows)


def _require_rows(validation: PyTree) -> PyTree:
    if validation is None:
        return None
    for path, leaf in jax.tree.leaves_with_path(validation):
        if not isinstance(leaf, int | float) and not is_real_array(leaf):
            raise TypeError(
                "validation must be (x, y) or (x, y, weight), a DataLoader, or a batch of real "
                f"arrays; got {leaf!r} at validation{jax.tree_util.keystr(path)}."
            )
    if not jax.tree.leaves(validation):
        raise TypeError(f"validation must hold arrays; got {validation!r}.")
    lengths = {np.shape(leaf)[0] for leaf in jax.tree.leaves(validation) if np.ndim(leaf)}
    if lengths == {0}:
        raise ValueError(
            "validation must have at least one row; got none. Leave validation out to train "
            "without it."
        )
    weight = getattr(validation, "weight", None)
    if weight is not None and not np.any(np.asarray(weight) != 0):
        raise ValueError(
            "validation must have a row of weight above 0, since means over rows of weight 0 are "
            f"undefined; got {np.size(weight)} of weight 0."
        )
    return validation


def read_rows(loader: DataLoader) -> Batch:
    """Reads all rows of a loader's source as they lie, before `transform` and not sharded."""
    whole = DataLoader(loader.source, batch_size=1, check_finite=loader.check_finite)
    return whole.rows or whole.read(np.arange(len(loader.source)))
