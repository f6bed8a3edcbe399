"""Turns rows of a table into outputs: embeddings, layers that members share, a head for each."""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..activations import ElementwiseActivation
from .embeddings import (
    Bins,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    periodic_embedding,
    piecewise_linear_embedding,
)
from .layers import SharedDense, parametric_activation, shared_dense
from .scaling import smooth_clip


@dataclasses.dataclass(frozen=True, kw_only=True)
class TabularConfig:
    """How a network for tables is built; equal ones share compiled programs.

    Args:
        hidden_features: Units of each hidden layer.
        activation: Of the hidden layers, one of `MLPConfig`'s names.
        parametric: Whether every unit learns how far it is from linear.
        embedding: What numbers become: "periodic" or "piecewise_linear" embeddings, or themselves.
        frequencies: Cosines per number of a periodic embedding.
        frequency_scale: Standard deviation of their frequencies.
        bins: Bins per number of a piecewise-linear embedding.
        embedded: Numbers that a number becomes, beside itself if periodic.
        category_features: Numbers that a category of a column with many becomes.
        members: Networks that share kernels, each with scales, biases and a head of its own.
        sharing: Whether members differ by scales of "all" layers (TabM) or of the "first" alone
            (TabM-mini), beside their heads.
        scaling_layer: Whether features are scaled by a learned factor before the first layer.
        ntk: Whether products are divided by the root of their inputs.
        fit_start: Whether layers start fitted to rows, by `fit_layer`; else they are drawn from
            U(+-1/sqrt(inputs)).
    """

    hidden_features: tuple[int, ...] = (256, 256, 256)
    activation: ElementwiseActivation = "mish"
    parametric: bool = True
    embedding: Literal["periodic", "piecewise_linear"] | None = "periodic"
    frequencies: int = 16
    frequency_scale: float = 0.1
    bins: int = 48
    embedded: int = 3
    category_features: int = 8
    members: int = 1
    sharing: Literal["all", "first"] = "all"
    scaling_layer: bool = True
    ntk: bool = True
    fit_start: bool = True


class TabularRows(NamedTuple):
    """Rows as the network takes them.

    `numbers` are scaled, `columns` are other columns such as categories that are few, and `codes`
    are places in the tables of the other categories.
    """

    numbers: Float[Array, "rows numbers"] | np.ndarray
    columns: Float[Array, "rows columns"] | np.ndarray
    codes: Int[Array, "rows categories"] | np.ndarray


class TabularParams(NamedTuple):
    """Parameters of a network for tables."""

    embedding: PeriodicEmbedding | PiecewiseLinearEmbedding | None
    categories: tuple[Float[Array, "codes category_features"], ...]
    scale: Float[Array, "*members features"] | None
    hidden: tuple[SharedDense, ...]
    output: SharedDense


def apply_tabular(
    params: TabularParams,
    rows: TabularRows,
    *,
    config: TabularConfig,
    bins: Bins | None = None,
    key: Key[Array, ""] | None = None,
    dropout_rate: Float[Array, ""] | float = 0.0,
) -> Float[Array, "rows members outputs"]:
    """Computes the outputs of all members.

    Args:
        params: Its parameters.
        rows: Rows of a table.
        config: How it is built.
        bins: Those of a piecewise-linear embedding.
        key: Random key for dropout; without it nothing is random.
        dropout_rate: Share of the units of each hidden layer that a step drops, in [0, 1).

    Returns:
        Outputs by member.
    """
    h = embed_rows(params, rows, bins=bins)[:, None, :]
    if params.scale is not None:
        h = h * params.scale
    for number, layer in enumerate(params.hidden):
        z = shared_dense(layer, h, ntk=config.ntk)
        h = parametric_activation(config.activation, z, layer.slope)
        if key is not None:
            h = _dropout(h, dropout_rate, jax.random.fold_in(key, number))
    outputs = shared_dense(params.output, h, ntk=config.ntk)
    return jnp.broadcast_to(outputs, (outputs.shape[0], config.members, outputs.shape[2]))


def embed_rows(
    params: TabularParams, rows: TabularRows, *, bins: Bins | None = None
) -> Float[Array, "rows features"]:
    """Returns what the first layer is given: embedded numbers, columns, embedded categories."""
    numbers = smooth_clip(jnp.asarray(rows.numbers))
    if isinstance(params.embedding, PeriodicEmbedding):
        numbers = periodic_embedding(params.embedding, numbers)
    elif params.embedding is not None:
        assert bins is not None
        numbers = piecewise_linear_embedding(params.embedding, numbers, bins)
    parts = [numbers.reshape(len(numbers), -1), jnp.asarray(rows.columns)]
    parts += [table[rows.codes[:, place]] for place, table in enumerate(params.categories)]
    return jnp.concatenate(parts, axis=1)


def _dropout(h: Array, rate: Any, key: Key[Array, ""]) -> Array:
    # Of 8 random bits each, which cost a quarter of bernoulli's 32.
    dropped = jnp.round(256 * rate)
    kept = jax.random.bits(key, h.shape, jnp.uint8).astype(h.dtype) >= dropped
    return jnp.where(kept, h * (256 / (256 - dropped)), 0)
