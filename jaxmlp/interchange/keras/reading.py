"""Turns a model of Keras' into a network, or into an error that names the layer."""

from collections.abc import Iterator
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
)
from ..recognition import network_of
from .models import ACTIVATIONS

_OURS = (
    "be one that a network here has: Dense, Activation, LayerNormalization, RMSNormalization, "
    "Dropout, Normalization, Add of a skip, or an activation's"
)
_APART = "Import what is before and after it apart, and join the parts in a function of your own."
_FUNCTION = (
    "Put such a one in its place, import that, and put your function, as a jaxmlp.Activation, into "
    "the config that comes back."
)
_INSTEAD = {
    "BatchNormalization": "In predictions it is affine: multiply its factors, with rounding, into "
    "the dense layer before it.",
    "Rescaling": "Scale rows before the network, or by a Normalization in its place.",
}


def from_keras(model: Any, *, dropout_rate: float | None = None) -> tuple[MLPConfig, Params]:
    """Finds the network that computes what a Keras 3 model does in predictions.

    Weights are those of the model bit for bit. What Keras says of training, such as regularizers
    and constraints, is no part of a network.

    Args:
        model: A `keras.Sequential` or a functional `keras.Model`, nested or not, that is built: a
            chain of layers, with skips over hidden layers by `Add` or `+`. A `Normalization` in
            front becomes the standardisation. `Flatten` is taken: rows here are flat.
        dropout_rate: Probability in [0, 1) for all hidden layers in place of those of the model;
            `None` takes the one that all hidden layers have.

    Returns:
        The config and the parameters, on JAX's default device.

    Raises:
        ImportError: Keras, or the backend that it is set to, is not installed.
        TypeError: `model` is no model of Keras 3.
        ValueError: It is not built, or something in it is no part of a network here; the message
            names the layer.

    Example:
        >>> import keras
        >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
        >>> config, params = from_keras(keras.Sequential(layers))
        >>> config.hidden_features, config.activation
        ((8,), 'relu')
    """
    from .layers import keras

    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model must be a keras.Model; got a {type(model).__name__}. A file is opened by "
            "keras.saving.load_model(path), which runs nothing of it in its safe mode."
        )
    return network_of(list(_operations(_chain(keras, model))), dropout_rate=dropout_rate)


def _chain(keras: Any, model: Any) -> Iterator[Any]:
    """The layers of a model in order, with `StartSkip` and `AddSkip` around what is skipped."""
    if not model.built:
        remedy = "Begin it with keras.Input((in_features,)), or call it on rows once."
        refuse(f"model {model.name!r}", "be built", "one without weights yet", remedy)
    if isinstance(model, keras.Sequential):
        layers = model.layers
    elif hasattr(model, "operations"):
        layers = _functional_chain(model)
    else:
        remedy = "Build the same chain as keras.Sequential([...]), with the same layers."
        got = f"a {type(model).__name__}, whose call may do anything"
        refuse(f"model {model.name!r}", "be a keras.Sequential or a functional one", got, remedy)
    seen = set()
    for layer in layers:
        if id(layer) in seen:
            remedy = "Give copies, trained apart from here on: keras.models.clone_model."
            refuse(f"layer {layer.name!r}", "be used once", "it used again", remedy)
        if not isinstance(layer, StartSkip | AddSkip):
            seen.add(id(layer))
        if isinstance(layer, keras.Model):
            yield from _chain(keras, layer)
        else:
            yield layer


def _functional_chain(model: Any) -> list[Any]:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        got = f"{len(model.inputs)} and {len(model.outputs)}"
        refuse(f"model {model.name!r}", "have one input and one output", got, _APART)
    position = {id(each): number for number, each in enumerate(model.operations)}

    def walk(tensor: Any, end: Any) -> list[Any]:
        """What lies between two tensors, the last first."""
        found = []
        while tensor._keras_history != end._keras_history:
            operation, index, _ = tensor._keras_history
            inputs = operation._inbound_nodes[index].input_tensors
            if not inputs:
                refuse("a sum", "add the input of a layer to what it computes", "another", _APART)
            if len(inputs) == 1:
                found.append(operation)
                tensor = inputs[0]
                continue
            if len(inputs) != 2 or type(operation).__name__ != "Add":
                got = f"a {type(operation).__name__} of {len(inputs)} inputs"
                refuse(f"layer {operation.name!r}", _OURS, got, _APART)
            # The one that was computed first is the other's input.
            kept, h = sorted(inputs, key=lambda each: position[id(each._keras_history[0])])
            label = f"layer {operation.name!r}"
            found += [AddSkip(label), *walk(h, kept), StartSkip(label)]
            tensor = kept
        return found

    return walk(model.outputs[0], model.inputs[0])[::-1]


def _operations(layers: Iterator[Any]) -> Iterator[Operation]:
    """Reads layers, with a cast before each that computes in another type than the one before."""
    # What flows, and of what flows in place of a type that the next layer rounds to again.
    dtype, narrow = None, None
    for layer in layers:
        if isinstance(layer, StartSkip | AddSkip):
            yield layer
            continue
        subject = f"layer {layer.name!r}"
        computed = getattr(layer, "compute_dtype", None)
        if computed is None:
            got = f"the operation {type(layer).__name__}"
            refuse(subject, "be a layer", got, "Use the layer, not the function, where one is.")
        parts = list(_read(subject, layer))
        if not parts:
            continue
        if "float64" in (computed, layer.variable_dtype):
            got = f"dtype={layer.dtype_policy.name!r}"
            remedy = "Parts of Keras round that to 32 bits: build it in float32."
            refuse(subject, "have no 64-bit type", got, remedy)
        is_norm = isinstance(parts[0], Normalise)
        if is_norm and dtype in ("bfloat16", "float16") and computed == "float32":
            # Norms here compute in float32 between layers of 16 bits, too.
            narrow = dtype
        else:
            first = dtype is None and not isinstance(parts[0], Standardise)
            if first or (dtype not in (None, computed) and computed != narrow):
                yield Cast(computed, subject)
            narrow = None
        dtype = computed
        yield from parts


def _read(subject: str, layer: Any) -> Iterator[Operation]:
    """Reads one layer; a class that inherits what a layer computes is one."""
    from .layers import Gate as GateLayer
    from .layers import keras

    layers, call = keras.layers, type(layer).call
    if not type(layer).__call__.__module__.startswith("keras."):
        refuse(subject, "compute what its call does", "a __call__ of its own around it", _APART)
    if call is layers.Dense.call:
        if layer.lora_enabled or layer.quantization_mode:
            got = "lora" if layer.lora_enabled else f"{layer.quantization_mode!r}"
            refuse(subject, "have plain weights", got, "Merge or dequantise them first.")
        yield Affine(_array(layer.kernel), _array(layer.bias), subject)
        yield from _activation(subject, layer.activation)
    elif call is layers.Activation.call:
        yield from _activation(subject, layer.activation)
    elif call is layers.ReLU.call:
        wanted = {(None, 0, 0): "relu", (6, 0, 0): "relu6"}
        settings = ("max_value", "negative_slope", "threshold")
        yield _by_settings(subject, layer, settings, wanted)
    elif call is layers.LeakyReLU.call:
        yield _by_settings(subject, layer, ("negative_slope",), {(0.01,): "leaky_relu"})
    elif call is layers.ELU.call:
        yield _by_settings(subject, layer, ("alpha",), {(1,): "elu"})
    elif call is layers.Softmax.call:
        last = len(layer.output.shape) - 1 if layer.axis == 1 else -1
        yield _by_settings(subject, layer, ("axis",), {(-1,): "softmax", (last,): "softmax"})
    elif call is layers.LayerNormalization.call:
        _require_last_axis(subject, layer)
        if layer.rms_scaling:
            refuse(subject, "be a layer norm", "rms_scaling=True", "RMSNormalization is another.")
        arrays = (_array(layer.gamma), _array(layer.beta))
        yield Normalise("layer", *arrays, layer.epsilon, subject)
    elif call is layers.RMSNormalization.call:
        _require_last_axis(subject, layer)
        if layer.variable_dtype != layer.compute_dtype:
            remedy = f"Give it dtype={layer.variable_dtype!r}."
            refuse(subject, "not round its scale", f"{layer.dtype_policy.name}", remedy)
        yield Normalise("rms", _array(layer.scale), None, layer.epsilon, subject)
    elif call is layers.Dropout.call:
        if layer.noise_shape is not None:
            remedy = "Leave noise_shape out."
            refuse(subject, "drop units apart", f"noise_shape={layer.noise_shape}", remedy)
        yield Dropout(layer.rate, subject)
    elif call is layers.Normalization.call:
        yield _standardise(subject, layer)
    elif call is GateLayer.call:
        yield Gate(layer.gate, subject)
    elif call not in (layers.InputLayer.call, layers.Identity.call, layers.Flatten.call):
        kind = type(layer).__name__
        refuse(subject, _OURS, f"a {kind}", _INSTEAD.get(kind, _APART))


def _activation(subject: str, function: Any) -> Iterator[Operation]:
    from .layers import keras, tanh_gelu

    names = {
        getattr(keras.activations, theirs): ours for ours, theirs in [*ACTIVATIONS.items()][::-1]
    }
    if function is keras.activations.glu:
        yield Gate("glu", subject)
    elif function is tanh_gelu:
        yield Activate("gelu", subject)
    elif function in names:
        yield Activate(names[function], subject)
    else:
        requirement = f"have an activation of {sorted(set(ACTIVATIONS.values()))}"
        got = getattr(function, "__name__", repr(function))
        if function is keras.activations.leaky_relu:
            got = "leaky_relu, whose slope is 0.2"
        refuse(subject, requirement, got, _FUNCTION)


def _by_settings(
    subject: str, layer: Any, settings: tuple[str, ...], known: dict[tuple[Any, ...], str]
) -> Activate:
    values = tuple(getattr(layer, name) for name in settings)
    if values not in known:
        wanted = " or ".join(map(str, known))
        refuse(subject, f"have {', '.join(settings)} = {wanted}", f"{values}", _FUNCTION)
    return Activate(known[values], subject)


def _require_last_axis(subject: str, layer: Any) -> None:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    # Of rows of two axes, say images before they are made flat, axis 1 is another.
    shape = (layer.get_build_config() or {}).get("input_shape", (None, None))
    if list(axes) not in ([-1], [len(shape) - 1]):
        refuse(subject, "act over the features of a row", f"axis={layer.axis}", "Give axis=-1.")


def _standardise(subject: str, layer: Any) -> Standardise:
    from .layers import keras

    if layer.invert:
        refuse(subject, "standardise", "invert=True", "Invert outputs after the network.")
    _require_last_axis(subject, layer)
    mean, variance = (np.ravel(_array(a)) for a in (layer.mean, layer.variance))
    # As it computes it.
    scale = np.maximum(np.sqrt(variance), variance.dtype.type(keras.config.epsilon()))
    return Standardise(mean, scale, subject)


def _array(variable: Any) -> Any:
    from .layers import keras

    if variable is None:
        return None
    # A variable's array, which a norm's statistics are without one.
    return np.array(keras.ops.convert_to_numpy(getattr(variable, "value", variable)))
