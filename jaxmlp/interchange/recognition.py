"""Turns a list of plain operations into the network that computes just that, or into an error."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..network import (
    ELEMENTWISE_ACTIVATIONS,
    GATED_ACTIVATIONS,
    Dense,
    MLPConfig,
    Norm,
    Params,
    Standardization,
)
from ..storage import flatten_by_path, params_skeleton, restore_by_path
from .layer_parts import LayerParts, NetworkParts, Place, parts_of, refuse
from .operations import Gate, Operation

_TYPES = ("bfloat16", "float16", "float32", "float64")
_ONE_TYPE = "Convert the network to one type where it was made."


def network_of(
    operations: Sequence[Operation], *, dropout_rate: float | None = None
) -> tuple[MLPConfig, Params]:
    """Finds the network that does what a list of operations does: the inverse of `operations_of`.

    Of layers with a bias beside layers without, those without get one of zeros, and norms without a
    scale one of ones: the function is exactly the same. What a config says of initialisation is no
    part of the function, and is that of a new `MLPConfig`.

    Args:
        operations: As `operations_of` gives them; `Activate("identity")`, and `Dropout(0)`, may
            stand anywhere. Labels are what errors call an operation beside its number.
        dropout_rate: Probability in [0, 1) for all hidden layers in place of those of the list;
            `None` takes the one that all hidden layers have.

    Returns:
        The config and the parameters, fresh JAX arrays of the operations' numbers.

    Raises:
        TypeError: Something in the list is no operation.
        ValueError: It is not an MLP of ours, which the message tells by operation; or it has 64-bit
            arrays while JAX has 64-bit types switched off.

    Example:
        >>> from .operations import Affine
        >>> first, last = np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)
        >>> config, params = network_of([Affine(first, None), Affine(last, None)])
        >>> config.hidden_features, config.activation
        ((3,), 'identity')
    """
    parts = parts_of(operations, ignores_dropout=dropout_rate is not None)
    *hidden, output = parts.layers
    param_dtype = _param_dtype(parts)
    norm_kind, norm_epsilon = _norm(hidden)
    use_bias = any(_has_bias(layer) for layer in parts.layers)
    widths = _widths(parts)
    activations = tuple(_activation(layer, GATED_ACTIVATIONS) for layer in hidden)
    same = len(set(activations)) == 1
    settings: dict[str, Any] = {} if norm_kind is None else {"norm_epsilon": norm_epsilon}
    if hidden:
        settings["activation"] = activations[0] if same else activations
    if output.activation is not None:
        settings["output_activation"] = _activation(output, ("softmax",))
    config = MLPConfig(
        in_features=widths[0],
        hidden_features=tuple(widths[1:-1]),
        out_features=widths[-1],
        dropout_rate=_dropout_rate(hidden) if dropout_rate is None else dropout_rate,
        norm=norm_kind,
        residual=_is_residual(hidden),
        use_bias=use_bias,
        param_dtype=param_dtype,
        compute_dtype=_compute_dtype(parts, param_dtype),
        **settings,
    )
    dense = [_dense(layer, use_bias) for layer in parts.layers]
    params = Params(tuple(dense[:-1]), dense[-1], _standardization(parts, param_dtype))
    arrays = flatten_by_path(params)
    return config, restore_by_path(params_skeleton(config, arrays), arrays)


def _param_dtype(parts: NetworkParts) -> Any:
    """The type of all parameters, whose kernels are matrices."""
    first = parts.layers[0].affine
    dtype = first.operation.kernel.dtype.name
    for layer in parts.layers:
        shape = layer.affine.operation.kernel.shape
        if len(shape) != 2:
            remedy = "Give the kernel as (in, out)."
            refuse(layer.affine, "have a kernel of two axes", f"shape {shape}", remedy)
        for place in (layer.affine, layer.norm):
            for array in () if place is None else place.operation:
                if isinstance(array, np.ndarray) and array.dtype.name not in _TYPES:
                    refuse(place, f"have arrays of one of {_TYPES}", f"{array.dtype}", _ONE_TYPE)
                if isinstance(array, np.ndarray) and array.dtype.name != dtype:
                    requirement = f"have arrays of {dtype}, the type of {first}"
                    refuse(place, requirement, f"{array.dtype}", _ONE_TYPE)
    return dtype


def _compute_dtype(parts: NetworkParts, param_dtype: str) -> Any:
    """The type that flows from before the first dense layer to after the last."""
    compute_dtype = param_dtype
    if parts.cast is not None:
        compute_dtype = parts.cast.operation.dtype
    elif parts.standardise is not None:
        compute_dtype = parts.standardise.operation.mean.dtype.name
    last = parts.layers[-1].cast
    returned = compute_dtype if last is None else last.operation.dtype
    if returned != param_dtype:
        place = last or parts.cast or parts.standardise
        remedy = f"Cast what comes out to {param_dtype}."
        requirement = f"leave outputs in {param_dtype}, the type of the parameters"
        refuse(place, requirement, returned, remedy)
    return None if compute_dtype == param_dtype else compute_dtype


def _widths(parts: NetworkParts) -> list[int]:
    """Length of rows, width of each hidden layer, length of outputs."""
    widths = [int(parts.layers[0].affine.operation.kernel.shape[0])]
    if parts.standardise is not None:
        _require_shape(parts.standardise, "mean", (widths[0],))
        _require_shape(parts.standardise, "scale", (widths[0],))
    for layer in parts.layers:
        kernel = layer.affine.operation.kernel
        if kernel.shape[0] != widths[-1]:
            remedy = "Is its kernel (in, out), and the order of the layers right?"
            got = f"a kernel of shape {kernel.shape}"
            refuse(layer.affine, f"take the {widths[-1]} features it is given", got, remedy)
        features = int(kernel.shape[1])
        _require_shape(layer.affine, "bias", (features,))
        if layer.norm is not None:
            _require_shape(layer.norm, "scale", (features,))
            _require_shape(layer.norm, "bias", (features,))
        if layer.activation is not None and isinstance(layer.activation.operation, Gate):
            if features % 2:
                requirement = "be given an even number of features, a value half and a gate half"
                refuse(layer.activation, requirement, f"{features}", "Is it a gate?")
            features //= 2
        if layer.end is not None and features != widths[-1]:
            got = f"{widths[-1]} and {features}"
            refuse(layer.end, "add features of one width", got, "Leave the skip out.")
        widths.append(features)
    return widths


def _require_shape(place: Place, name: str, shape: tuple[int, ...]) -> None:
    array = getattr(place.operation, name)
    if array is not None and array.shape != shape:
        remedy = "A norm acts over all features of a row, and a bias is one number per feature."
        refuse(place, f"have a {name} of shape {shape}", f"{array.shape}", remedy)


def _norm(hidden: list[LayerParts]) -> tuple[Any, float]:
    """Kind and epsilon of the norms of all hidden layers."""
    norms = [layer.norm for layer in hidden if layer.norm is not None]
    if not norms:
        return None, 0.0
    first: Any = norms[0].operation
    remedy = "Networks of ours have one norm and epsilon in all hidden layers, or none."
    for layer in hidden:
        if layer.norm is None:
            got = "a dense layer without one"
            refuse(layer.affine, f"be followed by a norm, as {norms[0]}, is", got, remedy)
        operation = layer.norm.operation
        if (operation.kind, operation.epsilon) != (first.kind, first.epsilon):
            requirement = (
                f"be the norm {first.kind!r} of epsilon {first.epsilon}, as {norms[0]}, is"
            )
            got = f"{operation.kind!r} of epsilon {operation.epsilon}"
            refuse(layer.norm, requirement, got, remedy)
        if operation.kind == "rms" and operation.bias is not None and operation.bias.any():
            refuse(layer.norm, "have no bias", "one", "RMS norms of ours have a scale only.")
    return first.kind, float(first.epsilon)


def _has_bias(layer: LayerParts) -> bool:
    norm = None if layer.norm is None else layer.norm.operation
    in_norm = norm is not None and norm.kind == "layer" and norm.bias is not None
    return layer.affine.operation.bias is not None or in_norm


def _activation(layer: LayerParts, others: tuple[str, ...]) -> Any:
    if layer.activation is None:
        return "identity"
    name = layer.activation.operation.name
    known = (*ELEMENTWISE_ACTIVATIONS, *others)
    is_gate = isinstance(layer.activation.operation, Gate)
    if name not in known or is_gate != (name in GATED_ACTIVATIONS):
        requirement = f"be one of {', '.join(known)}"
        remedy = "Functions of your own are jaxmlp.Activation, which is given where a file is read."
        refuse(layer.activation, requirement, repr(name), remedy)
    return name


def _dropout_rate(hidden: list[LayerParts]) -> float:
    rates = [0.0 if each.dropout is None else each.dropout.operation.rate for each in hidden]
    for layer in hidden:
        if layer.dropout is not None and len(set(rates)) > 1:
            requirement = "have the rate of the dropouts of all hidden layers"
            remedy = "Give dropout_rate=..., the rate of all of them, in place of those read."
            refuse(layer.dropout, requirement, f"the rates {rates}", remedy)
    return float(rates[0]) if rates else 0.0


def _is_residual(hidden: list[LayerParts]) -> bool:
    """Whether all hidden layers after the first add their input; none must, else."""
    first_skip = next((layer.start or layer.end for layer in hidden if layer.start or layer.end), 0)
    remedy = "Networks of ours have a skip over each hidden layer but the first, or over none."
    for index, layer in enumerate(hidden if first_skip else []):
        if (layer.start is None) != (layer.end is None):
            requirement = "have a start and a sum around one hidden layer"
            refuse(layer.start or layer.end, requirement, "one without the other", remedy)
        if layer.start is not None and index == 0:
            refuse(layer.start, "stand after the first hidden layer", "it before", remedy)
        if layer.start is None and index > 0:
            refuse(layer.affine, f"be inside a skip, as there is {first_skip}", "none", remedy)
    return bool(first_skip)


def _dense(layer: LayerParts, use_bias: bool) -> Dense:
    affine: Any = layer.affine.operation
    dtype, features = affine.kernel.dtype, affine.kernel.shape[1]
    zeros: Any = np.zeros(features, dtype) if use_bias else None
    bias: Any = zeros if affine.bias is None else affine.bias
    if layer.norm is None:
        return Dense(affine.kernel, bias)
    norm: Any = layer.norm.operation
    scale: Any = np.ones(features, dtype) if norm.scale is None else norm.scale
    if norm.kind == "rms":
        return Dense(affine.kernel, bias, Norm(scale))
    return Dense(affine.kernel, bias, Norm(scale, zeros if norm.bias is None else norm.bias))


def _standardization(parts: NetworkParts, param_dtype: str) -> Standardization | None:
    if parts.standardise is None:
        return None
    dtype = np.promote_types(jax.numpy.dtype(param_dtype), np.float32)
    statistics: Any = parts.standardise.operation
    mean, scale = statistics.mean, statistics.scale
    for name, array in (("mean", mean), ("scale", scale)):
        if not np.array_equal(array, array.astype(dtype), equal_nan=True):
            remedy = f"Round it to {dtype} first, or convert the network to {array.dtype}."
            refuse(parts.standardise, f"have a {name} that {dtype} holds", f"{array.dtype}", remedy)
    return Standardization(mean.astype(dtype), scale.astype(dtype))
