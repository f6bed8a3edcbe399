"""Turns scikit-learn's description of a network into ours: config, parameters, losses, outputs."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import losses
from ..config import MLPConfig
from ..fitting import bucket_of_rows
from ..forward import apply
from ..losses.weights import weighted_mean
from ..types import Batch, Dense, Params

OutActivation: TypeAlias = Literal["softmax", "logistic", "identity", "exp"]

# Scikit-learn's names that are not ours.
_ACTIVATIONS = {"logistic": "sigmoid"}
_OUTPUTS = {
    "softmax": functools.partial(jax.nn.softmax, axis=-1),
    "logistic": jax.nn.sigmoid,
    "identity": lambda outputs: outputs,
    "exp": jnp.exp,
}
_CRITERIA = {
    "softmax": losses.softmax_cross_entropy,
    "logistic": losses.sigmoid_binary_cross_entropy,
    "identity": losses.squared_error,
    "exp": losses.poisson,
}
# Rows that are predicted at once.
_BLOCK_ROWS = 8192
# With fewer, XLA computes products in another order, and predictions would depend on the block.
_FEWEST_ROWS = 8


class Losses(NamedTuple):
    """What is descended, and what is told.

    They differ for several targets of a regression, where scikit-learn tells the mean over targets
    and descends their sum.
    """

    descended: Float[Array, "*rows"]
    told: Float[Array, "*rows"]


@functools.lru_cache(64)
def make_config(layer_units: tuple[int, ...], activation: str, dtype: np.dtype[Any]) -> MLPConfig:
    """Returns the config of a network of so many inputs, hidden units and outputs."""
    in_features, *hidden_features, out_features = layer_units
    name: Any = _ACTIVATIONS.get(activation, activation)
    return MLPConfig(
        in_features=in_features,
        hidden_features=tuple(hidden_features),
        out_features=out_features,
        activation=name,
        param_dtype=dtype.name,  # pyright: ignore[reportArgumentType]  # one of two
    )


def draw_coefs(
    layer_units: Sequence[int], activation: str, dtype: Any, random_state: np.random.RandomState
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Draws the very kernels and biases with which scikit-learn starts.

    Uniform in +-sqrt(6 / (inputs + outputs)), or sqrt(2 / ...) for "logistic".

    References:
        Glorot & Bengio 2010, equation 16; the biases are scikit-learn's own.
    """
    factor = 2.0 if activation == "logistic" else 6.0
    coefs, intercepts = [], []
    for inputs, outputs in itertools.pairwise(layer_units):
        bound = np.sqrt(factor / (inputs + outputs))
        coefs.append(random_state.uniform(-bound, bound, (inputs, outputs)).astype(dtype))
        intercepts.append(random_state.uniform(-bound, bound, outputs).astype(dtype))
    return coefs, intercepts


def as_params(coefs: Sequence[Any], intercepts: Sequence[Any], dtype: Any) -> Params:
    """Turns scikit-learn's lists into parameters."""
    as_array: Any = functools.partial(np.asarray, dtype=dtype)
    layers = [
        Dense(as_array(kernel), as_array(bias))
        for kernel, bias in zip(coefs, intercepts, strict=True)
    ]
    return Params(tuple(layers[:-1]), layers[-1])


def as_coefs(params: Params) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Turns parameters into scikit-learn's lists, of arrays that may be written to."""
    layers = (*params.hidden, params.output)
    return [np.array(a.kernel) for a in layers], [np.array(a.bias) for a in layers]


def compute_losses(
    params: Params,
    rows: Batch,
    alpha: Float[Array, ""],
    *,
    config: MLPConfig,
    out_activation: OutActivation,
) -> Losses:
    """Computes the mean over rows by their weight, and `alpha / 2 * sum(kernel**2) / sum(weight)`.

    Rows whose weights are all 0 have the penalty alone.
    """
    assert rows.weight is not None
    weight = jnp.asarray(rows.weight)
    total = jnp.sum(weight)
    squares = sum(jnp.sum(jnp.square(a.kernel)) for a in (*params.hidden, params.output))
    decay = alpha / 2 * squares / jnp.where(total == 0, 1, total)
    by_row = _row_losses(out_activation, apply(params, rows.x, config=config), rows.y)
    return Losses(*(weighted_mean(values, weight) + decay for values in by_row))


def _row_losses(out_activation: OutActivation, outputs: Array, targets: Array) -> Losses:
    values = _CRITERIA[out_activation](outputs, targets)
    # Ours are means over the outputs of a row.
    if out_activation == "softmax":
        return Losses(values, values)
    count = outputs.shape[-1]
    if out_activation == "identity":
        return Losses(values * count / 2, values / 2)
    if out_activation == "exp":
        # The constant by which a perfect prediction costs nothing.
        values += jnp.mean(jax.scipy.special.xlogy(targets, targets) - targets, axis=-1)
    return Losses(values * count, values * count)


def compute_outputs(
    params: Params, x: Any, *, config: MLPConfig, out_activation: OutActivation
) -> np.ndarray:
    """Computes the outputs of any number of rows, dense or sparse."""
    return _in_blocks(lambda block: _outputs(params, block, config, out_activation), x)


def compute_mean_loss(
    params: Params, rows: Batch, *, config: MLPConfig, out_activation: OutActivation
) -> float:
    """Computes the mean over rows by their weight of the loss that is told, without a penalty."""

    def told(x: Any, targets: Any) -> Array:
        return _told(params, x, targets, config, out_activation)

    weight: Any = rows.weight
    return float(np.dot(weight, _in_blocks(told, rows.x, rows.y)) / np.sum(weight))


def _in_blocks(compute: Callable[..., Array], x: Any, *others: np.ndarray) -> np.ndarray:
    """Computes something per row, in blocks of a few sizes; `x` is dense or sparse."""
    blocks = []
    for first in range(0, x.shape[0], _BLOCK_ROWS):
        place = slice(first, first + _BLOCK_ROWS)
        block = x[place] if isinstance(x, np.ndarray) else x[place].toarray()
        arrays, count = (block, *(other[place] for other in others)), len(block)
        if missing := max(bucket_of_rows(count), _FEWEST_ROWS) - count:
            arrays = [np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for a in arrays]
        blocks.append(np.asarray(compute(*arrays))[:count])
    return np.concatenate(blocks) if len(blocks) > 1 else blocks[0]


@functools.partial(jax.jit, static_argnums=(2, 3))
def _outputs(params: Params, x: Array, config: MLPConfig, out_activation: OutActivation) -> Array:
    return _OUTPUTS[out_activation](apply(params, x, config=config))


@functools.partial(jax.jit, static_argnums=(3, 4))
def _told(
    params: Params, x: Array, targets: Array, config: MLPConfig, out_activation: OutActivation
) -> Array:
    return _row_losses(out_activation, apply(params, x, config=config), targets).told
