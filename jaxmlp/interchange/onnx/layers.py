"""Turns the nodes of a dense layer, or of statistics in front of all, into an operation."""

import math
from typing import Any

import numpy as np

from ..operations import Affine, Standardise
from .folding import Arrays
from .matching import Hole, Matcher, X, op
from .sizes import Value
from .templates import BIAS, SCALE
from .tensors import FLOATS
from .values import refuse

APART = (
    "Import what is before and after it apart (onnx.utils.extract_model), and join the parts in a "
    "function of your own."
)
_MATMUL = op("MatMul", X, Hole("kernel", "constant"))
_MEAN = Hole("mean", "constant")
_STANDARDISATIONS = (
    (op("Div", op("Sub", X, _MEAN), SCALE), ("mean", "scale")),
    (op("Sub", X, _MEAN), ("mean",)),
    (op("Div", X, SCALE), ("scale",)),
)


def shown(setting: Any) -> str:
    """What a node has, cut to a length that a message bears."""
    text = repr(setting)
    return text if len(text) < 100 else f"{text[:100]}..."


class LayerReader:
    """Reads dense layers and standardisations.

    Args:
        matcher: Compares nodes with formulas.
        arrays: Arrays of constants.
    """

    def __init__(self, matcher: Matcher, arrays: Arrays) -> None:
        self.matcher, self.arrays = matcher, arrays

    def affine(self, value: Value) -> tuple[Affine, Value] | None:
        """`Gemm`, or `MatMul`, and an `Add` of the bias; and what the layer is given."""
        if value.kind == "Gemm":
            return self._gemm(value)
        found = self.matcher.first(op("Add", _MATMUL, BIAS), value)
        found = found or self.matcher.first(_MATMUL, value)
        if found is None:
            return self._gemm_and_bias(value)
        kernel = self.arrays.of(found["kernel"])
        if kernel.ndim != 2:
            return None
        bias = self.row(value, found.get("bias"), kernel.shape[1])
        return Affine(kernel, bias, value.name), found["x"]

    def _gemm_and_bias(self, value: Value) -> tuple[Affine, Value] | None:
        """A `Gemm` of two inputs, with the bias added by a node of its own."""
        found = self.matcher.first(op("Add", X, BIAS), value)
        if found is None or found["x"].kind != "Gemm" or len(found["x"].inputs) != 2:
            return None
        affine, x = self._gemm(found["x"])
        bias = self.row(value, found["bias"], affine.kernel.shape[1])
        return affine._replace(bias=bias, label=value.name), x

    def _gemm(self, value: Value) -> tuple[Affine, Value]:
        x, b, *c = (*value.inputs, None, None, None)[:3]
        settings = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | value.attributes
        if len(settings) > 4 or len(value.inputs) > 3 or settings["transA"] or value.index:
            refuse(value, "take rows as they are", shown(settings), APART)
        if x is None or b is None or x.is_constant or not b.is_constant:
            remedy = "Kernels must be initializers or constants."
            refuse(value, "multiply rows by a kernel", "something else", remedy)
        kernel = self.arrays.of(b)
        if kernel.ndim != 2:
            refuse(value, "have a kernel of two axes", f"{kernel.ndim}", APART)
        kernel = kernel.T if settings["transB"] else kernel
        kernel = _scaled(value, "alpha", settings["alpha"], kernel)
        bias = self.row(value, c[0], kernel.shape[1])
        if bias is not None:
            bias = _scaled(value, "beta", settings["beta"], bias)
        return Affine(np.ascontiguousarray(kernel), bias, value.name), x

    def row(self, value: Value, given: Value | None, features: int) -> np.ndarray | None:
        """A vector of one number per feature, which all rows share.

        Args:
            value: Whose it is, for errors.
            given: The constant; `None` gives `None`.
            features: How many numbers it must have, or one.
        """
        if given is None:
            return None
        if given.dtype not in FLOATS or not given.is_constant:
            refuse(value, "add a constant", f"{given}", "Kernels and biases must be initializers.")
        shape = given.shape or ()
        # Numbers along another axis than the last are one per row.
        is_row = {*shape[:-1]} <= {1} and shape[-1:] in ((), (1,), (features,))
        if not is_row or len(shape) > self.matcher.rank:
            remedy = "Is it a number per row, or per pixel?"
            got = f"shape {shape}"
            refuse(value, f"have one number for each of {features} features", got, remedy)
        array = self.arrays.of(given)
        return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (features,)))

    def standardise(self, value: Value, rows: Value) -> tuple[Standardise, Value] | None:
        """`(x - mean) / scale`, or half of it, right behind the rows."""
        if value.kind == "Scaler":
            return _scaler(value)
        for formula, names in _STANDARDISATIONS:
            found = self.matcher.first(formula, value)
            if found is None or found["x"] is not rows:
                continue
            # One feature and statistics of more would be as many features.
            told = rows.shape[-1] if rows.shape else None
            features = told or max(_size(found[name]) for name in names)
            row: dict[str, Any] = {name: self.row(value, found[name], features) for name in names}
            dtype = row[names[0]].dtype
            mean = row.get("mean", np.zeros(features, dtype))
            return Standardise(mean, row.get("scale", np.ones(features, dtype)), value.name), rows
        return None


def _size(given: Value) -> int:
    return math.prod(size or 0 for size in given.shape or ())


def _scaled(value: Value, name: str, factor: float, array: np.ndarray) -> np.ndarray:
    """An array times a factor of a `Gemm`, which must round nothing."""
    if factor == 1:
        return array
    with np.errstate(all="ignore"):
        product = array * np.asarray(factor, array.dtype)
        exact = math.isfinite(factor) and abs(math.frexp(factor)[0]) == 0.5
        exact = exact and np.array_equal(product / np.asarray(factor, array.dtype), array)
    if not exact:
        remedy = f"Multiply the array by {name} yourself, which rounds it, and write 1."
        refuse(value, f"have {name} 1 or a power of two", f"{factor}", remedy)
    return product


def _scaler(value: Value) -> tuple[Standardise, Value] | None:
    """`(x - offset) * scale`, which is a division where `1 / scale` is exact."""
    x = value.given
    offset, scale = (value.attributes.get(name, []) for name in ("offset", "scale"))
    features = max(len(offset), len(scale))
    if x is None or x.is_constant or not {len(offset), len(scale)} <= {1, features}:
        return None
    mean, factor = (
        np.array(each * (features if len(each) == 1 else 1), np.float32) for each in (offset, scale)
    )
    if not (np.abs(np.frexp(factor)[0]) == 0.5).all():
        refuse(
            value, "divide by the deviations, as networks of ours do",
            f"{shown(scale)}, factors, whose inverses are rounded",
            "Export from rows of float64, for which skl2onnx writes Sub and Div; or export the "
            "network alone, and give the scaler's numbers to jaxmlp.with_standardization."
        )  # fmt: skip
    return Standardise(mean, 1 / factor, value.name), x
