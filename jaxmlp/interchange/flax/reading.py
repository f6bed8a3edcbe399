"""Turns layers of Flax's, whose arrays are given, into plain operations, or into an error."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..jax_functions import read_function
from ..layer_parts import refuse
from ..operations import (
    AddSkip,
    Affine,
    Cast,
    Dropout,
    Normalise,
    Operation,
    Standardise,
    StartSkip,
)

_OURS = (
    "be one that a network here has: Sequential, a dense layer, LayerNorm, RMSNorm, Dropout, or a "
    "function of jax.nn that is an activation"
)
_APART = (
    "If what it computes is a chain of such layers, give them as a Sequential, with the same "
    "parameters."
)
_INSTEAD = {
    "BatchNorm": "In predictions it is affine: multiply its factors, with rounding, into the dense "
    "layer before it."
}
# Attributes that change what a layer computes, and the values at which they do not.
_PLAIN = {
    "axis_index_groups": (None,),
    "axis_name": (None,),
    "broadcast_dims": ((),),
    "dot_general": (None, jax.lax.dot_general),
    "dot_general_cls": (None,),
    "feature_axes": (-1,),
    "preferred_element_type": (None,),
    "reduction_axes": (-1,),
}


class Layer(NamedTuple):
    """A layer with its arrays by name, as "kernel"; of functions there are none."""

    subject: str
    layer: Any
    arrays: Mapping[str, Any]


def read_layers(layers: Iterator[Layer | StartSkip | AddSkip]) -> Iterator[Operation]:
    """Reads layers, with a cast before each that computes in another type than the one before.

    Args:
        layers: The layers in order, with skips.

    Raises:
        ValueError: One of them is none that a network here has.
    """
    # What flows, and of what flows in place of a type that a cast gives again.
    dtype, narrow = None, None
    for each in layers:
        if not isinstance(each, Layer):
            yield each
            continue
        operation = _read(each)
        match operation:
            case Affine():
                computed = _computed(each.layer, dtype, operation.kernel)
                # The first one computes in its type whatever rows are given.
                if computed != dtype:
                    yield Cast(computed, each.subject)
                dtype, narrow = computed, None
            case Normalise():
                widened, narrow = _normalised(each, dtype), None
                if widened != dtype:
                    narrow, dtype = dtype, widened
            case Standardise():
                dtype = operation.mean.dtype.name
            case Cast():
                # Norms here round to the type that they are given.
                is_rounded = operation.dtype == narrow
                dtype, narrow = operation.dtype, None
                if is_rounded:
                    continue
        yield operation


def promoted(a: str, b: str) -> str:
    """Returns the narrowest type of floats that holds the numbers of two."""
    return (
        a
        if a == b
        else np.promote_types(np.promote_types(jnp.dtype(a), np.float32), jnp.dtype(b)).name
    )


def _read(each: Layer) -> Operation:
    from . import layers
    from .layers import linen, nnx

    subject, layer, arrays = each
    for name, plain in _PLAIN.items():
        value = getattr(layer, name, plain[0])
        if value not in plain:
            refuse(subject, f"have the usual {name}", f"{value!r}", "Leave it at its default.")
    if isinstance(layer, nnx.Module | linen.Module):
        _require_usual_types(subject, layer)
    found = {name: np.array(array) for name, array in arrays.items()}
    # Subclasses may compute something else.
    kind = type(layer)
    if kind in (nnx.Linear, linen.Dense):
        return Affine(found["kernel"], found.get("bias"), subject)
    if kind in (nnx.LayerNorm, linen.LayerNorm):
        scale, bias = found.get("scale"), found.get("bias")
        return Normalise("layer", scale, bias, layer.epsilon, subject)
    if kind in (nnx.RMSNorm, linen.RMSNorm):
        return Normalise("rms", found.get("scale"), None, layer.epsilon, subject)
    if kind in (nnx.Dropout, linen.Dropout):
        if layer.rate == 1:
            refuse(subject, "keep some units", "rate=1.0", "Leave it out.")
        return Dropout(layer.rate, subject)
    if kind in (layers.Standardise, layers.LinenStandardise):
        return Standardise(found["mean"], found["scale"], subject)
    if kind is layers.Cast:
        return Cast(layer.dtype, subject)
    if isinstance(layer, nnx.Module | linen.Module):
        return refuse(subject, _OURS, f"a {kind.__name__}", _INSTEAD.get(kind.__name__, _APART))
    return read_function(subject, layer)


def _require_usual_types(subject: str, layer: Any) -> None:
    """Refuses a function of the user's own that is given arrays before they are used."""
    usual = inspect.signature(type(layer).__init__).parameters.get("promote_dtype")
    if usual is not None and layer.promote_dtype is not usual.default:
        got = f"{layer.promote_dtype!r}"
        refuse(subject, "have the usual promote_dtype", got, "Leave it at its default.")


def _computed(layer: Any, dtype: str | None, array: Any) -> str:
    """The type in which a layer computes: its own, or that which holds all that it is given."""
    if layer.dtype is not None:
        return jnp.dtype(layer.dtype).name
    own = array.dtype.name
    return own if dtype is None else promoted(dtype, own)


def _normalised(each: Layer, dtype: str | None) -> str:
    scale = next((np.asarray(array) for array in each.arrays.values()), np.zeros(0, dtype))
    computed = _computed(each.layer, dtype, scale)
    wide = promoted(computed, "float32")
    if scale.dtype.name != computed != wide:
        remedy = f"Give it dtype={wide!r}, and a function that converts to {computed} after it."
        refuse(each.subject, "not round its scale", f"dtype={computed!r}", remedy)
    return computed
