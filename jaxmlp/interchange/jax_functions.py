"""Turns the names of activations into functions of JAX, and such functions into names."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS, as_activation
from .layer_parts import refuse
from .operations import Activate, Gate

_REMEDY = (
    "Put such a one in its place, import that, and put your function, as a jaxmlp.Activation, into "
    "the config that comes back."
)
# Settings of functions of jax.nn that change nothing; gelu's are told apart.
_DEFAULTS: dict[Any, dict[str, Any]] = {
    jax.nn.celu: {"alpha": 1.0},
    jax.nn.elu: {"alpha": 1.0},
    jax.nn.glu: {"axis": -1},
    jax.nn.leaky_relu: {"negative_slope": 0.01},
    jax.nn.softmax: {"axis": -1},
    jax.nn.squareplus: {"b": 4},
}


@functools.cache
def _names() -> dict[Any, str]:
    """Names by function; of several names of one function the first is that which comes back."""
    names = (*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS)
    ours = {as_activation(name).function: name for name in names[::-1]}
    others = {
        jax.nn.glu: "glu",
        jax.nn.hard_tanh: "hard_tanh",
        jax.nn.leaky_relu: "leaky_relu",
        jax.nn.softmax: "softmax",
        jnp.tanh: "tanh",
    }
    return {**ours, jax.nn.silu: "silu", jax.nn.hard_silu: "hard_silu", **others}


def function_of(name: str) -> Callable[[Any], Any]:
    """Returns the function of an activation, a gate or "softmax", of arrays of any shape."""
    return jax.nn.softmax if name == "softmax" else as_activation(name).function


def read_function(subject: str, function: Any) -> Activate | Gate:
    """Returns the operation of a function.

    Args:
        subject: What errors and labels call it.
        function: A function of `jax.nn` or of ours, or `functools.partial` of one with settings.

    Raises:
        ValueError: It is another one.
    """
    settings: dict[str, Any] = {}
    found = function
    if isinstance(function, functools.partial) and not function.args:
        found, settings = function.func, function.keywords
    name = _names().get(found) if _is_hashable(found) else None
    if found is jax.nn.gelu and set(settings) <= {"approximate"}:
        name = "gelu" if settings.get("approximate", True) else "gelu_exact"
    elif settings and settings.items() - _DEFAULTS.get(found, {}).items():
        name = None
    if name is None:
        requirement = "be a function of jax.nn that is an activation here, with its own settings"
        shown = getattr(function, "__name__", repr(function))
        refuse(subject, requirement, shown, _REMEDY)
    return (Gate if name in GATED_ACTIVATIONS else Activate)(name, subject)


def _is_hashable(function: Any) -> bool:
    try:
        hash(function)
    except TypeError:
        return False
    return True
