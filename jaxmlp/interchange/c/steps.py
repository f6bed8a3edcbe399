"""Turns operations into lines of C that take a row through them, and into constant arrays."""

import math
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np

from ..operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Gate,
    Normalise,
    Operations,
    Standardise,
    StartSkip,
    input_dtype,
    with_types,
)
from .functions import Functions

REALS = {"float32": "float", "float64": "double"}
_DTYPES = {real: dtype for dtype, real in REALS.items()}


def c_number(value: float, real: str) -> str:
    """Writes a number such that C reads just that one, in "float" or "double"."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    mantissa, exponent = float(value).hex().split("p")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}p{exponent}" + ("f" if real == "float" else "")


def c_array(name: str, real: str, rows: Sequence[np.ndarray]) -> str:
    """Writes a constant array of two axes, in numbers that are exact."""
    numbers = [", ".join(c_number(value, real) for value in row.tolist()) for row in rows]
    lines = ("\n".join(textwrap.wrap(row, 99)) for row in numbers)
    body = ",\n".join(f"{{\n{line}}}" for line in lines)
    return f"static const {real} {name}[{len(rows)}][{rows[0].size}] = {{{body}}};\n"


class Steps:
    """Writes the steps of a row through the operations, and collects what they need."""

    def __init__(self, name: str, members: tuple[Operations, ...]) -> None:
        self._name, self._members = name, members
        self.functions = Functions(name)
        self.arrays: list[str] = []
        self.real_in = self.real = REALS[input_dtype(members[0])]
        self._place = "x"
        first = next(each for each in members[0] if isinstance(each, Affine))
        self._size = len(first.kernel)
        self._buffers: dict[str, int] = {}

    @property
    def locals(self) -> str:
        """Declarations of the buffers that a row goes through."""
        return "\n".join(f"  {_real_of(b)} {b}[{n}];" for b, n in self._buffers.items())

    @property
    def stack(self) -> int:
        """Bytes of the buffers."""
        return sum(n * (4 if _real_of(b) == "float" else 8) for b, n in self._buffers.items())

    def _next(self, size: int) -> str:
        """Goes on to the buffer, of two by type, in which the row is not."""
        letter = "b" if self._place.startswith("a_") else "a"
        self._place, self._size = f"{letter}_{self.real}", size
        self._buffers[self._place] = max(size, self._buffers.get(self._place, 0))
        return self._place

    def _array(self, kind: str, at: int, field: str) -> str:
        """Writes an array of all members, and returns that of the one that is computed."""
        arrays = [getattr(members[at], field) for members in self._members]
        if arrays[0] is None:
            return "NULL"
        full = f"{self._name}_{kind}"
        # In the type that flows here, as `jaxmlp.apply` rounds parameters.
        rows = [array.ravel().astype(_DTYPES[self.real]) for array in arrays]
        self.arrays.append(c_array(full, self.real, rows))
        return f"{full}[member]"

    def _loop(self, step: str) -> str:
        return f"for (j = 0; j < {self._size}; j++) {step}"

    def lines(self) -> Iterator[str]:
        """Writes a line per operation."""
        layer, kept = -1, ""
        for at, (_, operation) in enumerate(with_types(self._members[0])):
            h = self._place
            match operation:
                case Standardise():
                    mean, scale = self._array("mean", at, "mean"), self._array("scale", at, "scale")
                    out = self._next(self._size)
                    yield self._loop(f"{out}[j] = (x[j] - {mean}[j]) / {scale}[j];")
                case Cast(target):
                    self.real = REALS[target]
                    out = self._next(self._size)
                    yield self._loop(f"{out}[j] = ({self.real}){h}[j];")
                case Affine(kernel, bias):
                    layer += 1
                    arrays = [self._array(f"kernel_{layer}", at, "kernel")]
                    if bias is not None:
                        arrays.append(self._array(f"bias_{layer}", at, "bias"))
                    fan_in, fan_out = kernel.shape
                    function = self.functions.dense(
                        fan_in, fan_out, self.real, has_bias=bias is not None
                    )
                    yield f"{function}({', '.join([*arrays, h, self._next(fan_out)])});"
                case Normalise(kind, _, _, epsilon):
                    scale = self._array(f"norm_scale_{layer}", at, "scale")
                    bias = self._array(f"norm_bias_{layer}", at, "bias")
                    # Beyond the range of the type it is 0 or infinite, as in JAX.
                    with np.errstate(over="ignore"):
                        number = c_number(float(np.array(epsilon, _DTYPES[self.real])), self.real)
                    arguments = f"{int(kind == 'layer')}, {self._size}, {number}, {scale}, {bias}"
                    yield f"{self.functions.of_rows('norm', self.real)}({arguments}, {h});"
                case Activate("softmax"):
                    function = self.functions.of_rows("softmax", self.real)
                    yield f"{function}({self._size}, {h});"
                case Activate(name):
                    function = self.functions.activation(name, self.real)
                    yield self._loop(f"{h}[j] = {function}({h}[j]);")
                case Gate(name):
                    self._size //= 2
                    gate = self.functions.activation(name, self.real)
                    yield self._loop(f"{h}[j] *= {gate}({h}[j + {self._size}]);")
                case StartSkip():
                    kept = h
                case AddSkip():
                    yield self._loop(f"{h}[j] += {kept}[j];")
        yield self._loop(f"outputs[j] = {self._place}[j];")


def _real_of(buffer: str) -> str:
    return buffer.partition("_")[2]
