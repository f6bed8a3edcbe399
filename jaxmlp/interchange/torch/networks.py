"""Turns a network into modules of PyTorch's, and such modules into a network."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ...network import MLPConfig, Params
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
from .activations import make_activation
from .modules import read_module, refuse_shared


def to_torch(config: MLPConfig, params: Params) -> Any:
    """Builds the `torch.nn.Sequential` that computes what a network does.

    Keys of its `state_dict` are the numbers of the modules, as in "0.weight", and weights are bit
    for bit those of the network. Modules are `torch.nn`'s own but for what that lacks: residual
    layers, the gates "geglu", "reglu" and "swiglu", three activations, standardisation, and
    layers that compute in another type than that of their parameters; those are modules of ours,
    so that where they are unpickled jaxmlp must be installed, as their state needs it nowhere.

    Args:
        config: The network. Its dropout becomes `nn.Dropout`.
        params: Its parameters.

    Returns:
        The module, on the CPU and in training mode, as PyTorch's new modules are: call `eval()`
        before it predicts if there is dropout. Rows are given in the type of the parameters.

    Raises:
        ImportError: PyTorch is not installed.
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: `params` are not those of one network of `config`, or an activation is a
            function of the user's own.
    """
    torch = import_partner("torch", "torch")
    stack: list[list[Any]] = [[]]
    for dtype, operation in with_types(operations_of(config, params)):
        match operation:
            case StartSkip():
                stack.append([])
            case AddSkip():
                from .layers import Residual

                layer = Residual(*stack.pop())
                stack[-1].append(layer)
            case Activate("identity"):
                pass
            case _:
                stack[-1].append(_module(operation, dtype))
    return torch.nn.Sequential(*stack[0])


def from_torch(module: Any, *, dropout_rate: float | None = None) -> tuple[MLPConfig, Params]:
    """Finds the network that computes what a module of PyTorch's does.

    Weights are those of the module bit for bit, float64 ones where JAX has 64-bit types. Whether
    the module is in training mode is of no account. Files hold states without modules: build the
    module as they were built and load the state into it, as in
    `module.load_state_dict(torch.load(path, weights_only=True))` or with
    `safetensors.torch.load_file(path)`; a pickled module, which could run anything, is read here
    in no way.

    Args:
        module: An `nn.Sequential`, nested or not, such as `torchvision.ops.MLP` and what
            `to_torch` builds, or one `nn.Linear`. `nn.Flatten` is taken: rows here are flat.
        dropout_rate: Probability in [0, 1) for all hidden layers in place of those of the module;
            `None` takes the one that all hidden layers have. `torchvision.ops.MLP` with dropout
            drops outputs, too, and needs it.

    Returns:
        The config and the parameters, on JAX's default device.

    Raises:
        ImportError: PyTorch is not installed.
        TypeError: `module` is no module.
        ValueError: Something in it is no part of a network here, is computed with hooks or
            parametrisations, or shares its weights; the message names it.
    """
    torch = import_partner("torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"module must be a torch.nn.Module; got a {type(module).__name__}. Build the module "
            "whose state it is, and module.load_state_dict(torch.load(path, weights_only=True))."
        )
    types = [each.dtype for each in module.parameters()]
    dtype = str(types[0]).removeprefix("torch.") if types else "float32"
    operations = list(read_module("", module, dtype))
    refuse_shared(module)
    return network_of(operations, dropout_rate=dropout_rate)


def _module(operation: Operation, dtype: str) -> Any:
    torch = import_partner("torch", "torch")
    nn = torch.nn
    match operation:
        case Affine(kernel, bias):
            mixed = kernel.dtype.name != dtype
            layer = _layers().MixedLinear if mixed else nn.Linear
            linear = nn.utils.skip_init(layer, *kernel.shape, bias=bias is not None)
            linear.weight = nn.Parameter(_as_tensor(kernel.T))
            if bias is not None:
                linear.bias = nn.Parameter(_as_tensor(bias))
            return linear
        case Normalise():
            return _norm(operation, dtype)
        case Activate(name) | Gate(name):
            return make_activation(name)
        case Dropout(rate):
            return nn.Dropout(rate)
        case Cast(target):
            return _layers().Cast(target)
        case Standardise(mean, scale):
            return _layers().Standardise(_as_tensor(mean), _as_tensor(scale))
    raise AssertionError(operation)


def _norm(operation: Normalise, dtype: str) -> Any:
    nn = import_partner("torch", "torch").nn
    scale: Any = operation.scale
    bias = operation.bias
    mixed = scale.dtype.name != dtype
    if operation.kind == "rms":
        layer = _layers().MixedRMSNorm if mixed else nn.RMSNorm
        norm = layer(len(scale), eps=operation.epsilon)
    else:
        layer = _layers().MixedLayerNorm if mixed else nn.LayerNorm
        norm = layer(len(scale), eps=operation.epsilon, bias=bias is not None)
    norm.weight = nn.Parameter(_as_tensor(scale))
    if bias is not None:
        norm.bias = nn.Parameter(_as_tensor(bias))
    return norm


def _as_tensor(array: np.ndarray) -> Any:
    torch = import_partner("torch", "torch")
    array = np.ascontiguousarray(array)
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _layers() -> Any:
    from . import layers

    return layers
