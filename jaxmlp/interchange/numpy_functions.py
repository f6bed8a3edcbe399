"""Turns net inputs into activations in NumPy; `to_numpy` copies the functions that it needs.

Each computes in the type of its argument and overflows nowhere that its result does not.
"""

import math

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[float])


def identity(z):
    """Computes z."""
    return z


def relu(z):
    """Computes max(z, 0)."""
    return np.maximum(z, 0)


def relu6(z):
    """Computes min(max(z, 0), 6)."""
    return np.clip(z, 0, 6)


def leaky_relu(z):
    """Computes z, or 0.01 z below 0."""
    return np.where(z > 0, z, 0.01 * z)


def elu(z):
    """Computes z, or exp(z) - 1 below 0."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def selu(z):
    """Computes scale * (z, or alpha (exp(z) - 1) below 0)."""
    return 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * elu(np.minimum(z, 0)))


def sigmoid(z):
    """Computes 1 / (1 + exp(-z))."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, small) / (1 + small)


def softplus(z):
    """Computes log(1 + exp(z))."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def log_sigmoid(z):
    """Computes -log(1 + exp(-z))."""
    return -softplus(-z)


def silu(z):
    """Computes z sigmoid(z)."""
    return z * sigmoid(z)


def mish(z):
    """Computes z tanh(softplus(z))."""
    return z * np.tanh(softplus(z))


def gelu(z):
    """Computes the tanh approximation of z Phi(z)."""
    return 0.5 * z * (1 + np.tanh(0.7978845608028654 * (z + 0.044715 * z * z * z)))


def gelu_exact(z):
    """Computes z Phi(z)."""
    return 0.5 * z * _erfc(-0.7071067811865476 * z).astype(z.dtype)


def hard_sigmoid(z):
    """Computes min(max(z + 3, 0), 6) / 6."""
    return np.clip(z + 3, 0, 6) / 6


def hard_silu(z):
    """Computes z hard_sigmoid(z)."""
    return z * hard_sigmoid(z)


def hard_tanh(z):
    """Computes min(max(z, -1), 1)."""
    return np.clip(z, -1, 1)


def soft_sign(z):
    """Computes z / (1 + |z|)."""
    return z / (1 + np.abs(z))


def sparse_plus(z):
    """Computes 0 up to -1, z from 1, (z + 1)^2 / 4 between."""
    return np.where(z <= -1, 0, np.where(z >= 1, z, (z + 1) * (z + 1) / 4))


def sparse_sigmoid(z):
    """Computes 0 up to -1, 1 from 1, and (z + 1) / 2 between."""
    return np.clip(z + 1, 0, 2) / 2


def squareplus(z):
    """Computes (z + sqrt(z^2 + 4)) / 2."""
    return 0.5 * (z + np.sqrt(z * z + 4))


def tanh(z):
    """Computes the hyperbolic tangent."""
    return np.tanh(z)


def softmax(z):
    """Computes exp(z) / sum(exp(z)) over features."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def layer_norm(z, epsilon):
    """Gives mean 0 and variance 1 over features."""
    centred = z - z.sum(axis=-1, keepdims=True) / z.shape[-1]
    return rms_norm(centred, epsilon)


def rms_norm(z, epsilon):
    """Gives mean square 1 over features."""
    mean_square = (z * z).sum(axis=-1, keepdims=True) / z.shape[-1]
    return z / np.sqrt(mean_square + z.dtype.type(epsilon))


def gated(z, gate):
    """Computes the first half of the features times the gate of the second."""
    half = z.shape[-1] // 2
    return z[..., :half] * gate(z[..., half:])
