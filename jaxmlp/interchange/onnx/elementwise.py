"""Turns the name of an activation, and a node's output, into nodes that compute it.

What ONNX has as an operator is written as one, settings included, where every opset from 13 on has
it and runtimes have it in the type. Attributes are float32 and few runtimes have the operators in
float64, so that there all is written out, with constants of 64 bits. `Gelu` is used from opset 20.
"""

import functools
import math

from .node_list import NodeList

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946
# Cody 1969, "Rational Chebyshev approximations for the error function", highest power first.
# erf(z) = z P(z**2) / Q(z**2) for |z| <= 0.46875.
_NEAR_P = (
    *(1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2),
    *(3.77485237685302021e2, 3.20937758913846947e3),
)
_NEAR_Q = (
    *(1.0, 2.36012909523441209e1, 2.44024637934444173e2),
    *(1.28261652607737228e3, 2.84423683343917062e3),
)
# 1 - erf(z) = exp(-z**2) P(z) / Q(z) for 0.46875 <= z <= 4, and beyond to an absolute error of eps.
_FAR_P = (
    *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594),
    *(6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2),
    *(1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
)
_FAR_Q = (
    *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2),
    *(1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3),
    *(3.43936767414372164e3, 1.23033935480374942e3),
)
# Beyond it erf is 1 in float64.
_FAR_END = 6.0
_NEAR_END = 0.46875


class _Formulas:
    """Nodes of formulas in one type; every method takes and returns names of outputs."""

    def __init__(self, nodes: NodeList, dtype: str) -> None:
        self.nodes, self.dtype = nodes, dtype
        self.is_wide = dtype == "float64"
        self.add = nodes.add

    def number(self, value: float) -> str:
        return self.nodes.constant(value, self.dtype)

    def clip(self, z: str, low: float, high: float) -> str:
        return self.add("Clip", z, self.number(low), self.number(high))

    def expm1_below_0(self, z: str) -> str:
        below = self.add("Min", z, self.number(0.0))
        return self.add("Sub", self.add("Exp", below), self.number(1.0))

    def elu(self, z: str) -> str:
        if not self.is_wide:
            return self.add("Elu", z, alpha=1.0)
        return self.add("Add", self.add("Relu", z), self.expm1_below_0(z))

    def selu(self, z: str) -> str:
        if not self.is_wide:
            return self.add("Selu", z, alpha=_SELU_ALPHA, gamma=_SELU_SCALE)
        below = self.add("Mul", self.number(_SELU_ALPHA), self.expm1_below_0(z))
        return self.add(
            "Mul", self.number(_SELU_SCALE), self.add("Add", self.add("Relu", z), below)
        )

    def leaky_relu(self, z: str) -> str:
        if not self.is_wide:
            return self.add("LeakyRelu", z, alpha=0.01)
        below = self.add("Mul", self.number(0.01), self.add("Min", z, self.number(0.0)))
        return self.add("Add", self.add("Relu", z), below)

    def hard_sigmoid(self, z: str) -> str:
        if not self.is_wide:
            return self.add("HardSigmoid", z, alpha=1 / 6, beta=0.5)
        moved = self.clip(self.add("Add", z, self.number(3.0)), 0.0, 6.0)
        return self.add("Div", moved, self.number(6.0))

    def hard_silu(self, z: str) -> str:
        return self.add("Mul", z, self.hard_sigmoid(z))

    def silu(self, z: str) -> str:
        return self.add("Mul", z, self.add("Sigmoid", z))

    def softplus(self, z: str) -> str:
        if not self.is_wide:
            return self.add("Softplus", z)
        # max(z, 0) + log(1 + exp(-|z|)) overflows nowhere.
        small = self.add("Exp", self.add("Neg", self.add("Abs", z)))
        above = self.add("Log", self.add("Add", small, self.number(1.0)))
        return self.add("Add", self.add("Relu", z), above)

    def log_sigmoid(self, z: str) -> str:
        return self.add("Neg", self.softplus(self.add("Neg", z)))

    def mish(self, z: str) -> str:
        return self.add("Mul", z, self.add("Tanh", self.softplus(z)))

    def soft_sign(self, z: str) -> str:
        return self.add("Div", z, self.add("Add", self.add("Abs", z), self.number(1.0)))

    def sparse_plus(self, z: str) -> str:
        # clip(z + 1, 0, 2)**2 / 4 + max(z - 1, 0)
        root = self.clip(self.add("Add", z, self.number(1.0)), 0.0, 2.0)
        curve = self.add("Mul", self.add("Mul", root, root), self.number(0.25))
        line = self.add("Relu", self.add("Sub", z, self.number(1.0)))
        return self.add("Add", curve, line)

    def sparse_sigmoid(self, z: str) -> str:
        half = self.add("Mul", self.add("Add", z, self.number(1.0)), self.number(0.5))
        return self.clip(half, 0.0, 1.0)

    def squareplus(self, z: str) -> str:
        square = self.add("Add", self.add("Mul", z, z), self.number(4.0))
        return self.add("Mul", self.add("Add", z, self.add("Sqrt", square)), self.number(0.5))

    def gelu(self, z: str) -> str:
        if self.nodes.opset >= 20 and not self.is_wide:
            return self.add("Gelu", z, approximate="tanh")
        cubic = self.add("Mul", self.add("Mul", self.add("Mul", z, z), z), self.number(0.044715))
        scale = self.number(math.sqrt(2 / math.pi))
        inner = self.add("Mul", scale, self.add("Add", z, cubic))
        return self.half_of(z, self.add("Tanh", inner))

    def gelu_exact(self, z: str) -> str:
        if self.nodes.opset >= 20 and not self.is_wide:
            return self.add("Gelu", z, approximate="none")
        inner = self.add("Div", z, self.number(math.sqrt(2)))
        return self.half_of(z, self.erf(inner) if self.is_wide else self.add("Erf", inner))

    def half_of(self, z: str, one_more: str) -> str:
        """`z / 2 * (one_more + 1)`."""
        factor = self.add("Add", one_more, self.number(1.0))
        return self.add("Mul", self.add("Mul", z, self.number(0.5)), factor)

    def erf(self, z: str) -> str:
        size = self.add("Abs", z)
        near_z = self.add("Min", size, self.number(_NEAR_END))
        square = self.add("Mul", near_z, near_z)
        ratio = self.add("Div", self.polynomial(square, _NEAR_P), self.polynomial(square, _NEAR_Q))
        near = self.add("Mul", near_z, ratio)
        far_z = self.clip(size, _NEAR_END, _FAR_END)
        ratio = self.add("Div", self.polynomial(far_z, _FAR_P), self.polynomial(far_z, _FAR_Q))
        decay = self.add("Exp", self.add("Neg", self.add("Mul", far_z, far_z)))
        far = self.add("Sub", self.number(1.0), self.add("Mul", decay, ratio))
        is_near = self.add("Less", size, self.number(_NEAR_END))
        return self.add("Mul", self.add("Sign", z), self.add("Where", is_near, near, far))

    def polynomial(self, z: str, coefficients: tuple[float, ...]) -> str:
        """Horner's rule, the highest power first."""
        first, *others = map(self.number, coefficients)
        return functools.reduce(
            lambda value, other: self.add("Add", self.add("Mul", value, z), other), others, first
        )

    def apply(self, name: str, z: str) -> str:
        match name:
            case "identity":
                return z
            case "relu" | "sigmoid" | "tanh":
                return self.add(name.capitalize(), z)
            case "softmax":
                return self.add("Softmax", z, axis=-1)
            case "relu6":
                return self.clip(z, 0.0, 6.0)
            case "hard_tanh":
                return self.clip(z, -1.0, 1.0)
        same = {"celu": "elu", "swish": "silu", "hard_swish": "hard_silu"}
        return getattr(self, same.get(name, name))(z)


def activated(nodes: NodeList, name: str, z: str, dtype: str) -> str:
    """Appends the nodes of an activation, and returns the name of its output.

    Args:
        nodes: Where they go.
        name: One of our elementwise activations, or "softmax" over the last axis.
        z: Name of what it acts on.
        dtype: Type of `z`: float16, float32 or float64.
    """
    return _Formulas(nodes, dtype).apply(name, z)
