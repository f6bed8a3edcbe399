"""Turns trained members and rows into what they predict."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...tabular import Bins, TabularConfig, TabularParams, TabularRows, apply_tabular
from ..solvers import compute_in_blocks


class Members(NamedTuple):
    """Trained members; arrays of `params` have a leading axis of them."""

    params: TabularParams
    bins: Bins | None


def compute_members(
    members: Members,
    rows: TabularRows,
    *,
    config: TabularConfig,
    predict: Callable[[Array], Array],
    apart: bool = False,
) -> np.ndarray:
    """Computes what every member predicts, shape (members, rows, outputs).

    Args:
        members: Trained members.
        rows: Prepared rows.
        config: How networks are built.
        predict: Outputs into predictions, which the members of a network that share kernels
            average.
        apart: Whether those are not averaged; they count as members, then.
    """
    arrays = [np.asarray(array) for array in rows]
    predicted = compute_in_blocks(_predict, members, arrays, config, predict, apart)
    # (rows, members, ...), of which `apart` has the networks that share kernels as a third axis.
    predicted = np.moveaxis(predicted, 0, 1)
    return np.concatenate(np.moveaxis(predicted, 2, 1)) if apart else predicted


def _predict(
    members: Members,
    rows: tuple[Array, ...],
    config: TabularConfig,
    predict: Callable[[Array], Array],
    apart: bool,
) -> Array:
    def one(params: TabularParams) -> Array:
        outputs = apply_tabular(params, TabularRows(*rows), config=config, bins=members.bins)
        predicted = predict(outputs)
        return predicted if apart else jnp.mean(predicted, axis=1)

    return jnp.moveaxis(jax.lax.map(one, members.params), 0, 1)
