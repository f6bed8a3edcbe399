"""Turns a key into the arrays of a layer, by as few programs as can be."""

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.nn import initializers
from jaxtyping import Array, Float, Int, Key

from .types import Dense, Norm

# Sizes that programs are rounded up to.
_SIZES = tuple(4**power for power in range(6, 11))


class Law(NamedTuple):
    """How the numbers of a layer are drawn.

    The kernel "uniform" in [-1, 1), "normal" truncated at two, or "orthogonal", times a factor, in
    the type that is drawn, and a scale, in that of the parameters; the bias uniform within its
    bound, or 0 where that is 0. `None` says that no layer of the network draws a bias.
    """

    draw: str
    factor: np.floating
    scale: np.generic
    bias_bound: np.floating | None


def draw_dense(
    key: Key[Array, ""],
    index: int,
    law: Law,
    shape: tuple[int, int],
    *,
    use_bias: bool,
    norm: str | None,
    size: int,
) -> Dense:
    """Draws a layer from `fold_in(key, index)`.

    Args:
        key: That of the network.
        index: Number of the layer.
        law: How it is drawn.
        shape: Of the kernel.
        use_bias: Whether there are biases.
        norm: Kind of normalisation, if there is one.
        size: What `shared_size` says of the network.
    """
    numbers = (key, np.int32(index), law.factor, law.scale)
    bound = law.bias_bound if use_bias else None
    drawn = None
    if math.prod(shape) <= size and law.draw != "orthogonal":
        drawn = _draw_flat(*numbers, bound, draw=law.draw, kernel_shape=(size,), width=size)
    # Within a program that is traced, more would be drawn than it needs.
    if drawn is None or isinstance(drawn[0], Tracer):
        bound = bound if bound else None
        layer = {"shape": shape, "use_bias": use_bias, "norm": norm}
        return _draw_shaped(*numbers, bound, draw=law.draw, **layer)
    kernel, bias = jax.device_get(drawn)
    kernel = kernel[: math.prod(shape)].reshape(shape)
    bias = bias[: shape[1]] if bound else None
    # Copies, so that what is drawn too much is not kept.
    return jax.device_put(jax.tree.map(np.array, _make_dense(np, kernel, bias, use_bias, norm)))


def shared_size(key: Key[Array, ""], shapes: list[tuple[int, int]]) -> int:
    """Returns how many numbers to draw for each layer that needs no more; 0: as many as it needs.

    The first numbers that a partitionable threefry key gives do not depend on how many are drawn.
    On a CPU, drawing some too many takes nothing beside compiling a program for each shape.
    """
    counts = [count for count in map(math.prod, shapes) if count <= _SIZES[-1]]
    if (
        not counts
        or isinstance(key, Tracer)
        or key.committed
        or jax.default_backend() != "cpu"
        or str(jax.random.key_impl(key)) != "threefry2x32"
        or not jax.threefry_partitionable.value
        or not jax.sharding.get_abstract_mesh().empty
    ):
        return 0
    return min(size for size in _SIZES if size >= max(counts))


def _draw(
    key: Key[Array, ""],
    index: Int[Array, ""],
    factor: Float[Array, ""],
    scale: Float[Array, ""],
    bias_bound: Float[Array, ""] | None,
    *,
    draw: str,
    kernel_shape: tuple[int, ...],
    width: int,
) -> tuple[Float[Array, "..."], Float[Array, " bias"] | None]:
    """Draws a kernel and a bias."""
    kernel_key, bias_key = jax.random.split(jax.random.fold_in(key, index))
    wide, dtype = factor.dtype, scale.dtype
    if draw == "orthogonal":
        # Under `vmap` one after the other: of several batched decompositions in one program, the
        # threads of XLA:CPU may wait for each other forever (jax 0.10).
        @jax.custom_batching.sequential_vmap
        def orthogonal(key: Key[Array, ""]) -> Float[Array, "fan_in fan_out"]:
            return initializers.orthogonal()(key, kernel_shape, wide)

        kernel = orthogonal(kernel_key)
    elif draw == "uniform":
        kernel = jax.random.uniform(kernel_key, kernel_shape, wide, -1)
    else:
        kernel = jax.random.truncated_normal(kernel_key, -2, 2, kernel_shape, wide)
    bias = None
    if bias_bound is not None:
        bias = jax.random.uniform(bias_key, (width,), wide, -bias_bound, bias_bound).astype(dtype)
    return (factor * kernel).astype(dtype) * scale, bias


_draw_flat = jax.jit(_draw, static_argnames=("draw", "kernel_shape", "width"))


# Jitted, since eager operations compile a program each; layers of one shape share this one.
@functools.partial(jax.jit, static_argnames=("draw", "shape", "use_bias", "norm"))
def _draw_shaped(
    *numbers: Any, draw: str, shape: tuple[int, int], use_bias: bool, norm: str | None
) -> Dense:
    # Along one axis: the same numbers, from a program that compiles in a third of the time.
    kernel_shape = shape if draw == "orthogonal" else (math.prod(shape),)
    kernel, bias = _draw(*numbers, draw=draw, kernel_shape=kernel_shape, width=shape[1])
    return _make_dense(jnp, kernel.reshape(shape), bias, use_bias, norm)


def _make_dense(
    module: ModuleType, kernel: Any, bias: Any, use_bias: bool, norm: str | None
) -> Dense:
    """Puts a layer together, with the arrays that are not drawn from NumPy or JAX's."""
    width, dtype = kernel.shape[1], kernel.dtype
    if bias is None and use_bias:
        bias = module.zeros(width, dtype)
    scales = None
    if norm is not None:
        has_bias = norm == "layer" and use_bias
        scales = Norm(module.ones(width, dtype), module.zeros(width, dtype) if has_bias else None)
    return Dense(kernel, bias, scales)
