"""Turns each number of a row into several, from which a network learns functions that bend."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Real

from ..checks import require_int
from .quantiles import require_columns, weighted_quantiles


class PeriodicEmbedding(NamedTuple):
    """Parameters of `periodic_embedding`, for every feature its own.

    `frequency` is in periods per unit, `phase` in radians.
    """

    frequency: Float[Array, "features frequencies"]
    phase: Float[Array, "features frequencies"]
    kernel: Float[Array, "features frequencies embedded"]
    bias: Float[Array, "features embedded"]


class Bins(NamedTuple):
    """Lower ends and widths of the bins of every feature; a bin that is not used has width 0."""

    low: Float[np.ndarray, "features bins"]
    width: Float[np.ndarray, "features bins"]


class PiecewiseLinearEmbedding(NamedTuple):
    """Parameters of `piecewise_linear_embedding`, for every feature its own."""

    weight: Float[Array, "features embedded"]
    bias: Float[Array, "features embedded"]
    kernel: Float[Array, "features bins embedded"]


def init_periodic_embedding(
    features: int,
    *,
    key: Key[Array, ""],
    frequencies: int = 16,
    embedded: int = 3,
    frequency_scale: float = 0.1,
) -> PeriodicEmbedding:
    """Draws the parameters of a periodic embedding.

    Args:
        features: Number of features, at least 0.
        key: Random key.
        frequencies: Cosines per feature, at least 1.
        embedded: Numbers per feature that are made of them, at least 1.
        frequency_scale: Standard deviation of the frequencies, in periods per unit.

    Returns:
        Frequencies from N(0, frequency_scale**2), phases from U(-pi, pi), kernels and biases from
        U(+-1/sqrt(frequencies)).

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), appendix A.1 (PBLD).
    """
    frequency_key, phase_key, kernel_key, bias_key = jax.random.split(key, 4)
    bound = frequencies**-0.5
    shape = (features, frequencies)
    return PeriodicEmbedding(
        frequency_scale * jax.random.normal(frequency_key, shape),
        jax.random.uniform(phase_key, shape, minval=-np.pi, maxval=np.pi),
        jax.random.uniform(kernel_key, (*shape, embedded), minval=-bound, maxval=bound),
        jax.random.uniform(bias_key, (features, embedded), minval=-bound, maxval=bound),
    )


def periodic_embedding(
    params: PeriodicEmbedding, x: Float[Array, "rows features"]
) -> Float[Array, "rows features embedded_and_one"]:
    """Computes `[kernel^T cos(2 pi x frequency + phase) + bias, x]` of every feature.

    Args:
        params: Parameters of the embedding.
        x: Scaled numbers.

    Returns:
        What each number has become, itself last.

    References:
        Gorishniy, Rubachev & Babenko 2022 (arXiv 2203.05556), section 3.3, for periodic
        activations; Holzmüller, Grinsztajn & Steinwart 2024, appendix A.1, for phases and the
        number itself beside them (PBLD).

    Example:
        >>> params = init_periodic_embedding(2, key=jax.random.key(0), embedded=3)
        >>> periodic_embedding(params, jnp.ones((5, 2))).shape
        (5, 2, 4)
    """
    waves = jnp.cos(2 * np.pi * x[..., None] * params.frequency + params.phase)
    embedded = jnp.einsum("rfk,fke->rfe", waves, params.kernel) + params.bias
    return jnp.concatenate([embedded, x[..., None]], axis=-1)


def quantile_bins(
    x: Real[np.ndarray, "rows features"],
    bins: int = 48,
    *,
    weight: Real[np.ndarray, " rows"] | None = None,
) -> Bins:
    """Cuts every feature at its quantiles, into bins of about as many rows each.

    Args:
        x: Rows, scaled as for `piecewise_linear_encoding`, so that their differences are finite;
            NaN does not count.
        bins: Most bins per feature, at least 1.
        weight: Weight of each row, at least 0; `None` weighs all alike.

    Returns:
        Bins in increasing order, of the type of x, or float64 for integers. A feature of fewer
        different quantiles has fewer, and one that is constant or has no values none.

    Raises:
        TypeError: `bins` is no int.
        ValueError: `bins` is below 1, `x` has not two axes, or `weight` is not one per row.

    References:
        Gorishniy, Rubachev & Babenko 2022 (arXiv 2203.05556), section 3.2.1.

    Example:
        >>> found = quantile_bins(np.array([[0.0], [1.0], [2.0], [4.0]]), 3)
        >>> found.low.tolist(), found.width.tolist()
        ([[0.0, 1.0, 2.0]], [[1.0, 1.0, 2.0]])
    """
    require_int("bins", bins, 1, None)
    require_columns(x, weight)
    features = x.shape[1]
    dtype = x.dtype if np.issubdtype(x.dtype, np.floating) else np.dtype(np.float64)
    low, width = np.zeros((features, bins), dtype), np.zeros((features, bins), dtype)
    levels = np.linspace(0, 1, bins + 1)
    for number in range(features):
        known = (
            ~np.isnan(x[:, number]) if weight is None else ~np.isnan(x[:, number]) & (weight > 0)
        )
        if not known.any():
            continue
        own = None if weight is None else weight[known]
        edges = np.unique(weighted_quantiles(x[known, number], own, levels).astype(dtype))
        # Programs may take subnormal widths for 0, in the midst of those that are used.
        edges = edges[np.diff(edges, prepend=-np.inf) >= np.finfo(dtype).tiny]
        low[number, : len(edges) - 1] = edges[:-1]
        width[number, : len(edges) - 1] = np.diff(edges)
    return Bins(low, width)


def piecewise_linear_encoding(
    x: Float[Array, "rows features"], bins: Bins
) -> Float[Array, "rows features bins"]:
    """Computes how far x is within every bin: 0 below it, 1 above it, and linear between.

    The first bin goes on below and the last one above, so that no number is cut off; bins that are
    not used are 0.

    Args:
        x: Numbers, of the type of the bins.
        bins: Those of every feature, as `quantile_bins` cuts them.

    Returns:
        One number per bin.

    References:
        Gorishniy, Rubachev & Babenko 2022 (arXiv 2203.05556), equation 1.

    Example:
        >>> bins = Bins(np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]]))
        >>> piecewise_linear_encoding(jnp.array([[-1.0], [0.5], [2.0], [5.0]]), bins).tolist()
        [[[-1.0, 0.0]], [[0.5, 0.0]], [[1.0, 0.5]], [[1.0, 2.0]]]
    """
    width = jnp.asarray(bins.width)
    used = width > 0
    count = jnp.sum(used, axis=-1, keepdims=True)
    place = jnp.arange(width.shape[-1])
    low_end = jnp.where(place == 0, -jnp.inf, 0.0)
    high_end = jnp.where(place == count - 1, jnp.inf, 1.0)
    share = (x[..., None] - jnp.asarray(bins.low)) / jnp.where(used, width, 1)
    return jnp.where(used, jnp.clip(share, low_end, high_end), 0)


def init_piecewise_linear_embedding(
    features: int, *, key: Key[Array, ""], bins: int = 48, embedded: int = 16
) -> PiecewiseLinearEmbedding:
    """Draws the parameters of a piecewise-linear embedding, which starts as a linear one.

    Args:
        features: Number of features, at least 0.
        key: Random key.
        bins: Bins per feature, at least 1.
        embedded: Numbers per feature, at least 1.

    Returns:
        Weights and biases from U(+-1/sqrt(embedded)), and kernels of the bins that are 0.

    References:
        Gorishniy, Kotelnikov & Babenko 2024 (TabM, arXiv 2410.24210), appendix, "version B".
    """
    weight_key, bias_key = jax.random.split(key)
    bound = embedded**-0.5
    shape = (features, embedded)
    return PiecewiseLinearEmbedding(
        jax.random.uniform(weight_key, shape, minval=-bound, maxval=bound),
        jax.random.uniform(bias_key, shape, minval=-bound, maxval=bound),
        jnp.zeros((features, bins, embedded)),
    )


def piecewise_linear_embedding(
    params: PiecewiseLinearEmbedding, x: Float[Array, "rows features"], bins: Bins
) -> Float[Array, "rows features embedded"]:
    """Computes `x weight + bias + encoding(x) kernel` of every feature.

    Args:
        params: Parameters of the embedding.
        x: Numbers, scaled as those that the bins were cut from.
        bins: Bins of every feature, as many as the parameters have kernels for.

    Returns:
        What each number has become.

    References:
        Gorishniy, Kotelnikov & Babenko 2024 (TabM, arXiv 2410.24210), appendix, "version B".
    """
    linear = x[..., None] * params.weight + params.bias
    encoded = piecewise_linear_encoding(x, bins)
    return linear + jnp.einsum("rfk,fke->rfe", encoded, params.kernel)
