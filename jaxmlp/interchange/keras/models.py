"""Turns a network into a model of Keras'."""

from typing import Any

import numpy as np

from ...network import MLPConfig, Params
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

# Of several names of one function the first is that which comes back.
ACTIVATIONS = {
    "celu": "celu",
    "elu": "elu",
    "gelu_exact": "gelu",
    "hard_sigmoid": "hard_sigmoid",
    "hard_silu": "hard_silu",
    "hard_swish": "hard_silu",
    "hard_tanh": "hard_tanh",
    "identity": "linear",
    "log_sigmoid": "log_sigmoid",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "soft_sign": "softsign",
    "softmax": "softmax",
    "softplus": "softplus",
    "sparse_plus": "sparse_plus",
    "sparse_sigmoid": "sparse_sigmoid",
    "squareplus": "squareplus",
    "swish": "silu",
    "tanh": "tanh",
}
_MIXED = {("float32", "bfloat16"): "mixed_bfloat16", ("float32", "float16"): "mixed_float16"}


def to_keras(config: MLPConfig, params: Params) -> Any:
    """Builds the Keras 3 model that computes what a network does.

    Weights are those of the network bit for bit. Layers are Keras' own but for the gates and the
    tanh form of GELU, which are ours and registered, so that `model.save` writes them; where such a
    file is loaded, import `jaxmlp.interchange.keras.layers` first.

    Args:
        config: The network. Its dropout becomes `Dropout`, a standardisation `Normalization`.
        params: Its parameters.

    Returns:
        A `keras.Sequential`; of a residual network a `keras.Model`. It is not compiled: call
        `compile` to train it.

    Raises:
        ImportError: Keras, or the backend that it is set to, is not installed.
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: `params` are not those of one network of `config`; an activation is a function
            of the user's own; or it computes in other types than Keras can.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig, init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> [layer.__class__.__name__ for layer in to_keras(config, params).layers]
        ['Dense', 'Activation', 'Dense']
    """
    from .layers import keras

    operations = operations_of(config, params)
    _require_policies(config)
    inputs = keras.Input((config.in_features,), dtype=_first_type(operations, config))
    tensor, kept, layers = inputs, None, []
    for dtype, operation in with_types(operations):
        if isinstance(operation, StartSkip):
            kept = tensor
            continue
        layer = _layer(keras, operation, config.param_dtype, dtype)
        tensor = layer([kept, tensor]) if isinstance(operation, AddSkip) else layer(tensor)
        _set_weights(layer, operation)
        layers.append(layer)
    if config.residual:
        return keras.Model(inputs, tensor)
    return keras.Sequential([inputs, *layers])


def _require_policies(config: MLPConfig) -> None:
    types = (config.param_dtype, config.compute_dtype or config.param_dtype)
    got = f"param_dtype={types[0]!r}, compute_dtype={types[1]!r}"
    if "float64" in types:
        remedy = "Convert the network to float32."
        refuse("config", "have no 64-bit type for Keras, which rounds to 32 bits", got, remedy)
    if len(set(types)) > 1 and types not in _MIXED:
        requirement = "compute in the type of its parameters, or in 16 bits over float32, for Keras"
        remedy = "Replace compute_dtype: outputs then differ by its rounding."
        refuse("config", requirement, got, remedy)


def _first_type(operations: tuple[Operation, ...], config: MLPConfig) -> str:
    first = operations[0]
    return first.mean.dtype.name if isinstance(first, Standardise) else config.param_dtype


def _layer(keras: Any, operation: Operation, param_dtype: str, dtype: str) -> Any:
    """The layer of an operation that is given numbers of `dtype`."""
    layers = keras.layers
    # Of layers with parameters their type counts; all others compute in that which they are given.
    policy = dtype if param_dtype == dtype else _MIXED.get((param_dtype, dtype), dtype)
    match operation:
        case Affine(kernel, bias):
            return layers.Dense(kernel.shape[1], use_bias=bias is not None, dtype=policy)
        case Normalise(kind, _, bias, epsilon) if kind == "layer":
            center = bias is not None
            return layers.LayerNormalization(epsilon=epsilon, center=center, dtype=policy)
        case Normalise(_, _, _, epsilon):
            # Its scale would be rounded, were it computed in 16 bits; the next layer rounds.
            exact = param_dtype if policy.startswith("mixed") else policy
            return layers.RMSNormalization(epsilon=epsilon, dtype=exact)
        case Activate("leaky_relu"):
            return layers.LeakyReLU(negative_slope=0.01, dtype=dtype)
        case Activate(name):
            from .layers import tanh_gelu

            function = tanh_gelu if name == "gelu" else ACTIVATIONS[name]
            return layers.Activation(function, dtype=dtype)
        case Gate(name):
            from .layers import Gate as GateLayer

            return GateLayer(name, dtype=dtype)
        case Dropout(rate):
            return layers.Dropout(rate, dtype=dtype)
        case Cast(target):
            return layers.Activation("linear", dtype=target)
        case AddSkip():
            return layers.Add(dtype=dtype)
        case Standardise(mean, scale):
            # In binary numbers sqrt(scale * scale) is scale again, unless its square overflows.
            with np.errstate(over="ignore", under="ignore"):
                variance = scale * scale
                kept = np.maximum(np.sqrt(variance), scale.dtype.type(keras.config.epsilon()))
            if not np.array_equal(kept, scale, equal_nan=True):
                low, high = keras.config.epsilon(), float(np.sqrt(np.finfo(scale.dtype).max))
                got, remedy = f"{scale}", "Standardise rows before the network."
                refuse("scale", f"be from {low} to {high:.1e} in Keras", got, remedy)
            return layers.Normalization(mean=mean, variance=variance, dtype=dtype)
    raise AssertionError(operation)


def _set_weights(layer: Any, operation: Operation) -> None:
    if isinstance(operation, Affine):
        layer.kernel.assign(operation.kernel)
        if operation.bias is not None:
            layer.bias.assign(operation.bias)
    elif isinstance(operation, Normalise):
        scale: Any = operation.scale
        (layer.gamma if operation.kind == "layer" else layer.scale).assign(np.asarray(scale))
        if operation.bias is not None:
            layer.beta.assign(operation.bias)
