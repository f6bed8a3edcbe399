"""An independent oracle in float64 NumPy: forward by the definitions, backward by the chain rule.

It shares no code with jaxmlp and does not import JAX. `params` and `config` are read by attribute;
gradients have the type of the parameters.
"""

import math
from typing import NamedTuple

import numpy as np

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
GELU_CUBIC = 0.044715

_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(z):
    # Only exp of a negative number, so nothing overflows.
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def softplus(z):
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _elu(z):
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def _elu_slope(z):
    return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0)))


def _gelu_tanh(z):
    return np.tanh(np.sqrt(2 / np.pi) * (z + GELU_CUBIC * z**3))


def _gelu(z):
    return 0.5 * z * (1 + _gelu_tanh(z))


def _gelu_slope(z):
    t = _gelu_tanh(z)
    inner_slope = np.sqrt(2 / np.pi) * (1 + 3 * GELU_CUBIC * z**2)
    return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * inner_slope


def _normal_cdf(z):
    return 0.5 * (1 + _erf(z / np.sqrt(2)))


def _gelu_exact_slope(z):
    return _normal_cdf(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _hard_sigmoid(z):
    return np.clip((z + 3) / 6, 0, 1)


def _hard_silu_slope(z):
    return np.where(np.abs(z) < 3, (2 * z + 3) / 6, np.where(z > 0, 1.0, 0.0))


def _mish_slope(z):
    t = np.tanh(softplus(z))
    return t + z * (1 - t**2) * sigmoid(z)


def _silu_slope(z):
    s = sigmoid(z)
    return s + z * s * (1 - s)


def _sparse_plus(z):
    return np.where(z <= -1, 0.0, np.where(z >= 1, z, (z + 1) ** 2 / 4))


def _sparse_sigmoid(z):
    return np.clip((z + 1) / 2, 0, 1)


class Elementwise(NamedTuple):
    """An activation, its derivative, and the points where the derivative jumps."""

    value: object
    slope: object
    kinks: tuple[float, ...] = ()


_ELU = Elementwise(_elu, _elu_slope)
_GELU = Elementwise(_gelu, _gelu_slope)
_HARD_SILU = Elementwise(lambda z: z * _hard_sigmoid(z), _hard_silu_slope, (-3.0, 3.0))
_RELU = Elementwise(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0), (0.0,))
_SIGMOID = Elementwise(sigmoid, lambda z: sigmoid(z) * sigmoid(-z))
_SILU = Elementwise(lambda z: z * sigmoid(z), _silu_slope)

ELEMENTWISE = {
    "celu": _ELU,
    "elu": _ELU,
    "gelu": _GELU,
    "gelu_exact": Elementwise(lambda z: z * _normal_cdf(z), _gelu_exact_slope),
    "hard_sigmoid": Elementwise(_hard_sigmoid, lambda z: (np.abs(z) < 3) / 6, (-3.0, 3.0)),
    "hard_silu": _HARD_SILU,
    "hard_swish": _HARD_SILU,
    "hard_tanh": Elementwise(
        lambda z: np.clip(z, -1, 1), lambda z: 1.0 * (np.abs(z) < 1), (-1.0, 1.0)
    ),
    "identity": Elementwise(lambda z: z, np.ones_like),
    "leaky_relu": Elementwise(
        lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01), (0.0,)
    ),
    "log_sigmoid": Elementwise(lambda z: -softplus(-z), lambda z: sigmoid(-z)),
    "mish": Elementwise(lambda z: z * np.tanh(softplus(z)), _mish_slope),
    "relu": _RELU,
    "relu6": Elementwise(
        lambda z: np.clip(z, 0, 6), lambda z: 1.0 * ((z > 0) & (z < 6)), (0.0, 6.0)
    ),
    "selu": Elementwise(
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0))),
        (0.0,),
    ),
    "sigmoid": _SIGMOID,
    "silu": _SILU,
    "soft_sign": Elementwise(lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2.0),
    "softplus": Elementwise(softplus, sigmoid),
    "sparse_plus": Elementwise(_sparse_plus, _sparse_sigmoid),
    "sparse_sigmoid": Elementwise(
        _sparse_sigmoid, lambda z: 0.5 * (np.abs(z) < 1), (-1.0, 1.0)
    ),
    "squareplus": Elementwise(
        lambda z: (z + np.sqrt(z**2 + 4)) / 2, lambda z: (1 + z / np.sqrt(z**2 + 4)) / 2
    ),
    "swish": _SILU,
    "tanh": Elementwise(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
}  # fmt: skip

GATES = {"geglu": _GELU, "glu": _SIGMOID, "reglu": _RELU, "swiglu": _SILU}


def activate(name, z):
    if name == "softmax":
        exponentials = np.exp(z - z.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)
    if name in GATES:
        value, gate_input = np.split(z, 2, axis=-1)
        return value * GATES[name].value(gate_input)
    return ELEMENTWISE[name].value(z)


def activate_backward(name, z, d_a):
    """Gradient with respect to z, given that with respect to the activation."""
    if name == "softmax":
        p = activate("softmax", z)
        return p * (d_a - np.sum(d_a * p, axis=-1, keepdims=True))
    if name in GATES:
        value, gate_input = np.split(z, 2, axis=-1)
        d_value = d_a * GATES[name].value(gate_input)
        d_gate_input = d_a * value * GATES[name].slope(gate_input)
        return np.concatenate([d_value, d_gate_input], axis=-1)
    return d_a * ELEMENTWISE[name].slope(z)


def _standardise(config, z):
    """Net inputs without mean (layer norm only) and of unit mean square, and the factor used."""
    centred = z - z.mean(axis=-1, keepdims=True) if config.norm == "layer" else z
    factor = 1 / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + config.norm_epsilon)
    return centred * factor, factor


def _normalise(norm, config, z):
    if norm is None:
        return z
    unit, _ = _standardise(config, z)
    return unit * norm.scale + (0 if norm.bias is None else norm.bias)


def _normalise_backward(norm, config, z, d_y):
    """Gradients with respect to the norm's parameters and to z."""
    if norm is None:
        return None, d_y
    unit, factor = _standardise(config, z)
    d_norm = norm._replace(scale=_sum_rows(d_y * unit))
    if norm.bias is not None:
        d_norm = d_norm._replace(bias=_sum_rows(d_y))
    d_unit = d_y * norm.scale
    d_z = d_unit - unit * np.mean(d_unit * unit, axis=-1, keepdims=True)
    if config.norm == "layer":
        d_z = d_z - d_unit.mean(axis=-1, keepdims=True)
    return d_norm, factor * d_z


class LayerTrace(NamedTuple):
    """A layer's input h, net input z, and activation a (for the output layer: the outputs)."""

    inputs: np.ndarray
    net_input: np.ndarray
    activation: np.ndarray


def _names(params, config):
    if isinstance(config.activation, tuple):
        return config.activation
    return (config.activation,) * len(params.hidden)


def _affine(dense, h):
    return h @ dense.kernel + (0 if dense.bias is None else dense.bias)


def trace(params, x, config):
    """All layers, without dropout."""
    layers = []
    h = x
    for index, (dense, name) in enumerate(zip(params.hidden, _names(params, config), strict=True)):
        z = _affine(dense, h)
        a = activate(name, _normalise(dense.norm, config, z))
        layers.append(LayerTrace(h, z, a))
        h = h + a if config.residual and index > 0 else a
    z = _affine(params.output, h)
    layers.append(LayerTrace(h, z, activate(config.output_activation or "identity", z)))
    return layers


def forward(params, x, config):
    return trace(params, x, config)[-1].activation


def backward(params, x, config, d_outputs):
    """Gradient with respect to all parameters, given that with respect to the outputs."""
    *hidden_layers, output_layer = trace(params, x, config)
    name = config.output_activation or "identity"
    d_z = activate_backward(name, output_layer.net_input, d_outputs)
    d_output, d_h = _affine_backward(params.output, output_layer.inputs, d_z)
    d_hidden = []
    names = _names(params, config)
    for index in reversed(range(len(params.hidden))):
        dense, layer = params.hidden[index], hidden_layers[index]
        y = _normalise(dense.norm, config, layer.net_input)
        d_y = activate_backward(names[index], y, d_h)
        d_norm, d_z = _normalise_backward(dense.norm, config, layer.net_input, d_y)
        d_dense, d_inputs = _affine_backward(dense, layer.inputs, d_z)
        d_hidden.insert(0, d_dense._replace(norm=d_norm))
        d_h = d_h + d_inputs if config.residual and index > 0 else d_inputs
    return params._replace(hidden=tuple(d_hidden), output=d_output)


def _affine_backward(dense, h, d_z):
    """Gradients with respect to kernel and bias, and to the layer's input."""
    d_kernel = h.reshape(-1, h.shape[-1]).T @ d_z.reshape(-1, d_z.shape[-1])
    d_bias = None if dense.bias is None else _sum_rows(d_z)
    return dense._replace(kernel=d_kernel, bias=d_bias, norm=None), d_z @ dense.kernel.T


def _sum_rows(a):
    return a.reshape(-1, a.shape[-1]).sum(axis=0)


def map_leaves(function, *trees):
    """Applies a function to the arrays of trees of (named) tuples, leaving None alone."""
    first = trees[0]
    if first is None:
        return None
    if isinstance(first, tuple):
        parts = [map_leaves(function, *children) for children in zip(*trees, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    return function(*trees)


def random_like(shapes, seed):
    """Parameters without a special value: no bias is zero and no scale is one."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        if len(leaf.shape) == 2:
            return rng.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])
        return rng.uniform(0.5, 1.5, size=leaf.shape)

    return map_leaves(draw, shapes)


def assert_close(got, wanted, rtol):
    """Compares trees, each array's error relative to the largest entry wanted in that array."""

    def compare(a, b):
        scale = np.abs(b).max(initial=0.0)
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=0, atol=rtol * scale)

    map_leaves(compare, got, wanted)
