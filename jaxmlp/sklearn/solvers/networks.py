"""Turns scikit-learn's description of a network into ours: config, parameters, losses, outputs."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ...fitting import bucket_of_rows, choose_block, compute_by_rows, rows_per_call
from ...forward import apply
from ...losses.weights import weighted_mean
from ...network import Activation, Batch, Dense, MLPConfig, Norm, Params, net_input_features
from ..heads import Head, Losses

# With fewer, XLA computes products in another order, and predictions would depend on the block.
_FEWEST_ROWS = 8


@functools.lru_cache(64)
def make_config(
    layer_units: tuple[int, ...],
    activation: str | Activation,
    dtype: np.dtype[Any],
    norm: Any = None,
    residual: bool = False,
) -> MLPConfig:
    """Returns the config of a network of so many inputs, hidden units and outputs."""
    in_features, *hidden_features, out_features = layer_units
    name: Any = "sigmoid" if activation == "logistic" else activation
    return MLPConfig(
        in_features=in_features,
        hidden_features=tuple(hidden_features),
        out_features=out_features,
        activation=name,
        norm=norm,
        residual=residual,
        param_dtype=dtype.name,  # pyright: ignore[reportArgumentType]  # one of two
    )


def draw_coefs(
    layer_units: Sequence[int],
    activation: str | Activation,
    dtype: Any,
    random_state: np.random.RandomState,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draws the very kernels and biases with which scikit-learn starts.

    Uniform in +-sqrt(6 / (inputs + outputs)), or sqrt(2 / ...) for "logistic". Value and gate of a
    gated activation are each drawn as a layer of their own would be.

    References:
        Glorot & Bengio 2010, equation 16; the biases are scikit-learn's own.
    """
    factor = 2.0 if activation == "logistic" else 6.0
    widths = _widths(layer_units, activation)
    coefs, intercepts = [], []
    for (inputs, outputs), width in zip(itertools.pairwise(layer_units), widths, strict=True):
        bound = np.sqrt(factor / (inputs + outputs))
        coefs.append(random_state.uniform(-bound, bound, (inputs, width)).astype(dtype))
        intercepts.append(random_state.uniform(-bound, bound, width).astype(dtype))
    return coefs, intercepts


def first_norms(
    layer_units: Sequence[int], activation: str | Activation, norm: str | None, dtype: Any
) -> list[Norm]:
    """Returns the norms of the hidden layers before training, which change nothing but the size."""
    if norm is None:
        return []
    widths = _widths(layer_units, activation)[:-1]
    ones: list[Any] = [np.ones(width, dtype) for width in widths]
    return [Norm(scale, 0 * scale if norm == "layer" else None) for scale in ones]


def as_params(
    coefs: Sequence[Any], intercepts: Sequence[Any], norms: Sequence[Norm], dtype: Any
) -> Params:
    """Turns lists of arrays into parameters; `norms` has one of each hidden layer, or none."""
    arrays = [*norms] if norms else [None] * (len(coefs) - 1)
    layers = [Dense(*layer) for layer in zip(coefs, intercepts, [*arrays, None], strict=True)]
    return jax.tree.map(
        functools.partial(np.asarray, dtype=dtype), Params(tuple(layers[:-1]), layers[-1])
    )


def as_coefs(params: Params) -> tuple[list[np.ndarray], list[np.ndarray], list[Norm]]:
    """Turns parameters into such lists, of arrays that may be written to."""
    copies: Any = jax.tree.map(np.array, params)
    layers = (*copies.hidden, copies.output)
    norms = [a.norm for a in copies.hidden if a.norm is not None]
    return [a.kernel for a in layers], [a.bias for a in layers], norms


def require_same_layers(
    layer_units: Sequence[int], activation: str | Activation, norm: str | None, params: Params
) -> None:
    """Raises a ValueError unless a network that was trained before has these layers."""
    layers = (*params.hidden, params.output)
    before = [*(len(a.kernel) for a in layers), params.output.kernel.shape[1]]
    if before != [*layer_units]:
        raise ValueError(
            "warm_start and partial_fit go on with the layers that there are, of "
            f"{before} units; got {[*layer_units]}."
        )
    widths = [a.kernel.shape[1] for a in layers]
    if widths != _widths(layer_units, activation):
        raise ValueError(
            "warm_start and partial_fit go on with the layers that there are, gated or not as "
            f"they were; got activation={activation!r}."
        )
    norms = [a.norm for a in params.hidden if a.norm is not None]
    trained = None if not norms else "rms" if norms[0].bias is None else "layer"
    if trained != norm:
        raise ValueError(
            "warm_start and partial_fit go on with the layers that there are, of "
            f"norm={trained!r}; got norm={norm!r}."
        )


def compute_losses(
    params: Params,
    rows: Batch,
    alpha: Float[Array, ""],
    options: Float[Array, " options"],
    *,
    config: MLPConfig,
    head: Head,
    key: Key[Array, ""] | None = None,
    dropout_rate: Float[Array, ""] | None = None,
) -> Losses:
    """Computes the mean over rows by their weight, and `alpha / 2 * sum(kernel**2) / sum(weight)`.

    Rows whose weights are all 0 have the penalty alone. Nothing is dropped without a key. The loss
    that is told has the gradient of the one that is descended.
    """
    assert rows.weight is not None
    weight = jnp.asarray(rows.weight)
    total = jnp.sum(weight)
    squares = sum(jnp.sum(jnp.square(a.kernel)) for a in (*params.hidden, params.output))
    decay = alpha / 2 * squares / jnp.where(total == 0, 1, total)
    outputs = apply(params, rows.x, config=config, key=key, dropout_rate=dropout_rate)
    descended, told = head.row_losses(outputs, rows.y, options)
    # Row by row, so that a step sums up one of them.
    nothing = descended - jax.lax.stop_gradient(descended)
    told = jax.lax.stop_gradient(told) + nothing
    return Losses(*(weighted_mean(values, weight) + decay for values in (descended, told)))


def compute_outputs(params: Params, x: Any, *, config: MLPConfig, head: Head | None) -> np.ndarray:
    """Computes what any number of rows, dense or sparse, give.

    Without a head it is the outputs as they are.
    """
    return compute_in_blocks(_outputs, params, (x,), config, head)


def compute_mean_loss(
    params: Params, rows: Batch, options: np.ndarray, *, config: MLPConfig, head: Head
) -> float:
    """Computes the mean over rows by their weight of the loss that is told, without a penalty."""
    weight: Any = rows.weight
    told = compute_in_blocks(_told, (params, options), (rows.x, rows.y), config, head)
    return float(np.dot(weight, told) / np.sum(weight))


def compute_in_blocks(
    compute: Callable[..., Array], params: Any, rows: Sequence[Any], *settings: Any
) -> np.ndarray:
    """Computes something per row: few rows at once, more in blocks and on all cores.

    Args:
        compute: `(params, rows, *settings)` to an array whose first axis is rows; the same object
            in all calls.
        params: What it is given.
        rows: Arrays of the same rows, of which the first may be sparse.
        settings: What else it is given, static.
    """
    count, block = rows[0].shape[0], choose_block(params)
    if count <= block:
        missing = max(bucket_of_rows(count), _FEWEST_ROWS) - count
        arrays = [np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for a in _dense(rows)]
        return np.asarray(_compute(compute, settings, params, tuple(arrays)))[:count]
    size = rows_per_call(block, sum(math.prod(array.shape[1:]) for array in rows))
    places = (slice(first, first + size) for first in range(0, count, size))
    pieces = (_dense([array[place] for array in rows]) for place in places)
    sizes = {"count": count, "block": block, "size": size}
    return np.asarray(compute_by_rows(compute, params, pieces, *settings, **sizes))


def _dense(rows: Sequence[Any]) -> tuple[np.ndarray, ...]:
    x, *others = rows
    return (x if isinstance(x, np.ndarray) else x.toarray(), *others)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _compute(compute: Callable[..., Array], settings: Any, params: Any, rows: Any) -> Array:
    return compute(params, rows, *settings)


def _outputs(params: Params, rows: Any, config: MLPConfig, head: Head | None) -> Array:
    outputs = apply(params, rows[0], config=config)
    return outputs if head is None else head.activate(outputs)


def _told(of: Any, rows: Any, config: MLPConfig, head: Head) -> Array:
    (params, options), (x, targets) = of, rows
    return head.row_losses(apply(params, x, config=config), targets, options).told


def _widths(layer_units: Sequence[int], activation: str | Activation) -> list[int]:
    """Returns the outputs of each layer before its activation."""
    return [*(net_input_features(activation, n) for n in layer_units[1:-1]), layer_units[-1]]
