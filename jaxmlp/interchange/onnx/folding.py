"""Turns constant values of a graph into arrays, within a budget.

A small file may name one array in thousands of layers, each of which has a copy.
"""

import functools

import numpy as np

from ...storage import CheckpointError
from .sizes import Value
from .tensors import FLOATS, array_of, dtype_of

# What a step counts beside its bytes, since it takes time.
_STEP = 256


class Arrays:
    """Arrays of constant values.

    Args:
        budget: How many bytes may be made in all.
    """

    def __init__(self, budget: int) -> None:
        self.left = budget

    def of(self, value: Value) -> np.ndarray:
        """Returns a constant's numbers.

        Raises:
            CheckpointError: They are more than the budget allows, or do not fit their shape.
        """
        steps = []
        while value.tensor is None:
            steps.append(value)
            assert value.given is not None
            value = value.given
        self._spend(value.tensor.ByteSize() + _STEP)
        array = array_of(value.tensor)
        for step in reversed(steps):
            self._spend(array.nbytes + _STEP)
            try:
                array = self._folded(step, array)
            except (ValueError, TypeError) as error:
                raise CheckpointError(f"{step} cannot be computed: {error}.") from None
        return array

    def _folded(self, step: Value, array: np.ndarray) -> np.ndarray:
        if step.kind == "Cast":
            if step.dtype not in FLOATS:
                raise TypeError(f"no weight is {step.dtype}")
            with np.errstate(over="ignore"):
                return array.astype(dtype_of(step.dtype).newbyteorder("="))
        if step.kind == "Transpose":
            return array.transpose(step.attributes.get("perm"))
        if step.kind == "Sqrt":
            with np.errstate(invalid="ignore"):
                return np.sqrt(array)
        if step.kind == "Max":
            others = [
                each for each in step.inputs[1:] if each is not None and each.tensor is not None
            ]
            if len(others) + 1 < len(step.inputs) or any(
                self._is_unlike(each, array) for each in others
            ):
                raise ValueError("its constants are not of one type, and of one shape or a number")
            return functools.reduce(np.maximum, map(self.of, others), array)
        if step.shape is None or None in step.shape:
            raise ValueError("its shape is not told")
        return array.reshape([size for size in step.shape if size is not None])

    def _is_unlike(self, other: Value, array: np.ndarray) -> bool:
        return other.dtype != array.dtype.name or other.shape not in ((), array.shape)

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise CheckpointError(
                "its layers must have arrays of their own; they share some so often that they "
                "would take several times the memory of the file."
            )
