"""Turns the name of an activation into its function, and the gain that its kernels need."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .config import GATED_ACTIVATIONS


class Activation(NamedTuple):
    """An activation function and its gain.

    The gain is `1 / sqrt(E[f(z)**2])` for `z ~ N(0, 1)`, so that unit net inputs give activations
    of mean square `1 / gain**2`: kernels of variance `gain**2 / fan_in` then give unit net inputs
    again (He et al. 2015, equations 8-10, for any f). For ReLU and its like this holds at any size
    of the signal; deep stacks of gated activations drift all the same, and need a norm.
    """

    function: Callable[[Array], Array]
    gain: float


def _gelu_exact(z: Array) -> Array:
    return jax.nn.gelu(z, approximate=False)


# At its kinks each has PyTorch's derivative, which jax.nn's own two have not.
def _leaky_relu(z: Array) -> Array:
    return jnp.where(z > 0, z, 0.01 * z)


def _hard_tanh(z: Array) -> Array:
    return jnp.where(z <= -1, -1, jnp.where(z >= 1, 1, z))


def _gated(gate: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def function(z: Float[Array, "*batch twice"]) -> Float[Array, "*batch features"]:
        value, gate_input = jnp.split(z, 2, axis=-1)
        return value * gate(gate_input)

    return function


# The gains are tested against Gauss-Hermite quadrature of their definition.
ACTIVATIONS: dict[str, Activation] = {
    "celu": Activation(jax.nn.celu, 1.245198),
    "elu": Activation(jax.nn.elu, 1.245198),
    "geglu": Activation(_gated(jax.nn.gelu), 1.533581),
    "gelu": Activation(jax.nn.gelu, 1.533581),
    "gelu_exact": Activation(_gelu_exact, 1.533530),
    "glu": Activation(_gated(jax.nn.sigmoid), 1.846229),
    "hard_sigmoid": Activation(jax.nn.hard_sigmoid, 1.897840),
    "hard_silu": Activation(jax.nn.hard_silu, 1.736657),
    "hard_swish": Activation(jax.nn.hard_swish, 1.736657),
    "hard_tanh": Activation(_hard_tanh, 1.392036),
    "identity": Activation(jax.nn.identity, 1.0),
    "leaky_relu": Activation(_leaky_relu, 1.414143),
    "log_sigmoid": Activation(jax.nn.log_sigmoid, 1.041867),
    "mish": Activation(jax.nn.mish, 1.486848),
    "reglu": Activation(_gated(jax.nn.relu), 1.414214),
    "relu": Activation(jax.nn.relu, 1.414214),
    "relu6": Activation(jax.nn.relu6, 1.414214),
    "selu": Activation(jax.nn.selu, 1.0),
    "sigmoid": Activation(jax.nn.sigmoid, 1.846229),
    "silu": Activation(jax.nn.silu, 1.676532),
    "soft_sign": Activation(jax.nn.soft_sign, 2.337533),
    "softplus": Activation(jax.nn.softplus, 1.041867),
    "sparse_plus": Activation(jax.nn.sparse_plus, 1.380337),
    "sparse_sigmoid": Activation(jax.nn.sparse_sigmoid, 1.624322),
    "squareplus": Activation(jax.nn.squareplus, 0.816497),
    "swiglu": Activation(_gated(jax.nn.silu), 1.676532),
    "swish": Activation(jax.nn.swish, 1.676532),
    "tanh": Activation(jax.nn.tanh, 1.592537),
}


def net_input_features(activation: str, features: int) -> int:
    """Returns how many net inputs a layer of `features` activations needs: twice if gated."""
    return 2 * features if activation in GATED_ACTIVATIONS else features
