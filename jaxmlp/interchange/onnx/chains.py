"""Turns an ONNX model into the list of operations that leads from its rows to its outputs."""

import math

import numpy as np
from onnx import ModelProto

from ..operations import (
    Activate,
    AddSkip,
    Cast,
    Gate,
    Normalise,
    Operation,
    Operations,
    StartSkip,
)
from .folding import Arrays
from .layers import APART, LayerReader, shown
from .matching import Matcher
from .sizes import Value, part_of
from .templates import ACTIVATIONS, GATES, NARROW_SOFTPLUS, NORMS
from .tensors import FLOATS, dtype_of
from .values import Values, refuse, values_of

_OURS = "be a layer of an MLP of ours, or part of one"
# What constants may take in all, as a multiple of the file: layers that share arrays have copies.
_SHARING = 8
# Some milliseconds each, at worst; deep networks have a thousand.
_MAX_OPERATIONS = 5000


def operations_in(model: ModelProto) -> Operations:
    """Finds the operations of a model, with the names of its nodes as labels.

    Args:
        model: A parsed model, of which nothing is believed.

    Raises:
        CheckpointError: It is damaged: see `values_of`.
        ValueError: A node is no part of an MLP of ours.
    """
    values = values_of(model)
    return _Chain(values, Arrays(_SHARING * model.ByteSize() + (1 << 20))).operations()


def _output(values: Values) -> Value:
    """The one output of numbers; a classifier's labels follow from it, and are left out."""
    found = {}
    for name, value in values.outputs.items():
        # A list of dictionaries, one per row, holds the same numbers.
        while value.kind == "ZipMap" and value.given is not None:
            value = value.given
        if value.dtype in FLOATS and not value.is_constant:
            found[name] = value
    if len(found) != 1:
        got = ", ".join(map(repr, list(found)[:20])) or "none"
        remedy = "Take the part that leads to one of them: onnx.utils.extract_model."
        refuse("the graph", "have one output of floating numbers", got, remedy)
    (value,) = found.values()
    return _without_complement(value)


def _without_complement(value: Value) -> Value:
    """The probabilities p of `Concat(1 - p, p)`, as skl2onnx tells those of two classes."""
    if value.kind == "Concat" and len(value.inputs) == 2 and value.attributes == {"axis": 1}:
        other, p = value.inputs
        if other is not None and other.kind == "Sub" and other.inputs[1:] == (p,):
            one = other.inputs[0]
            is_one = one is not None and one.is_constant and one.shape in ((), (1,))
            if one is not None and is_one and p is not None and p.kind == "Sigmoid":
                return p if Arrays(1 << 10).of(one).ravel()[0] == 1 else value
    return value


class _Chain:
    """Walks from the output back to the rows."""

    def __init__(self, values: Values, arrays: Arrays) -> None:
        self.values, self.arrays = values, arrays
        self.matcher = Matcher(arrays, values.rank)
        self.layers = LayerReader(self.matcher, arrays)

    def operations(self) -> Operations:
        value, found = _output(self.values), []
        kept: list[tuple[Value, Value]] = []
        while True:
            if kept and value is kept[-1][0]:
                found.append(StartSkip(kept.pop()[1].name))
                continue
            if value is self.values.rows:
                break
            skip = self._skip(value)
            if skip is not None:
                kept.append((skip[0], value))
                found.append(AddSkip(value.name))
                value = skip[1]
                continue
            operation, value = self._step(value)
            found.append(operation)
            if len(found) > _MAX_OPERATIONS:
                remedy = "Is it a network?"
                refuse("the graph", f"have at most {_MAX_OPERATIONS} operations", "more", remedy)
        if kept:
            remedy = "Networks of ours add what a hidden layer was given to what it returns."
            refuse(kept[-1][1], "add what its other branch came from", "two branches", remedy)
        return tuple(reversed(found))

    def _step(self, value: Value) -> tuple[Operation, Value]:
        """The last operation that leads to a value, and what it is given."""
        readers = (self.layers.affine, self._norm, self._gate, self._activation)
        for read in readers:
            found = read(value)
            if found is not None:
                return found
        front = self.layers.standardise(value, self.values.rows)
        if front is not None:
            return front
        if value.kind == "Cast" and value.dtype in FLOATS and value.given is not None:
            narrow = self._narrow_norm(value)
            if narrow is not None:
                return narrow
            return Cast(value.dtype, value.name), value.given
        settings = {name: shown(setting) for name, setting in value.attributes.items()}
        made_from = [each.name for each in value.inputs if each is not None]
        got = f"{settings or 'no settings'} on {made_from[:20]}"
        remedy = _KERAS_NORM if _sums_squares(value) else _REMEDIES.get(value.kind, APART)
        return refuse(value, _OURS, got, remedy)

    def _skip(self, value: Value) -> tuple[Value, Value] | None:
        """What a sum kept, and what it is added to, if it is a sum of two that rows made."""
        if value.kind != "Add" or value.index or len(value.inputs) != 2:
            return None
        a, b = value.inputs
        if a is None or b is None or a.is_constant or b.is_constant:
            return None
        if self._norm(value) or self._activation(value):
            return None
        # Of two, one came first; rows come before all.
        return (a, b) if a.number < b.number else (b, a)

    def _norm(self, value: Value) -> tuple[Normalise, Value] | None:
        operators = {"LayerNormalization": "layer", "RMSNormalization": "rms"}
        if value.kind in operators and value.index == 0:
            return self._norm_operator(value, operators[value.kind])
        for kind, formulas in NORMS.items():
            for formula in formulas:
                found = self.matcher.first(formula, value)
                if found is not None:
                    epsilon = float(self.arrays.of(found["epsilon"]).ravel()[0])
                    x = found["x"]
                    return self._normalise(value, kind, x, found, epsilon), x
        return None

    def _norm_operator(self, value: Value, kind: str) -> tuple[Normalise, Value] | None:
        settings = {"axis": -1, "epsilon": float(np.float32(1e-5)), "stash_type": 1}
        settings |= value.attributes
        x, others = value.given, value.inputs[1:]
        is_plain = len(settings) == 3 and settings["stash_type"] == 1
        if x is None or x.is_constant or not is_plain or not self.matcher.is_last(settings["axis"]):
            return None
        names = ("scale", "bias")
        found = {n: v for n, v in zip(names, others, strict=False) if v is not None}
        return self._normalise(value, kind, x, found, settings["epsilon"]), x

    def _normalise(
        self, value: Value, kind: str, x: Value, found: dict[str, Value], epsilon: float
    ) -> Normalise:
        features = None if x.shape is None else x.shape[-1]
        if features is None:
            refuse(value, "follow a layer of known width", "another", APART)
        scale, bias = (
            self.layers.row(value, found.get(name), features) for name in ("scale", "bias")
        )
        if value.dtype != "float64":
            # Of all numbers that round to it, the one that was meant.
            epsilon = float(str(np.float32(epsilon)))
        if not 0 < epsilon < math.inf:
            remedy = "Set it to that with which the network was trained; 1e-5 is usual."
            refuse(value, "have a finite epsilon above 0", f"{epsilon}", remedy)
        return Normalise(kind, scale, bias, epsilon, value.name)

    def _narrow_norm(self, value: Value) -> tuple[Operation, Value] | None:
        """A norm of 16 bits that is computed in float32, between two casts."""
        found = None if value.given is None else self._norm(value.given)
        if found is None or value.dtype not in ("bfloat16", "float16"):
            return None
        norm, wide = found
        x = wide.given if wide.kind == "Cast" else None
        if x is None or x.dtype != value.dtype or wide.dtype != "float32":
            return None
        arrays = [norm.scale, norm.bias]
        narrow = [None if a is None else a.astype(dtype_of(value.dtype)) for a in arrays]
        for a, b in zip(arrays, narrow, strict=True):
            if a is not None and b is not None and not np.array_equal(a, b.astype(a.dtype)):
                return None
        return norm._replace(scale=narrow[0], bias=narrow[1]), x

    def _gate(self, value: Value) -> tuple[Operation, Value] | None:
        if value.kind != "Mul" or len(value.inputs) != 2:
            return None
        for first, opened in (value.inputs, value.inputs[::-1]):
            for second in self._halves_beside(first):
                for name, formula in GATES.items():
                    if opened and self.matcher.with_x(formula, opened, second):
                        assert second.given is not None
                        return Gate(name, value.name), second.given
        return None

    def _halves_beside(self, first: Value | None) -> list[Value]:
        """The second halves of what a value is the first half of."""
        whole = None if first is None else first.given
        if first is None or whole is None or first.kind not in ("Split", "Slice"):
            return []
        if whole.shape is None or whole.shape[-1] is None:
            return []
        features = whole.shape[-1]
        if part_of(first) != (0, features // 2) or features % 2:
            return []
        return [
            each
            for each in self.values.parts_of(whole)
            if part_of(each) == (features // 2, features)
        ]

    def _activation(self, value: Value) -> tuple[Operation, Value] | None:
        for name, formula in ACTIVATIONS.items():
            found = self.matcher.first(formula, value)
            if found is not None:
                return Activate(name, value.name), found["x"]
        found = self.matcher.first(NARROW_SOFTPLUS, value)
        if found is not None and value.dtype != "float64":
            return Activate("softplus", value.name), found["x"]
        return None


def _sums_squares(value: Value) -> bool:
    """Whether sums of squares are among the last nodes that lead to a value."""
    todo, seen = [value], {value}
    while todo and len(seen) < _MAX_NORM_NODES:
        new = {each for each in todo.pop(0).inputs if each is not None} - seen
        if any(each.kind == "ReduceSumSquare" for each in new):
            return True
        seen |= new
        todo += new
    return False


# Of a layer norm that jax2onnx wrote.
_MAX_NORM_NODES = 60
_KERAS_NORM = (
    "It is how Keras on JAX writes a layer norm, with sums over shapes that are computed: give the "
    "model itself to jaxmlp.interchange.from_keras."
)
_REMEDIES = {
    "BatchNormalization": (
        "Fold it into the dense layer before it, which rounds the kernel: "
        "torch.nn.utils.fusion.fuse_linear_bn_eval, or onnxruntime's basic optimisations."
    ),
    "LogSoftmax": "Leave it out: outputs are then logits, and losses take these.",
    "Reshape": "Leave it out, or give it sizes that are those of its input.",
    "PRelu": "Slopes that are trained have no place; LeakyRelu of 0.01 has.",
}
