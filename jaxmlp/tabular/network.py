"""Turns rows of a table into outputs: embeddings, layers that members share, a head for each."""

import dataclasses
import math
import sys
from typing import Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..checks import require_bool, require_int, require_name, require_number
from ..forward import dropout
from ..network import ELEMENTWISE_ACTIVATIONS, ElementwiseActivation
from .embeddings import (
    Bins,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    periodic_embedding,
    piecewise_linear_embedding,
)
from .layers import SharedDense, parametric_activation, shared_dense
from .scaling import smooth_clip

NumberEmbedding: TypeAlias = Literal["periodic", "piecewise_linear"]
Sharing: TypeAlias = Literal["all", "first"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TabularConfig:
    """How a network for tables is built; equal ones share compiled programs.

    Fields that say how an embedding or members are built act on nothing where there are none.

    Args:
        hidden_features: Units of each hidden layer, at least 1 each; `()` is a linear model of what
            is embedded.
        activation: Of the hidden layers, one of `MLPConfig`'s names of elementwise ones.
        parametric: Whether every hidden unit learns how far it is from linear, by
            `parametric_activation`.
        embedding: What numbers become: "periodic" or "piecewise_linear" embeddings, or with `None`
            themselves.
        frequencies: Cosines per number of a periodic embedding, at least 1.
        frequency_scale: Standard deviation of their frequencies at the start, in periods per unit,
            finite and above 0.
        bins: Bins per number of a piecewise-linear embedding, at least 1.
        embedded: Numbers that a number becomes, beside itself if periodic; at least 1.
        category_features: Numbers that a category of a column of `TabularRows.codes` becomes, at
            least 1.
        members: Networks that share kernels, each with scales and a head of its own, at least 1.
        sharing: Whether members differ by scales and biases of "all" layers (TabM) or by scales of
            the "first" layer's input alone (TabM-mini), beside their heads.
        scaling_layer: Whether features are scaled by a learned factor before the first layer.
        ntk: Whether products are divided by the root of their number of inputs, as `shared_dense`
            tells.
        fit_start: Whether layers start fitted to rows, by `fit_layer`; else kernels, once divided
            so, and biases are drawn from U(+-1/sqrt(inputs)).

    Raises:
        TypeError: A field has the wrong type (a list where a tuple keeps the config hashable).
        ValueError: A field is out of its range, or unknown by name.

    Example:
        >>> TabularConfig(hidden_features=(64, 64), embedding=None).members
        1
    """

    hidden_features: tuple[int, ...] = (256, 256, 256)
    activation: ElementwiseActivation = "mish"
    parametric: bool = True
    embedding: NumberEmbedding | None = "periodic"
    frequencies: int = 16
    frequency_scale: float = 0.1
    bins: int = 48
    embedded: int = 3
    category_features: int = 8
    members: int = 1
    sharing: Sharing = "all"
    scaling_layer: bool = True
    ntk: bool = True
    fit_start: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.hidden_features, tuple):
            raise TypeError(
                "hidden_features must be a tuple of ints such as (256, 256), so that the config "
                f"can be hashed; got {self.hidden_features!r}."
            )
        for index, units in enumerate(self.hidden_features):
            require_int(f"hidden_features[{index}]", units, 1, None)
        require_name("activation", self.activation, ELEMENTWISE_ACTIVATIONS, "activations")
        require_name("embedding", self.embedding, (None, *get_args(NumberEmbedding)))
        require_name("sharing", self.sharing, get_args(Sharing))
        for name in ("frequencies", "bins", "embedded", "category_features", "members"):
            require_int(name, getattr(self, name), 1, None)
        require_number(
            "frequency_scale", self.frequency_scale, "finite and above 0",
            lambda v: 0 < v <= sys.float_info.max,
        )  # fmt: skip
        for name in ("parametric", "scaling_layer", "ntk", "fit_start"):
            require_bool(name, getattr(self, name))


class TabularRows(NamedTuple):
    """Rows as the network takes them.

    `numbers` are scaled, as by `robust_scale`, and finite; the network clips them with
    `smooth_clip`. `columns` are other columns, taken as they are, such as those of categories that
    are few, by `one_hot_columns`. `codes` are places in the tables of the other categories, from 0,
    which is for what is missing or unknown. Each may have no columns.
    """

    numbers: Float[Array, "rows numbers"] | np.ndarray
    columns: Float[Array, "rows columns"] | np.ndarray
    codes: Int[Array, "rows categories"] | np.ndarray


class TabularParams(NamedTuple):
    """Parameters of a network for tables, of which an ensemble has a leading axis more.

    `embedding` is of all numbers, `categories` has a table for each column of codes, and `scale`
    is the scaling layer's. `output` has the heads of all members.
    """

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
    """Computes the outputs of all members of a network.

    `h = scale * embed_rows(rows)`, then for each hidden layer
    `h = dropout(parametric_activation(shared_dense(h)))`, and `shared_dense(h)` of the heads.

    Args:
        params: Parameters of the network.
        rows: Rows of a table.
        config: How the network is built.
        bins: Bins of a piecewise-linear embedding, those that it began with.
        key: Random key for dropout; without it nothing is random.
        dropout_rate: Share of the units of each hidden layer that are dropped, in [0, 1). The
            others are divided by what is left, so that the mean stays.

    Returns:
        Outputs by member; logits or the like, since no activation is behind them.

    Raises:
        ValueError: A piecewise-linear embedding is given no bins, or rows have other columns than
            those that the parameters are of.

    Example:
        >>> rows = TabularRows(jnp.ones((5, 2)), jnp.zeros((5, 1)), jnp.zeros((5, 0), int))
        >>> config = TabularConfig(hidden_features=(8,))
        >>> from jaxmlp.tabular import init_tabular
        >>> params = init_tabular(config, rows, outputs=3, key=jax.random.key(0))
        >>> apply_tabular(params, rows, config=config).shape
        (5, 1, 3)
    """
    h = embed_rows(params, rows, bins=bins)[:, None, :]  # an axis of members, of length 1 as yet
    _require_features(params, h.shape[-1])
    if params.scale is not None:
        h = h * params.scale
    for number, layer in enumerate(params.hidden):
        z = shared_dense(layer, h, ntk=config.ntk)
        h = parametric_activation(config.activation, z, layer.slope)
        if key is not None:
            h = dropout(h, dropout_rate, jax.random.fold_in(key, number))
    outputs = shared_dense(params.output, h, ntk=config.ntk)
    return jnp.broadcast_to(outputs, (outputs.shape[0], config.members, outputs.shape[2]))


def embed_rows(
    params: TabularParams, rows: TabularRows, *, bins: Bins | None = None
) -> Float[Array, "rows features"]:
    """Computes what the first layer is given: embedded numbers, columns, embedded categories.

    Args:
        params: Parameters of a network, of which the embeddings count.
        rows: Rows of a table.
        bins: Bins of a piecewise-linear embedding.

    Returns:
        The features of each row, beginning with all of the first number.

    Raises:
        ValueError: A piecewise-linear embedding is given no bins, or rows have other columns of
            numbers or codes than those that the parameters are of.
    """
    _require_columns(params, rows)
    numbers = smooth_clip(jnp.asarray(rows.numbers))
    if isinstance(params.embedding, PeriodicEmbedding):
        numbers = periodic_embedding(params.embedding, numbers)
    elif params.embedding is not None:
        if bins is None:
            raise ValueError(
                "bins must be given for a piecewise-linear embedding, those that it began with, as "
                "quantile_bins(smooth_clip(numbers), config.bins) cuts them; got None."
            )
        numbers = piecewise_linear_embedding(params.embedding, numbers, bins)
    flat = numbers.reshape(len(numbers), math.prod(numbers.shape[1:]))
    parts = [flat, jnp.asarray(rows.columns)]
    parts += [table[rows.codes[:, place]] for place, table in enumerate(params.categories)]
    return jnp.concatenate(parts, axis=1)


def _require_columns(params: TabularParams, rows: TabularRows) -> None:
    """Refuses rows of other columns, which would be broadcast or left out."""
    known = {"codes": len(params.categories)}
    if params.embedding is not None:
        known["numbers"] = params.embedding.bias.shape[-2]
    for name, count in known.items():
        shape = np.shape(getattr(rows, name))
        if len(shape) != 2 or shape[1] != count:
            raise ValueError(
                f"rows.{name} must have shape (rows, {count}), as those that the parameters are "
                f"of; got {shape}."
            )


def _require_features(params: TabularParams, features: int) -> None:
    first = (*params.hidden, params.output)[0]
    if (known := first.kernel.shape[-2]) != features:
        raise ValueError(
            f"rows must become {known} features, as those that the parameters are of; got "
            f"{features}. Give the numbers, columns and codes of the same table."
        )
