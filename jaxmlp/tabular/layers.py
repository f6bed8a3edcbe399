"""Turns features into outputs by layers that many members of one network share."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..network import activate


class SharedDense(NamedTuple):
    """Parameters of a dense layer whose kernel all members share, and which scale it for each.

    `net input = (h * input_scale) @ kernel * output_scale + bias`; a scale that is `None` is 1. The
    kernel of an output layer has a leading axis of members, which do not share it, if there are
    several. `slope` is that of the parametric activation behind the layer, `None` where it is 1.
    """

    kernel: Float[Array, "*members in_features features"]
    bias: Float[Array, "*members features"]
    input_scale: Float[Array, "members in_features"] | None = None
    output_scale: Float[Array, "members features"] | None = None
    slope: Float[Array, " features"] | None = None


def shared_dense(
    layer: SharedDense, h: Float[Array, "*rows in_features"], *, ntk: bool = False
) -> Float[Array, "*rows_and_members features"]:
    """Computes the net inputs of a layer for all members.

    Args:
        layer: Parameters of the layer.
        h: What comes in, by member; of one member alone where all are given the same.
        ntk: Whether the product is divided by `sqrt(in_features)`, the neural tangent
            parametrisation, in which kernels are of size 1.

    Returns:
        Net inputs by member, of one alone where nothing of the layer differs by member.

    References:
        Wen, Tran & Ba 2020 (BatchEnsemble), equation 4, as Gorishniy, Kotelnikov & Babenko 2024
        (TabM, arXiv 2410.24210) use it; Jacot, Gabriel & Hongler 2018 for the parametrisation.

    Example:
        >>> layer = SharedDense(jnp.eye(2), jnp.zeros(2), jnp.array([[1.0, 1.0], [2.0, 3.0]]))
        >>> shared_dense(layer, jnp.ones((1, 1, 2))).tolist()
        [[[1.0, 1.0], [2.0, 3.0]]]
    """
    if layer.input_scale is not None:
        h = h * layer.input_scale
    own = layer.kernel.ndim == 3
    z = jnp.einsum("rmi,mio->rmo", h, layer.kernel) if own else h @ layer.kernel
    if ntk:
        z = z * max(h.shape[-1], 1) ** -0.5
    if layer.output_scale is not None:
        z = z * layer.output_scale
    return z + layer.bias


def parametric_activation(
    activation: str, z: Float[Array, "*rows features"], slope: Float[Array, " features"] | None
) -> Float[Array, "*rows features"]:
    """Computes `z + slope * (f(z) - z)`: linear for slope 0, the activation itself for slope 1.

    Args:
        activation: Name of an elementwise one, as in `MLPConfig`.
        z: Net inputs.
        slope: Slope of each unit; `None` is 1.

    Returns:
        Activations.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), section 3.

    Example:
        >>> parametric_activation("relu", jnp.array([-2.0, -2.0]), jnp.array([1.0, 0.25])).tolist()
        [0.0, -1.5]
    """
    activated = activate(activation, z)
    return activated if slope is None else z + slope * (activated - z)


@functools.partial(jax.jit, static_argnames=("ntk", "activation"))
def fit_layer(
    h: Float[Array, "rows in_features"],
    weight: Float[Array, " rows"],
    *,
    kernel: Float[Array, "in_features features"],
    slope: Float[Array, " features"] | None,
    key: Key[Array, ""],
    ntk: bool,
    activation: str,
) -> tuple[SharedDense, Float[Array, "rows features"]]:
    """Draws a layer to fit rows: net inputs of variance 1, and kinks where the rows are.

    Args:
        h: What comes in from rows of the training set.
        weight: Weight of each row, at least 0 and one of them above. A row of weight k counts as k
            rows do, and one of weight 0 as none.
        kernel: Kernel to begin with, such as N(0, 1).
        slope: Slopes of the parametric activation.
        key: Random key for the biases.
        ntk: As for `shared_dense`.
        activation: As for `parametric_activation`.

    Returns:
        The layer, whose kernel is divided by the standard deviation over rows of each net input
        (where that is 0, by 1), and whose bias is minus a random mean of 5 of a unit's net inputs,
        weighted by a draw from the simplex, or 0.9 of it where the 5 are of one row; and the
        activations of the rows.

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), section 3 and appendix
        A.1 ("he+5").
    """
    features = kernel.shape[-1]
    share = weight / jnp.sum(weight)
    z = shared_dense(SharedDense(kernel, jnp.zeros(features, kernel.dtype)), h, ntk=ntk)
    deviation = jnp.sqrt(share @ jnp.square(z - share @ z))
    deviation = jnp.where(deviation > 0, deviation, 1)
    z = z / deviation
    row_key, simplex_key = jax.random.split(key)
    # Drawn by their place among the unit's net inputs, so that no order of rows matters.
    order = jnp.argsort(z, axis=0)
    ends = jnp.cumsum(share[order], axis=0)
    level = jax.random.uniform(row_key, (5, features), z.dtype)
    place = jax.vmap(jnp.searchsorted, in_axes=1, out_axes=1)(ends, level)
    place = jnp.minimum(place, len(h) - 1)
    chosen = jnp.take_along_axis(jnp.take_along_axis(z, order, axis=0), place, axis=0)
    simplex = jax.random.exponential(simplex_key, (5, features), z.dtype)
    bias = -jnp.sum(simplex * chosen, axis=0) / jnp.sum(simplex, axis=0)
    # Where all are one row, that row would lie on the kink, and rounding choose its derivative.
    is_one = jnp.ptp(chosen, axis=0) <= jnp.finfo(z.dtype).eps ** 0.5
    bias = jnp.where(is_one, 0.9 * bias, bias)
    layer = SharedDense(kernel / deviation, bias, slope=slope)
    return layer, parametric_activation(activation, z + bias, slope)
