"""Turns what a value is made from into its shape and sizes, as far as these follow without rows."""

import dataclasses
import math
from typing import Any

import numpy as np
from onnx import TensorProto

from .tensors import FLOATS, array_of

# Longer vectors are no sizes, and shapes of more axes are no rows.
_MAX_SIZES = 16
_FOLDED = {"Cast", "Max", "Reshape", "Sqrt", "Squeeze", "Transpose", "Unsqueeze"}
_ARITHMETIC = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a // b if a >= 0 and b > 0 else None,
}
_LARGEST = 1 << 62
# They keep their first input's shape.
_KEEP_SHAPE = {
    *("BatchNormalization", "Cast", "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish"),
    *("LayerNormalization", "LeakyRelu", "Mish", "RMSNormalization", "Relu", "Scaler", "Selu"),
    *("Sigmoid", "Softmax", "Softplus", "Softsign", "Swish", "Tanh", "Erf", "Abs", "Neg", "Log"),
    *("Dropout", "Identity", "Exp", "Reciprocal", "Sign", "Sqrt"),
}
_BROADCAST = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Greater", "Less"}


@dataclasses.dataclass(eq=False, slots=True)
class Value:
    """What a node makes, or an input or an initializer of the graph.

    `kind` is the operator, "input" or "tensor"; `number` the node's place, `index` which of its
    outputs it is. What is not known is `None`: a type, a shape or an axis of it, and `sizes`, the
    integers of a short vector.
    """

    kind: str
    name: str
    number: int = -1
    index: int = 0
    inputs: tuple["Value | None", ...] = ()
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    dtype: str | None = None
    tensor: TensorProto | None = None
    shape: tuple[int | None, ...] | None = None
    sizes: np.ndarray | None = None
    is_constant: bool = False

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.kind})"

    @property
    def given(self) -> "Value | None":
        """The first input, if there is one."""
        return self.inputs[0] if self.inputs else None


def learn_sizes(value: Value) -> None:
    """Fills in what is known of a new value from what it is made from.

    Args:
        value: Any value but the graph's input.
    """
    if value.tensor is not None:
        value.is_constant = True
        value.shape = tuple(value.tensor.dims)
        if value.dtype not in (*FLOATS, "string") and math.prod(value.shape) <= _MAX_SIZES:
            value.sizes = array_of(value.tensor).astype(object)
        return
    inputs = [each for each in value.inputs if each is not None]
    if inputs and value.kind in _FOLDED:
        value.is_constant = all(each.is_constant for each in inputs)
    if inputs and value.index == 0:
        sizes = _sizes(value, inputs)
        if sizes is not None and sizes.ndim < 2 and sizes.size <= _MAX_SIZES:
            value.sizes = sizes
    shape = _shape(value, inputs) if inputs else None
    if shape is not None and len(shape) <= _MAX_SIZES:
        value.shape = shape


def _sizes(value: Value, inputs: list[Value]) -> np.ndarray | None:
    first = inputs[0]
    if value.kind == "Shape" and not value.attributes and first.shape is not None:
        return _objects(first.shape)
    if value.dtype in FLOATS or any(each.sizes is None for each in inputs):
        return None
    sizes: list[Any] = [each.sizes for each in inputs]
    flat = sizes[0].ravel()
    match value.kind:
        case "Cast" if value.dtype == "int64":
            return sizes[0]
        case "Squeeze" | "Reshape" if flat.size == 1:
            return _objects(flat)[0:1].reshape(() if value.kind == "Squeeze" else (1,))
        case "Unsqueeze" if flat.size == 1:
            return _objects(flat)
        case "Concat" if value.attributes.get("axis") == 0:
            return _objects([each for size in sizes for each in size.ravel()])
        case "Gather" if value.attributes.get("axis", 0) == 0 and len(sizes) == 2:
            index = sizes[1]
            at = index.item() if index.size == 1 else None
            if at is not None and -flat.size <= at < flat.size:
                return _objects([flat[at]]).reshape(index.shape)
        case "Add" | "Sub" | "Mul" | "Div" if len(sizes) == 2 and sizes[1].size in (1, flat.size):
            return _combined(value.kind, sizes)
    return None


def _objects(items: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _combined(kind: str, sizes: list[np.ndarray]) -> np.ndarray | None:
    def combine(a: Any, b: Any) -> Any:
        if a is None or b is None:
            return None
        found = _ARITHMETIC[kind](int(a), int(b))
        return found if found is not None and abs(found) < _LARGEST else None

    pairs = np.broadcast(*sizes)
    return _objects([combine(a, b) for a, b in pairs]).reshape(pairs.shape)


def _shape(value: Value, inputs: list[Value]) -> tuple[int | None, ...] | None:
    first = inputs[0].shape
    second = inputs[1].shape if len(inputs) > 1 else None
    if first is None:
        return None
    kind = value.kind
    if kind in _KEEP_SHAPE:
        return first
    if kind == "Transpose":
        order = value.attributes.get("perm", [*range(len(first))][::-1])
        return (
            tuple(first[axis] for axis in order) if sorted(order) == [*range(len(first))] else None
        )
    if kind == "MatMul" and second is not None and len(second) == 2:
        return (*first[:-1], second[1])
    if kind == "Gemm" and second is not None and len(second) == 2 == len(first):
        return (first[0], second[0 if value.attributes.get("transB") else 1])
    if kind in _BROADCAST and second is not None and len(inputs) == 2:
        return _broadcast(first, second)
    if kind == "ReduceMean" and value.attributes.get("keepdims", 1):
        return (
            (*first[:-1], 1) if value.attributes.get("axes") in ([-1], [len(first) - 1]) else None
        )
    if kind == "Where" and second is not None and len(inputs) == 3:
        both, third = _broadcast(first, second), inputs[2].shape
        return None if both is None or third is None else _broadcast(both, third)
    if kind == "Flatten" and len(first) == 2 and value.attributes.get("axis", 1) in (1, -1):
        return first
    if kind == "Reshape" and len(inputs) == 2 and inputs[1].sizes is not None:
        return _reshaped(first, inputs[1].sizes, value)
    if kind in ("Squeeze", "Unsqueeze") and value.is_constant:
        return _squeezed(kind, first, inputs[1].sizes if len(inputs) > 1 else None)
    if kind in ("Split", "Slice") and (part := part_of(value)) is not None:
        return (*first[:-1], part[1] - part[0])
    return None


def _broadcast(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[int | None, ...] | None:
    length = max(len(a), len(b))
    pairs = zip((1,) * (length - len(a)) + a, (1,) * (length - len(b)) + b, strict=True)
    shape = []
    for x, y in pairs:
        if x != y and 1 not in (x, y):
            return None
        shape.append(y if x == 1 else x)
    return tuple(shape)


def _reshaped(given: tuple[int | None, ...], sizes: np.ndarray, value: Value) -> Any:
    """The shape after a reshape, where axes of no known size stay what they are."""
    target: list[Any] = [*sizes.ravel()]
    if value.attributes.get("allowzero"):
        return None
    target = [
        given[axis] if size == 0 and axis < len(given) else size for axis, size in enumerate(target)
    ]
    if target.count(-1) > 1 or any(size is not None and size < -1 for size in target):
        return None
    if -1 in target:
        known = [size for size in target if size not in (None, -1)]
        rest = [*given]
        for size in (*known, *(None for size in target if size is None)):
            if size not in rest:
                return None
            rest.remove(size)
        if len(rest) != 1:
            return None
        target[target.index(-1)] = rest[0]
    return tuple(target)


def _squeezed(kind: str, given: tuple[int | None, ...], axes: np.ndarray | None) -> Any:
    if axes is None:
        return tuple(s for s in given if s != 1) if kind == "Squeeze" else None
    rank = len(given) + (axes.size if kind == "Unsqueeze" else 0)
    places = {int(axis) % rank for axis in axes.ravel() if axis is not None and rank}
    if kind == "Squeeze":
        return tuple(size for axis, size in enumerate(given) if axis not in places)
    rest = iter(given)
    shape = [1 if axis in places else next(rest, None) for axis in range(rank)]
    return tuple(shape)


def part_of(value: Value) -> tuple[int, int] | None:
    """Begin and end of the features that a `Split` or a `Slice` along the last axis takes."""
    given = None if value.given is None else value.given.shape
    if not given or given[-1] is None:
        return None
    features, last = given[-1], (-1, len(given) - 1)
    others: list[Any] = [
        None if each is None or each.sizes is None else each.sizes.ravel()
        for each in value.inputs[1:]
    ]
    if value.kind == "Split":
        if value.attributes.get("axis", 0) not in last or len(value.inputs) > 2:
            return None
        count = value.attributes["num_outputs"]
        even = [features // count] * count if 0 < count <= _MAX_SIZES else None
        parts = others[0] if others else even
        if parts is None or None in parts or sum(parts) != features or min(parts) < 1:
            return None
        begin = sum(parts[: value.index])
        return (begin, begin + parts[value.index]) if value.index < len(parts) else None
    if value.kind != "Slice" or len(others) < 3 or any(each is None for each in others):
        return None
    if any(each.size != 1 or each[0] is None for each in others) or others[2][0] not in last:
        return None
    if len(others) > 3 and others[3][0] != 1:
        return None
    begin, end = (
        min(max(at + features * (at < 0), 0), features) for at in (others[0][0], others[1][0])
    )
    return (begin, end) if begin < end else None
