"""Turns a network into a module of Flax NNX, and such a module into a network."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ...network import MLPConfig, Params
from ..jax_functions import function_of
from ..layer_parts import refuse
from ..operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Dropout,
    Gate,
    Normalise,
    Operation,
    Standardise,
    StartSkip,
    operations_of,
    with_types,
)
from ..partners import import_partner
from ..recognition import network_of
from .reading import Layer, promoted, read_layers


def to_nnx(config: MLPConfig, params: Params) -> Any:
    """Builds the `nnx.Sequential` that computes what a network does.

    Weights are those of the network bit for bit. Layers are Flax's own and functions of JAX, but
    for residual layers, standardisation and conversions of types, which are modules of ours.

    Args:
        config: The network. Its dropout becomes `nnx.Dropout`, which draws from the `rngs` of a
            call: `module(x, rngs=nnx.Rngs(dropout=0))`.
        params: Its parameters.

    Returns:
        The module. Before it predicts call `eval()`, which switches dropout off. Rows are given in
        the type of the parameters.

    Raises:
        ImportError: Flax is not installed.
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: `params` are not those of one network of `config`, or an activation is a
            function of the user's own.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig, init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> module = to_nnx(config, init_params(config, key=jax.random.key(0)))
        >>> module(jnp.zeros((5, 2))).shape
        (5, 3)
    """
    from .layers import Residual, nnx

    stack: list[list[Any]] = [[]]
    for dtype, operation in with_types(operations_of(config, params)):
        if isinstance(operation, StartSkip):
            stack.append([])
        elif isinstance(operation, AddSkip):
            layer = Residual(*stack.pop())
            stack[-1].append(layer)
        else:
            stack[-1] += _layers(nnx, operation, config.param_dtype, dtype)
    return nnx.Sequential(*stack[0])


def from_nnx(module: Any, *, dropout_rate: float | None = None) -> tuple[MLPConfig, Params]:
    """Finds the network that computes what a module of Flax NNX does.

    Weights are those of the module bit for bit. Norms that Flax computes with its
    `use_fast_variance` lose digits there where the mean is large; here they do not.

    Args:
        module: An `nnx.Sequential`, nested or not, of layers and functions of `jax.nn`, or one
            `nnx.Linear`.
        dropout_rate: Probability in [0, 1) for all hidden layers in place of those of the module;
            `None` takes the one that all hidden layers have.

    Returns:
        The config and the parameters, on JAX's default device.

    Raises:
        ImportError: Flax is not installed.
        TypeError: `module` is no module of NNX.
        ValueError: Something in it is no part of a network here, or shares its weights; the message
            names it.

    Example:
        >>> from flax import nnx
        >>> rngs = nnx.Rngs(0)
        >>> layers = [nnx.Linear(2, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 3, rngs=rngs)]
        >>> config, params = from_nnx(nnx.Sequential(*layers))
        >>> config.hidden_features, config.activation
        ((8,), 'relu')
    """
    nnx = import_partner("flax.nnx", "flax")
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"module must be an nnx.Module; got a {type(module).__name__}. A graph and a state are "
            "merged to one by nnx.merge(graphdef, state); Linen's modules come in by from_linen."
        )
    return network_of(list(read_layers(_chain("", module, set()))), dropout_rate=dropout_rate)


def _layers(nnx: Any, operation: Operation, param_dtype: str, dtype: str) -> list[Any]:
    """The layers of an operation that is given numbers of `dtype`."""
    from .layers import Cast as CastLayer
    from .layers import Standardise as StandardiseLayer

    settings: dict[str, Any] = {"param_dtype": jnp.dtype(param_dtype), "rngs": nnx.Rngs(0)}
    match operation:
        case Affine(kernel, bias):
            use_bias = bias is not None
            # What is drawn is replaced.
            settings |= {"kernel_init": nnx.initializers.zeros_init(), "dtype": jnp.dtype(dtype)}
            layer = nnx.Linear(*kernel.shape, use_bias=use_bias, **settings)
            layer.kernel.set_value(jnp.array(kernel))
            if bias is not None:
                layer.bias.set_value(jnp.array(bias))
            return [layer]
        case Normalise(kind, scale, bias, epsilon):
            # Its scale would be rounded in 16 bits, unless it has them, too.
            wide = dtype if dtype == param_dtype else promoted(dtype, "float32")
            settings |= {"epsilon": epsilon, "use_fast_variance": False, "dtype": jnp.dtype(wide)}
            features = np.asarray(scale).size
            if kind == "rms":
                layer = nnx.RMSNorm(features, **settings)
            else:
                layer = nnx.LayerNorm(features, use_bias=bias is not None, **settings)
            layer.scale.set_value(jnp.array(scale))
            if bias is not None:
                layer.bias.set_value(jnp.array(bias))
            return [layer] if wide == dtype else [layer, CastLayer(dtype)]
        case Activate(name) | Gate(name):
            return [] if name == "identity" else [function_of(name)]
        case Dropout(rate):
            return [nnx.Dropout(rate)]
        case Cast(target):
            return [CastLayer(target)]
        case Standardise(mean, scale):
            return [StandardiseLayer(mean, scale)]
    raise AssertionError(operation)


def _chain(name: str, module: Any, seen: set[int]) -> Iterator[Layer | StartSkip | AddSkip]:
    from .layers import Residual, nnx

    subject = f"module {name!r}" if name else "module"
    if type(module) not in (nnx.Sequential, Residual):
        variables = {
            each: getattr(module, each, None) for each in ("kernel", "bias", "scale", "mean")
        }
        arrays: dict[str, Any] = {
            key: v for key, v in variables.items() if isinstance(v, nnx.Variable)
        }
        for key, variable in arrays.items():
            if id(variable) in seen:
                remedy = "Give copies, trained apart from here on: nnx.clone of the layer."
                refuse(subject, f"have a {key} of its own", "one that was used before", remedy)
            seen.add(id(variable))
        yield Layer(subject, module, {key: v[...] for key, v in arrays.items()})
        return
    skips = type(module) is Residual
    if skips:
        yield StartSkip(subject)
    for index, each in enumerate(module.layers):
        yield from _chain(f"{name}.{index}" if name else f"{index}", each, seen)
    if skips:
        yield AddSkip(subject)
