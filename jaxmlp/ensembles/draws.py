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
# From so many on, the program takes less time to compile than they take without it
# (benchmarks/NOTES.md).
_MANY = 500
# Members that wait for each other on their way to the host, where each way takes its time.
_FETCHED = 64


class ParamsDrawer:
    """Draws the parameters of a group's members, each from a key that no step uses.

    Few members are drawn one by one, from programs that all share. Many small ones are drawn block
    by block in a program of their own, if that gives the first of them the same bits.

    Args:
        init: Draws those of one member.
        static: Hyperparameters that are no numbers, which all members share.
        key_kind: The kind of their keys.
        read: The names that `init` asks for join it.
        members: How many will be drawn, in as many calls as it takes.
    """

    def __init__(
        self,
        init: Factory,
        static: Mapping[str, Hashable],
        key_kind: Any,
        read: set[str],
        *,
        members: int,
    ) -> None:
        self._init, self._static, self._key_kind, self._read = init, static, key_kind, read
        self._fold = jnp.uint32(INIT_FOLD)
        # `None` until the first members have been drawn both ways.
        self._in_blocks: bool | None = None if members >= _MANY else False
        self._draw_block = jax.jit(
            lambda *block: jax.lax.map(lambda member: self._draw(*member), block)
        )

    def draw(
        self, traced: Mapping[str, np.ndarray], keys: Shaped[np.ndarray, "members *key"]
    ) -> PyTree:
        """Returns members' parameters as arrays on the host.

        Args:
            traced: Hyperparameters that are numbers, with a leading member axis.
            keys: The data of a random key for each member.

        Raises:
            ValueError: They differ in shape.
        """

        def take(members: int | np.ndarray) -> tuple[dict[str, Array], np.ndarray]:
            numbers = {name: jnp.asarray(values[members]) for name, values in traced.items()}
            return numbers, keys[members]

        one_by_one: list[PyTree] = []

        def draw_up_to(end: int) -> PyTree:
            for start in range(len(one_by_one), end, _FETCHED):
                members = range(start, min(start + _FETCHED, end))
                one_by_one.extend(jax.device_get([self._draw(*take(m)) for m in members]))
                _require_same_shapes(one_by_one[start:], one_by_one[0])
            return jax.tree.map(lambda *leaves: np.stack(leaves), *one_by_one)

        if self._in_blocks is None and len(keys) >= _COMPARED:
            first = draw_up_to(_COMPARED)
            self._in_blocks = False
            if _bytes_in(first) // _COMPARED * _BLOCK <= _BLOCK_BYTES:
                drawn = self._draw_blocks(take, len(keys), first)
                if drawn is not None:
                    self._in_blocks = True
                    return drawn
        if self._in_blocks:
            return self._draw_blocks(take, len(keys), None)
        return draw_up_to(len(keys))

    def _draw(self, numbers: dict[str, Array], data: Any) -> PyTree:
        key = jax.random.wrap_key_data(data, impl=self._key_kind)
        key = jax.random.fold_in(key, self._fold)
        settings = (Settings({**numbers, **self._static}, self._read),) if self._init.takes else ()
        return self._init.function(*settings, key)

    def _draw_blocks(
        self, take: Callable[[np.ndarray], Any], members: int, first: PyTree | None
    ) -> PyTree | None:
        """Draws members by blocks; `None` unless the first ones are as those drawn one by one."""
        drawn: list[PyTree] = []
        for start in range(0, members, _BLOCK):
            # The last block is filled up: one program for all.
            block = np.minimum(np.arange(start, start + _BLOCK), members - 1)
            try:
                drawn.append(jax.device_get(self._draw_block(*take(block))))
            except Exception:  # whatever `init` does that works for one member alone
                if first is None:
                    raise
                return None
            if first is not None and not start:
                same = jax.tree.map(_begins_with, drawn[0], first)
                if not jax.tree.all(same):
                    return None
        return jax.tree.map(lambda *blocks: np.concatenate(blocks)[:members], *drawn)


def _begins_with(block: np.ndarray, first: np.ndarray) -> bool:
    """Tells whether a block's first members have the same bits."""
    return first.dtype == block.dtype and first.tobytes() == block[: len(first)].tobytes()


def _bytes_in(tree: PyTree) -> int:
    return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def _require_same_shapes(drawn: list[PyTree], first: PyTree) -> None:
    expected = jax.tree.map(np.shape, first)
    for params in drawn:
        shapes = jax.tree.map(np.shape, params)
        if shapes != expected:
            raise ValueError(
                "init must draw parameters of the same shapes where only numbers among the "
                f"hyperparameters differ; got {expected} and {shapes}. Give what decides shapes as "
                "a list of configs, tuples or strings."
            )
