"""Formulas of activations and norms as PyTorch, Keras, skl2onnx and we write them down."""

import math

from .matching import LAST, Formula, Hole, X, either, op, product

EPSILON, SCALE, BIAS = (
    Hole("epsilon", "number"),
    Hole("scale", "constant"),
    Hole("bias", "constant"),
)


def _square(z: Formula) -> Formula:
    return either(op("Mul", z, z), op("Pow", z, 2.0))


def _mean(z: Formula) -> Formula:
    return op("ReduceMean", z, axes=LAST)


def _clip(z: Formula, low: float, high: float) -> Formula:
    return either(op("Clip", z, low, high), op("Min", op("Max", z, low), high))


def _softplus_of(z: Formula) -> Formula:
    log1p = op("Log", op("Add", op("Exp", op("Neg", op("Abs", z))), 1.0))
    return either(op("Softplus", z), op("Add", op("Relu", z), log1p))


# As few runtimes have them in float64, the last ways of some are those of our own files.
_below_0 = op("Sub", op("Exp", op("Min", X, 0.0)), 1.0)
_selu = (1.6732632423543772, 1.0507009873554805)
_softplus = _softplus_of(X)
_root = _clip(op("Add", X, 1.0), 0.0, 2.0)
_hard_sigmoid = either(
    op("HardSigmoid", X, alpha=1 / 6, beta=0.5), op("Div", _clip(op("Add", X, 3.0), 0.0, 6.0), 6.0)
)
_relu = either(op("Relu", X), op("Max", X, 0.0), op("Clip", X, 0.0))
_silu = either(op("Mul", X, op("Sigmoid", X)), op("Swish", X))
_cube = either(op("Mul", _square(X), X), op("Pow", X, 3.0))
_gelu_inner = either(
    op("Mul", math.sqrt(2 / math.pi), op("Add", X, op("Mul", 0.044715, _cube))),
    product(math.sqrt(2 / math.pi), X, op("Add", 1.0, op("Mul", 0.044715, _square(X)))),
)
_gelu = either(
    op("Gelu", X, approximate="tanh"), product(X, 0.5, op("Add", op("Tanh", _gelu_inner), 1.0))
)
_erf = op("Erf", either(op("Div", X, math.sqrt(2)), op("Mul", X, math.sqrt(0.5))))
_gelu_exact = either(op("Gelu", X, approximate="none"), product(X, 0.5, op("Add", _erf, 1.0)))
_positive = either(op("Greater", X, 0.0), op("GreaterOrEqual", X, 0.0))
_leaky_relu = either(
    op("LeakyRelu", X, alpha=0.01),
    op("Where", _positive, X, op("Mul", X, 0.01)),
    op("Add", op("Relu", X), op("Mul", op("Min", X, 0.0), 0.01)),
)  # fmt: skip

# The first that fits is taken; some are part of others.
ACTIVATIONS: dict[str, Formula] = {
    "relu": _relu,
    "sigmoid": op("Sigmoid", X),
    "tanh": op("Tanh", X),
    "silu": _silu,
    "gelu": _gelu,
    "gelu_exact": _gelu_exact,
    "leaky_relu": _leaky_relu,
    "elu": either(op("Elu", X, alpha=1.0), op("Add", op("Relu", X), _below_0)),
    "celu": op("Celu", X, alpha=1.0),
    "selu": either(
        op("Selu", X, alpha=_selu[0], gamma=_selu[1]),
        op("Mul", op("Add", op("Relu", X), op("Mul", _below_0, _selu[0])), _selu[1]),
    ),
    "softplus": _softplus,
    "soft_sign": either(op("Softsign", X), op("Div", X, op("Add", op("Abs", X), 1.0))),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": either(op("HardSwish", X), op("Mul", X, _hard_sigmoid)),
    "hard_tanh": _clip(X, -1.0, 1.0),
    "relu6": either(_clip(X, 0.0, 6.0), op("Min", op("Relu", X), 6.0)),
    "mish": either(op("Mish", X), op("Mul", X, op("Tanh", _softplus))),
    "log_sigmoid": either(op("Log", op("Sigmoid", X)), op("Neg", _softplus_of(op("Neg", X)))),
    "sparse_plus": op(
        "Add", op("Mul", op("Mul", _root, _root), 0.25), op("Relu", op("Sub", X, 1.0))
    ),
    "sparse_sigmoid": _clip(op("Mul", op("Add", X, 1.0), 0.5), 0.0, 1.0),
    "squareplus": op("Mul", op("Add", X, op("Sqrt", op("Add", _square(X), 4.0))), 0.5),
    "softmax": op("Softmax", X, axis=LAST),
}
# PyTorch returns z itself above 20, where softplus(z) rounds to z in at most 32 bits.
NARROW_SOFTPLUS = op("Where", op("Greater", X, 20.0), X, _softplus)
# Of the second half, by the gate's name.
GATES = {"glu": op("Sigmoid", X), "reglu": _relu, "geglu": _gelu, "swiglu": _silu}


def _unit(centred: Formula) -> Formula:
    root = op("Sqrt", op("Add", _mean(_square(centred)), EPSILON))
    inverse = either(op("Reciprocal", root), op("Div", 1.0, root))
    return either(op("Div", centred, root), op("Mul", centred, inverse))


def _affine(unit: Formula) -> tuple[Formula, ...]:
    scaled = op("Mul", unit, SCALE)
    return op("Add", scaled, BIAS), scaled, op("Add", unit, BIAS), unit


# By kind; the first that fits has all of its parts.
NORMS: dict[str, tuple[Formula, ...]] = {
    "layer": _affine(_unit(op("Sub", X, _mean(X)))),
    "rms": _affine(_unit(X)),
}
