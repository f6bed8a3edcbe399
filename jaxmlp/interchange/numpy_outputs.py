"""Turns a list of plain operations into a function in NumPy that computes them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from . import numpy_functions
from .operations import (
    Activate,
    AddSkip,
    Affine,
    Gate,
    Normalise,
    Operation,
    Operations,
    Standardise,
    StartSkip,
)

Step: TypeAlias = Callable[[Any], Any]

# Other names of the same functions.
ALIASES = {"celu": "elu", "hard_swish": "hard_silu", "swish": "silu"}
GATES = {"geglu": "gelu", "glu": "sigmoid", "reglu": "relu", "swiglu": "silu"}


def numpy_function(
    operations: Operations, dtype: str
) -> Callable[[Any], Float[np.ndarray, "rows out_features"]]:
    """Prepares what computes operations in one type throughout, as what `to_numpy` writes does.

    Args:
        operations: The operations; what rounds to other types, and dropout, is left out.
        dtype: "float32" or "float64".

    Returns:
        A function from rows, shape (rows, in_features), which it casts, to outputs in an array of
        their own, shape (rows, out_features). Threads may share it.
    """
    number = np.dtype(dtype)
    steps = tuple(_steps(iter(operations), number))

    def outputs(
        x: Float[np.ndarray, "rows in_features"],
    ) -> Float[np.ndarray, "rows out_features"]:
        # Sums depend on how rows lie in memory.
        h = np.ascontiguousarray(x, number)
        with np.errstate(all="ignore"):
            for step in steps:
                h = step(h)
        return h

    return outputs


def _steps(operations: Iterator[Operation], dtype: np.dtype) -> Iterator[Step]:
    """Gives a function for each operation up to an `AddSkip` without its `StartSkip`."""

    def typed(array: Any) -> Any:
        return None if array is None else array.astype(dtype, copy=False)

    for operation in operations:
        match operation:
            case Standardise(mean, scale):
                yield _standardised(typed(mean), typed(scale))
            case Affine(kernel, bias):
                yield _affine(typed(kernel), typed(bias))
            case Normalise(kind, scale, bias, epsilon):
                unit = getattr(numpy_functions, f"{kind}_norm")
                yield _normalised(unit, epsilon, typed(scale), typed(bias))
            case Activate(name):
                yield getattr(numpy_functions, ALIASES.get(name, name))
            case Gate(name):
                yield _gated(getattr(numpy_functions, GATES[name]))
            case StartSkip():
                yield _skipping(tuple(_steps(operations, dtype)))
            case AddSkip():
                return


def _standardised(mean: Any, scale: Any) -> Step:
    return lambda h: (h - mean) / scale


def _affine(kernel: Any, bias: Any) -> Step:
    if bias is None:
        return lambda h: h @ kernel

    def affine(h: Any) -> Any:
        z = h @ kernel
        z += bias
        return z

    return affine


def _normalised(unit: Callable[[Any, float], Any], epsilon: float, scale: Any, bias: Any) -> Step:
    def normalised(h: Any) -> Any:
        h = unit(h, epsilon)
        h = h if scale is None else h * scale
        return h if bias is None else h + bias

    return normalised


def _gated(gate: Step) -> Step:
    return lambda h: numpy_functions.gated(h, gate)


def _skipping(steps: tuple[Step, ...]) -> Step:
    def skipping(kept: Any) -> Any:
        h = kept
        for step in steps:
            h = step(h)
        return kept + h

    return skipping
