"""Turns a config and rows to train on into the first parameters of a network for tables."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ..checks import require_int, require_key
from .embeddings import (
    Bins,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    init_periodic_embedding,
    init_piecewise_linear_embedding,
)
from .layers import SharedDense, fit_layer
from .network import TabularConfig, TabularParams, TabularRows, embed_rows


def init_tabular(
    config: TabularConfig,
    rows: TabularRows,
    *,
    outputs: int,
    codes: tuple[int, ...] = (),
    key: Key[Array, ""],
    bins: Bins | None = None,
    weight: Float[Array, " rows"] | np.ndarray | None = None,
) -> TabularParams:
    """Draws the parameters of a network, which with `config.fit_start` are fitted to rows.

    Members differ by their heads and, where there are hidden layers, by the scales of the first
    one's input: one scale for all features that a number or a code has become, and one for each of
    `rows.columns`, random signs without embeddings of numbers and else from N(0, 1). All other
    scales begin at 1. Layers are fitted as if those scales, too, were 1.

    Args:
        config: How it is built.
        rows: Rows of the training set, some thousands of them; for what is not fitted, only their
            shapes count.
        outputs: Outputs of each member, at least 1.
        codes: How many codes each column of `rows.codes` has, 0 for what is unknown among them.
        key: Random key.
        bins: Bins of a piecewise-linear embedding, `config.bins` for each number.
        weight: Weight of each row, at least 0; `None` weighs all alike.

    Returns:
        The parameters, of the type of the numbers of the rows.

    Raises:
        TypeError: `outputs` or a number of codes is no int, or `key` is no random key.
        ValueError: `outputs` or a number of codes is below 1; a piecewise-linear embedding is given
            no bins, or the shape of `codes`, `bins` or `weight` is not that of the rows.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), appendix A.1;
        Gorishniy, Kotelnikov & Babenko 2024 (TabM, arXiv 2410.24210), section 3.

    Example:
        >>> rows = TabularRows(jnp.ones((5, 2)), jnp.zeros((5, 0)), jnp.zeros((5, 1), int))
        >>> config = TabularConfig(hidden_features=(8,), category_features=3)
        >>> params = init_tabular(config, rows, outputs=1, codes=(4,), key=jax.random.key(0))
        >>> params.hidden[0].kernel.shape  # of 2 numbers, 4 features each, and a category of 3
        (11, 8)
    """
    _check_shapes(config, rows, outputs, codes, bins, weight)
    require_key("init_tabular", key)
    embedding_key, category_key, layer_key, member_key = jax.random.split(key, 4)
    dtype = jnp.asarray(rows.numbers).dtype
    nothing = SharedDense(jnp.zeros((0, 0), dtype), jnp.zeros(0, dtype))
    params = TabularParams(
        _init_embedding(config, rows.numbers.shape[1], embedding_key),
        _init_categories(config, codes, category_key),
        None,
        (),
        nothing,
    )
    params = jax.tree.map(lambda a: a.astype(dtype), params)
    h = embed_rows(params, rows, bins=bins)
    weight = jnp.ones(len(h), dtype) if weight is None else jnp.asarray(weight, dtype)
    features = h.shape[1]
    layers = []
    for number, units in enumerate(config.hidden_features):
        slope = jnp.ones(units, dtype) if config.parametric else None
        own_key = jax.random.fold_in(layer_key, number)
        layer, h = _init_layer(config, h, weight, units, slope, own_key)
        layers.append(_with_members(layer, config) if config.sharing == "all" else layer)

    def draw_head(key: Key[Array, ""]) -> SharedDense:
        return _init_layer(config, h, weight, outputs, None, key)[0]

    # In a loop, whose body is compiled once for all heads.
    head_keys = jax.random.split(jax.random.fold_in(layer_key, len(layers)), config.members)
    head = draw_head(head_keys[0]) if config.members == 1 else jax.lax.map(draw_head, head_keys)
    if config.members > 1 and layers:
        scales = _draw_scales(config, rows, features, member_key)
        layers[0] = layers[0]._replace(input_scale=scales)
    return params._replace(
        scale=jnp.ones(features, dtype) if config.scaling_layer else None,
        hidden=tuple(layers),
        output=head,
    )


def _check_shapes(
    config: TabularConfig,
    rows: TabularRows,
    outputs: int,
    codes: tuple[int, ...],
    bins: Bins | None,
    weight: Float[Array, " rows"] | np.ndarray | None,
) -> None:
    require_int("outputs", outputs, 1, None)
    for place, count in enumerate(codes):
        require_int(f"codes[{place}]", count, 1, None)
    if len(codes) != rows.codes.shape[1]:
        raise ValueError(
            f"codes must have one number per column of rows.codes, {rows.codes.shape[1]}; got "
            f"{codes}."
        )
    shape = (rows.numbers.shape[1], config.bins)
    if config.embedding == "piecewise_linear" and bins is not None and bins.low.shape != shape:
        raise ValueError(
            f"bins must have shape (numbers, config.bins), {shape}; got {bins.low.shape}."
        )
    if weight is not None and np.shape(weight) != rows.numbers.shape[:1]:
        raise ValueError(
            f"weight must have shape {rows.numbers.shape[:1]}, one per row; got {np.shape(weight)}."
        )


def _init_embedding(
    config: TabularConfig, numbers: int, key: Key[Array, ""]
) -> PeriodicEmbedding | PiecewiseLinearEmbedding | None:
    if config.embedding == "periodic":
        return init_periodic_embedding(
            numbers,
            key=key,
            frequencies=config.frequencies,
            embedded=config.embedded,
            frequency_scale=config.frequency_scale,
        )
    if config.embedding == "piecewise_linear":
        return init_piecewise_linear_embedding(
            numbers, key=key, bins=config.bins, embedded=config.embedded
        )
    return None


def _init_categories(
    config: TabularConfig, codes: tuple[int, ...], key: Key[Array, ""]
) -> tuple[Float[Array, "codes features"], ...]:
    tables = []
    for number, count in enumerate(codes):
        shape = (count, config.category_features)
        # What was never seen starts in the middle of all that was.
        drawn = jax.random.normal(jax.random.fold_in(key, number), shape).at[0].set(0)
        tables.append(drawn)
    return tuple(tables)


def _init_layer(
    config: TabularConfig,
    h: Float[Array, "_ inputs"],
    weight: Float[Array, " rows"],
    units: int,
    slope: Float[Array, " units"] | None,
    key: Key[Array, ""],
) -> tuple[SharedDense, Float[Array, "_ units"]]:
    kernel_key, bias_key = jax.random.split(key)
    shape = (h.shape[1], units)
    if not config.fit_start:
        bound = max(h.shape[1], 1) ** -0.5
        own = 1.0 if config.ntk else bound
        kernel = jax.random.uniform(kernel_key, shape, h.dtype, -own, own)
        bias = jax.random.uniform(bias_key, (units,), h.dtype, -bound, bound)
        return SharedDense(kernel, bias, slope=slope), jnp.zeros((1, units), h.dtype)
    kernel = jax.random.normal(kernel_key, shape, h.dtype)
    settings = {"ntk": config.ntk, "activation": config.activation}
    return fit_layer(h, weight, kernel=kernel, slope=slope, key=bias_key, **settings)


def _with_members(layer: SharedDense, config: TabularConfig) -> SharedDense:
    """Gives every member scales, all 1, and a bias of its own, all the same."""
    if config.members == 1:
        return layer
    inputs, units = layer.kernel.shape
    ones = [jnp.ones((config.members, size), layer.kernel.dtype) for size in (inputs, units)]
    bias = jnp.tile(layer.bias, (config.members, 1))
    return layer._replace(bias=bias, input_scale=ones[0], output_scale=ones[1])


def _draw_scales(
    config: TabularConfig, rows: TabularRows, features: int, key: Key[Array, ""]
) -> Float[Array, "members features"]:
    """Draws one scale per column and member, for all features that the column has become."""
    numbers, columns = rows.numbers.shape[1], rows.columns.shape[1]
    per_number = {"periodic": config.embedded + 1, "piecewise_linear": config.embedded}
    repeats = [per_number.get(config.embedding or "", 1)] * numbers + [1] * columns
    repeats += [config.category_features] * rows.codes.shape[1]
    shape = (config.members, len(repeats))
    dtype = jnp.asarray(rows.numbers).dtype
    draw = jax.random.rademacher if config.embedding is None else jax.random.normal
    drawn = draw(key, shape, dtype)
    return jnp.repeat(drawn, np.array(repeats), axis=1, total_repeat_length=features)
