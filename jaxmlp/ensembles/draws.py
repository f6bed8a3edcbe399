"""Turns keys and hyperparameters into the parameters that members begin with."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree, Shaped

from .factories import Factory, Settings

# No step has this number, so that `init` and the steps never draw from the same key.
INIT_FOLD = 2**32 - 1
# Members in one call of a program that draws one after the other.
_BLOCK = 256
_BLOCK_BYTES = 64 * 2**20
# Members that are drawn both ways: where rounding differs, it does so in one of them.
_COMPARED = 8
# From so many on, the program takes less time to compile than they take without it.
_MANY = 2000


def draw_params(
    init: Factory,
    traced: Mapping[str, np.ndarray],
    static: Mapping[str, Hashable],
    keys: Shaped[np.ndarray, "members *key"],
    key_kind: Any,
    read: set[str],
) -> PyTree:
    """Draws members' parameters, each from a key that no step uses, as arrays on the host.

    Few members are drawn one by one, from programs that all share. Many small ones are drawn block
    by block in a program of their own, if that gives the first of them the same bits.

    Args:
        init: Draws those of one member.
        traced: Hyperparameters that are numbers, with a leading member axis.
        static: The others, which all members share.
        keys: The data of a random key for each member.
        key_kind: The kind of these keys.
        read: The names that `init` asks for join it.

    Raises:
        ValueError: They differ in shape.
    """
    fold = jnp.uint32(INIT_FOLD)

    def draw(numbers: dict[str, Array], data: Any) -> PyTree:
        key = jax.random.fold_in(jax.random.wrap_key_data(data, impl=key_kind), fold)
        settings = (Settings({**numbers, **static}, read),) if init.takes else ()
        return init.function(*settings, key)

    def take(members: int | slice) -> tuple[dict[str, Array], np.ndarray]:
        numbers = {name: jnp.asarray(values[members]) for name, values in traced.items()}
        return numbers, keys[members]

    one_by_one: list[PyTree] = []

    def draw_up_to(end: int) -> PyTree:
        for member in range(len(one_by_one), end):
            one_by_one.append(jax.device_get(draw(*take(member))))
            _require_same_shapes(one_by_one[0], one_by_one[-1])
        return jax.tree.map(lambda *leaves: np.stack(leaves), *one_by_one)

    first = draw_up_to(min(_COMPARED, len(keys)))
    if len(keys) >= _MANY and _BLOCK // _COMPARED * _bytes_in(first) <= _BLOCK_BYTES:
        draw_block = jax.jit(lambda *block: jax.lax.map(lambda member: draw(*member), block))
        drawn = _draw_blocks(lambda members: draw_block(*take(members)), len(keys), first)
        if drawn is not None:
            return drawn
    return draw_up_to(len(keys))


def _draw_blocks(draw: Callable[[slice], PyTree], members: int, first: PyTree) -> PyTree | None:
    """Draws members by blocks; returns `None` unless the first ones are as if drawn one by one."""
    # The last block begins earlier instead of being shorter: one program for all.
    starts = [*range(0, members - _BLOCK, _BLOCK), members - _BLOCK]
    drawn: PyTree = None
    for start in starts:
        block = slice(start, start + _BLOCK)
        try:
            part = jax.device_get(draw(block))
        except Exception:  # whatever `init` does that works for one member alone
            return None
        if drawn is None:
            if not jax.tree.all(jax.tree.map(_begins_with, part, first)):
                return None
            drawn = jax.tree.map(lambda a: np.empty((members, *a.shape[1:]), a.dtype), part)
        for whole, leaf in zip(jax.tree.leaves(drawn), jax.tree.leaves(part), strict=True):
            whole[block] = leaf
    return drawn


def _begins_with(block: np.ndarray, first: np.ndarray) -> bool:
    """Tells whether a block's first members have the same bits."""
    return first.dtype == block.dtype and first.tobytes() == block[: len(first)].tobytes()


def _bytes_in(tree: PyTree) -> int:
    return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def _require_same_shapes(one: PyTree, other: PyTree) -> None:
    shapes = [jax.tree.map(np.shape, params) for params in (one, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "init must draw parameters of the same shapes where only numbers among the "
            f"hyperparameters differ; got {shapes[0]} and {shapes[1]}. Give what decides shapes as "
            "a list of configs, tuples or strings."
        )
