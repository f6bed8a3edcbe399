"""Turns the name of an activation into its function, and the gain that its kernels need.

The gain is `1 / sqrt(E[f(z)**2])` for `z ~ N(0, 1)`, so that unit net inputs give activations of
mean square `1 / gain**2`: kernels of variance `gain**2 / fan_in` then give unit net inputs again
(He et al. 2015, equations 8-10, for any f). For ReLU and its like this holds at any size of the
signal; deep stacks of gated activations drift all the same, and need a norm.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..checks import did_you_mean, require_mapping, require_name
from .types import Activation

ElementwiseActivation: TypeAlias = Literal[
    "celu",
    "elu",
    "gelu",
    "gelu_exact",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
]
GatedActivation: TypeAlias = Literal["geglu", "glu", "reglu", "swiglu"]
HiddenActivation: TypeAlias = ElementwiseActivation | GatedActivation | Activation
OutputActivation: TypeAlias = ElementwiseActivation | Literal["softmax"] | Activation

ELEMENTWISE_ACTIVATIONS: tuple[str, ...] = get_args(ElementwiseActivation)
GATED_ACTIVATIONS: tuple[str, ...] = get_args(GatedActivation)
HIDDEN_ACTIVATIONS = (*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS)
OUTPUT_ACTIVATIONS = (*ELEMENTWISE_ACTIVATIONS, "softmax")

# Nodes of the quadrature for the gains of users' own functions. The trapezoidal rule is exact to
# rounding for smooth functions under the normal density, and bears kinks, as Gauss' would not.
_NODES = np.linspace(-10, 10, 20001)


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
_FUNCTIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "celu": (jax.nn.celu, 1.245198),
    "elu": (jax.nn.elu, 1.245198),
    "geglu": (_gated(jax.nn.gelu), 1.533581),
    "gelu": (jax.nn.gelu, 1.533581),
    "gelu_exact": (_gelu_exact, 1.533530),
    "glu": (_gated(jax.nn.sigmoid), 1.846229),
    "hard_sigmoid": (jax.nn.hard_sigmoid, 1.897840),
    "hard_silu": (jax.nn.hard_silu, 1.736657),
    "hard_swish": (jax.nn.hard_swish, 1.736657),
    "hard_tanh": (_hard_tanh, 1.392036),
    "identity": (jax.nn.identity, 1.0),
    "leaky_relu": (_leaky_relu, 1.414143),
    "log_sigmoid": (jax.nn.log_sigmoid, 1.041867),
    "mish": (jax.nn.mish, 1.486848),
    "reglu": (_gated(jax.nn.relu), 1.414214),
    "relu": (jax.nn.relu, 1.414214),
    "relu6": (jax.nn.relu6, 1.414214),
    "selu": (jax.nn.selu, 1.0),
    "sigmoid": (jax.nn.sigmoid, 1.846229),
    "silu": (jax.nn.silu, 1.676532),
    "soft_sign": (jax.nn.soft_sign, 2.337533),
    "softplus": (jax.nn.softplus, 1.041867),
    "sparse_plus": (jax.nn.sparse_plus, 1.380337),
    "sparse_sigmoid": (jax.nn.sparse_sigmoid, 1.624322),
    "squareplus": (jax.nn.squareplus, 0.816497),
    "swiglu": (_gated(jax.nn.silu), 1.676532),
    "swish": (jax.nn.swish, 1.676532),
    "tanh": (jax.nn.tanh, 1.592537),
}

ACTIVATIONS = {name: Activation(name, *parts) for name, parts in _FUNCTIONS.items()}


def as_activation(activation: str | Activation) -> Activation:
    """Returns the activation of a name, or one of the user's own as it is."""
    return activation if isinstance(activation, Activation) else ACTIVATIONS[activation]


def activate(activation: str | Activation, z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Computes an activation; one of the user's own must keep shape and type."""
    a = as_activation(activation).function(z)
    if isinstance(activation, Activation) and (jnp.shape(a), a.dtype) != (z.shape, z.dtype):
        raise ValueError(
            f"the function of {activation!r} must keep shape and type, {z.dtype}{list(z.shape)}; "
            f"got {a.dtype}{list(jnp.shape(a))}."
        )
    return a


def gain_of(activation: str | Activation) -> float:
    """Returns an activation's gain.

    Raises:
        ValueError: It is not told, and the function does not return finite numbers, in the shape of
            its input and not all 0, from which it could be computed.
    """
    activation = as_activation(activation)
    return _quadrature_gain(activation) if activation.gain is None else activation.gain


@functools.lru_cache(64)
def _quadrature_gain(activation: Activation) -> float:
    # It may be asked for while something is traced.
    with jax.ensure_compile_time_eval():
        values = np.asarray(activation.function(jnp.asarray(_NODES, float)), np.float64)
    # E[f(z)**2] for z ~ N(0, 1).
    mean_square = 0.0
    if values.shape == _NODES.shape:
        density = np.exp(-(_NODES**2) / 2)
        mean_square = float(density @ values**2 / density.sum())
    if not 0 < mean_square < math.inf:
        raise ValueError(
            f"the function of {activation!r} must return finite numbers, not all 0, in the shape "
            f"of its input; got shape {values.shape} for {_NODES.shape}, with mean square "
            f"{mean_square}. Mend it, or give a gain."
        )
    return mean_square**-0.5


def net_input_features(activation: str | Activation, features: int) -> int:
    """Returns how many net inputs a layer of `features` activations needs: twice if gated."""
    return 2 * features if activation in GATED_ACTIVATIONS else features


def require_activation(field: str, value: Any, names: tuple[str | None, ...]) -> None:
    """Refuses anything but one of some names, or an activation of the user's own."""
    if callable(value) and not isinstance(value, Activation):
        raise TypeError(
            f"{field} must be a name; got {value!r}. A function of your own is given with a name "
            "to save it by: jaxmlp.Activation('my_name', function)."
        )
    if not isinstance(value, Activation):
        require_name(field, value, names, "activations")
    elif value.name in (*HIDDEN_ACTIVATIONS, "softmax"):
        raise ValueError(
            f"{field} must have a name of its own; got {value!r}, which is one of ours."
        )


def names_of(value: Any) -> Any:
    """The value with the names of activations in their place."""
    if isinstance(value, tuple):
        return [names_of(each) for each in value]
    return value.name if isinstance(value, Activation) else value


def place_activations(fields: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Puts the activations that are given in the place of their names."""
    own = given or {}
    require_mapping("activations", own, "as {'snake': jaxmlp.Activation('snake', snake)}")
    for name, activation in own.items():
        if not isinstance(activation, Activation) or activation.name != name:
            raise TypeError(
                f"activations[{name!r}] must be the jaxmlp.Activation of that name; got "
                f"{activation!r}."
            )
    known = (*HIDDEN_ACTIVATIONS, "softmax")
    used = set[str]()

    def place(field: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(place(field, each) for each in value)
        if isinstance(value, str) and value in own:
            used.add(value)
            return own[value]
        if isinstance(value, str) and value not in known:
            raise ValueError(
                f"{field} must be a name of ours or be given; got {value!r}. If it is one of your "
                f"own, give it: activations={{{value!r}: jaxmlp.Activation({value!r}, function)}}."
            )
        return value

    places = {f: place(f, fields[f]) for f in ("activation", "output_activation") if f in fields}
    if unused := sorted(own.keys() - used):
        raise ValueError(
            f"activations {unused} have no effect, since the config names none of them."
        )
    return {**fields, **places}


def __getattr__(name: str) -> Any:
    hint = did_you_mean(name, ACTIVATIONS, "activations")
    raise AttributeError(f"jaxmlp.network.activations has no {name!r}.{hint}")
