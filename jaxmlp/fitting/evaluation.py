"""Turns parameters and rows into a loss and metrics, in bounded memory where the loss allows it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ..losses.loss_function import NetworkLoss
from ..network import Batch, LossFn

# Of the widest layer's numbers for the rows of a block: they stay in a processor's caches.
_BLOCK_NUMBERS = 2**21
_MOST_ROWS = 4096


def evaluate_rows(
    loss_fn: LossFn, params: PyTree, rows: PyTree, *, parts: int = 1
) -> tuple[Array, dict[str, Array]]:
    """Computes the loss and metrics of all rows, without randomness.

    A loss of `make_loss` is computed from the outputs of all rows, which are computed block by
    block; any other one from all rows at once. Rows that lie on several devices in so many equal
    `parts` are computed where they lie, block by block of each part.
    """
    if not isinstance(loss_fn, NetworkLoss) or not isinstance(rows, Batch):
        loss, metrics = loss_fn(params, rows, None)
        # A user's own loss may return plain numbers.
        return jnp.asarray(loss), {name: jnp.asarray(value) for name, value in metrics.items()}
    compute = functools.partial(_outputs, loss_fn, params)
    if parts == 1:
        return loss_fn.of_outputs(compute(rows.x), rows)
    x = jnp.asarray(rows.x)
    outputs = jax.vmap(compute)(x.reshape(parts, -1, *x.shape[1:]))
    return loss_fn.of_outputs(outputs.reshape(-1, *outputs.shape[2:]), rows)


def _outputs(loss_fn: NetworkLoss, params: PyTree, x: Any) -> Array:
    config = loss_fn.config
    # Twice, for gated activations.
    widest = max(config.in_features, config.out_features, *(2 * w for w in config.hidden_features))
    size = min(_MOST_ROWS, max(1, _BLOCK_NUMBERS // widest))
    count = len(x)
    if count <= size:
        return loss_fn.outputs(params, x)
    x = jnp.asarray(x)
    blocks = -(-count // size)
    # The last block ends with the rows, so that it computes some of them a second time.
    starts = jnp.minimum(jnp.arange(blocks) * size, count - size)
    computed = jax.lax.map(
        lambda start: loss_fn.outputs(params, jax.lax.dynamic_slice_in_dim(x, start, size)), starts
    )
    whole = computed[:-1].reshape(-1, *computed.shape[2:])
    return jnp.concatenate([whole, computed[-1, len(whole) - count :]])
