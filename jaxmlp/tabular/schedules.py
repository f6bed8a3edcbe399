"""Turns the share of training that is done, in [0, 1], into a factor."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def coslog4(progress: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes `(1 - cos(2 pi log2(1 + 15 progress))) / 2`: four cycles, ever longer.

    It is 0 at progress 0, 1/15, 3/15, 7/15 and 1, and rises to 1 between them.

    Args:
        progress: Share of training that is done, in [0, 1].

    Returns:
        The factor, in [0, 1].

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), section 3.

    Example:
        >>> [round(float(coslog4(jnp.array(t / 15))), 6) for t in (0, 1, 2**1.5 - 1, 15)]
        [0.0, 0.0, 1.0, 0.0]
    """
    return (1 - jnp.cos(2 * np.pi * jnp.log2(1 + 15 * progress))) / 2


def flat_cos(progress: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Computes `(1 + cos(pi (max(1, 2 progress) - 1))) / 2`: 1 in the first half, then down to 0.

    Args:
        progress: Share of training that is done, in [0, 1].

    Returns:
        The factor, in [0, 1].

    References:
        Holzmüller, Grinsztajn & Steinwart 2024 (RealMLP, arXiv 2407.04491), appendix A.1.

    Example:
        >>> [round(float(flat_cos(jnp.array(t))), 6) for t in (0.0, 0.5, 0.75, 1.0)]
        [1.0, 1.0, 0.5, 0.0]
    """
    return (1 + jnp.cos(np.pi * (jnp.maximum(1, 2 * progress) - 1))) / 2
