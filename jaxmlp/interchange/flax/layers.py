"""What networks of ours do and Flax has no layer for, as modules of NNX and of Linen."""

from typing import Any

import jax.numpy as jnp

from ..partners import import_partner

linen: Any = import_partner("flax.linen", "flax")
nnx: Any = import_partner("flax.nnx", "flax")


class Cast:
    """Rounds, or widens, to a type; a plain function of an array, equal to others of its type."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def __call__(self, h: Any) -> Any:
        """Converts to the type."""
        return h.astype(self.dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cast) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


class Statistic(nnx.Variable):
    """An array that is no parameter: training by `nnx.Param` leaves it alone."""


class Residual(nnx.Sequential):
    """A hidden layer of NNX whose input is added to what it computes."""

    def __call__(self, h: Any, rngs: Any = None) -> Any:
        """Computes `h + layer(h)`."""
        return h + super().__call__(h, rngs=rngs)


class Standardise(nnx.Module):
    """`(x - mean) / scale` by feature, in the type of the statistics."""

    def __init__(self, mean: Any, scale: Any) -> None:
        self.mean = Statistic(jnp.array(mean))
        self.scale = Statistic(jnp.array(scale))

    def __call__(self, x: Any) -> Any:
        """Standardises rows."""
        mean, scale = self.mean[...], self.scale[...]
        return (jnp.asarray(x, mean.dtype) - mean) / scale


class LinenResidual(linen.Sequential):
    """A hidden layer of Linen whose input is added to what it computes."""

    def __call__(self, h: Any) -> Any:
        """Computes `h + layer(h)`."""
        return h + super().__call__(h)


class LinenStandardise(linen.Module):
    """`(x - mean) / scale` by feature, with statistics in a collection of that name."""

    features: int
    dtype: str

    @linen.compact
    def __call__(self, x: Any) -> Any:
        """Standardises rows."""
        shape = (self.features,)
        mean = self.variable("statistics", "mean", jnp.zeros, shape, self.dtype)
        scale = self.variable("statistics", "scale", jnp.ones, shape, self.dtype)
        return (jnp.asarray(x, mean.value.dtype) - mean.value) / scale.value
