"""Turns a formula into the ways in which a value is computed by it."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from .folding import Arrays
from .sizes import Value
from .tensors import FLOATS

# What an operator's settings are where a node does not tell them.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "Celu": {"alpha": 1.0},
    "Elu": {"alpha": 1.0},
    "Gelu": {"approximate": "none"},
    "HardSigmoid": {"alpha": float(np.float32(0.2)), "beta": 0.5},
    "LeakyRelu": {"alpha": float(np.float32(0.01))},
    "ReduceMean": {"keepdims": 1, "noop_with_empty_axes": 0},
    "Selu": {
        "alpha": float(np.float32(1.67326319217681884765625)),
        "gamma": float(np.float32(1.05070102214813232421875)),
    },
    "Softmax": {"axis": -1},
    "Swish": {"alpha": 1.0},
}
_COMMUTATIVE = {"Add", "Mul", "Max", "Min"}


class Last:
    """The last axis, as an attribute."""


LAST = Last()


@dataclasses.dataclass(frozen=True)
class Hole:
    """What rows become, the same wherever the name stands; or a constant, or one number."""

    name: str
    kind: str = "any"


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """An operator of formulas, with its settings: those that are not told are the defaults."""

    op: str
    inputs: tuple["Formula | None", ...]
    attributes: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Either:
    """One of several formulas."""

    ways: tuple["Formula", ...]


Formula: TypeAlias = Hole | Node | Either | float
Found: TypeAlias = dict[str, Value]
X = Hole("x")


def op(kind: str, *inputs: Formula | None, **attributes: Any) -> Node:
    """An operator applied to formulas; numbers stand for constants."""
    return Node(kind, inputs, attributes)


def either(*ways: Formula) -> Either:
    """One of several formulas."""
    return Either(ways)


def product(*factors: Formula) -> Formula:
    """A product in any order: `Mul` takes two factors, so that there are several trees."""
    if len(factors) == 1:
        return factors[0]
    first, *others = factors
    ways = []
    # The first factor is on the left: operands are tried in both orders anyway.
    for count in range(len(others)):
        for chosen in itertools.combinations(range(len(others)), count):
            left = [others[at] for at in chosen]
            right = [each for at, each in enumerate(others) if at not in chosen]
            ways.append(op("Mul", product(first, *left), product(*right)))
    return either(*ways)


class Matcher:
    """Compares values with formulas.

    Args:
        arrays: For numbers in formulas.
        rank: How many axes rows have.
    """

    def __init__(self, arrays: Arrays, rank: int) -> None:
        self.arrays, self.rank = arrays, rank
        self._numbers: dict[Value, Any] = {}

    def first(self, formula: Formula, value: Value) -> Found | None:
        """What stands for the holes of a formula, if it computes the value."""
        return next(self._ways(formula, value, {}), None)

    def with_x(self, formula: Formula, value: Value, x: Value) -> Found | None:
        """The same, where what stands for `X` is known."""
        return next(self._ways(formula, value, {"x": x}), None)

    def is_last(self, axis: Any) -> bool:
        """Whether an attribute is the number of the last axis."""
        return axis in (-1, self.rank - 1)

    def _ways(self, formula: Formula | None, value: Value | None, found: Found) -> Iterator[Found]:
        match formula:
            case None:
                if value is None:
                    yield found
            case Either():
                for way in formula.ways:
                    yield from self._ways(way, value, found)
            case Hole():
                if value is not None and self._fits(formula, value, found):
                    yield found | {formula.name: value}
            case Node():
                if value is not None and value.kind == formula.op and value.index == 0:
                    yield from self._node_ways(formula, value, found)
            case _:
                if value is not None and self._is_number(value, formula):
                    yield found

    def _fits(self, hole: Hole, value: Value, found: Found) -> bool:
        if hole.name in found:
            return found[hole.name] is value
        size = value.shape is not None and all(axis == 1 for axis in value.shape)
        match hole.kind:
            case "constant":
                return value.is_constant and value.dtype in FLOATS
            case "number":
                return value.is_constant and value.dtype in FLOATS and size
        return not value.is_constant

    def _node_ways(self, formula: Node, value: Value, found: Found) -> Iterator[Found]:
        wanted = _DEFAULTS.get(formula.op, {}) | formula.attributes
        got = _DEFAULTS.get(formula.op, {}) | value.attributes
        if wanted.keys() != got.keys():
            return
        if not all(self._is_same(wanted[name], got[name], value.dtype) for name in wanted):
            return
        inputs = (*value.inputs, *(None,) * (len(formula.inputs) - len(value.inputs)))
        if len(inputs) != len(formula.inputs):
            return
        yield from self._all_ways(formula.inputs, inputs, found)
        if formula.op in _COMMUTATIVE and len(inputs) == 2:
            yield from self._all_ways(formula.inputs, inputs[::-1], found)

    def _all_ways(self, formulas: Any, values: Any, found: Found) -> Iterator[Found]:
        if not formulas:
            yield found
            return
        for way in self._ways(formulas[0], values[0], found):
            yield from self._all_ways(formulas[1:], values[1:], way)

    def _is_same(self, wanted: Any, got: Any, dtype: str | None) -> bool:
        if isinstance(wanted, Last):
            return self.is_last(got[0] if isinstance(got, list) and len(got) == 1 else got)
        if isinstance(wanted, float) and isinstance(got, float):
            # Attributes are float32: in float64 they are another number than most formulas'.
            is_near = dtype != "float64" and np.float32(got) == np.float32(wanted)
            return got == wanted or bool(is_near)
        return got == wanted

    def _is_number(self, value: Value, number: float) -> bool:
        """Whether a value is a number, as it is in the value's type."""
        if not value.is_constant or value.shape is None or any(axis != 1 for axis in value.shape):
            return False
        if len(value.shape) > self.rank:
            return False
        if value not in self._numbers:
            self._numbers[value] = self.arrays.of(value).ravel()[0]
        held = self._numbers[value]
        return bool(held == np.asarray(number).astype(held.dtype))
