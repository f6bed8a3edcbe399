"""Turns the sharding of a loader into where a run's arrays lie."""

import dataclasses
import functools
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, Sharding
from jaxtyping import PyTree

from ..data import DataLoader
from ..loading import on_all, place_whole
from ..network import Batch, LossFn
from ..train_step import copy_arrays
from .buckets import fill_rows, is_seen_by_weight
from .fit_state import FitState
from .partitioning import PartedRows


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """Where the arrays of a run lie.

    `batch` is how a batch is cut, `whole` the sharding of what every device holds, and `state` has
    that of every array of the state.
    """

    batch: Sharding
    whole: Sharding
    state: FitState

    @functools.cached_property
    def key(self) -> Hashable:
        """What programs over this layout are kept by."""
        leaves, structure = jax.tree.flatten(self.state)
        return self.batch, self.whole, tuple(leaves), structure

    def place_state(self, state: FitState) -> FitState:
        """Places a state that lies anywhere; no two devices share memory, as donation demands."""
        return copy_arrays(jax.tree.map(_place, state, self.state))


def make_layout(state: FitState, sharding: Sharding) -> Layout:
    """Returns the layout of a run over batches that are cut so.

    What of the state lies on the same devices already stays as it is there, such as the parts of a
    wide kernel, and averages lie as their parameters; the rest is held by every device.
    """
    devices = sharding.device_set

    def is_there(leaf: Any) -> bool:
        return isinstance(leaf.sharding, NamedSharding) and leaf.sharding.device_set == devices

    there = [leaf.sharding for leaf in jax.tree.leaves(state.train) if is_there(leaf)]
    whole = on_all(there[0] if there else sharding)
    laid: FitState = jax.tree.map(lambda leaf: leaf.sharding if is_there(leaf) else whole, state)
    params = laid.train.params
    laid = laid._replace(
        average=None if state.average is None else params,
        best_params=None if state.best_params is None else params,
    )
    return Layout(sharding, whole, laid)


def place_like(state: FitState, start: FitState) -> FitState:
    """Places a state that was read from a file where the one that a run starts from lies.

    Arrays that were put to no device on purpose stay free, as JAX has it.
    """

    def place(leaf: Any, first: Any) -> Any:
        is_put = isinstance(first, jax.Array) and first.committed
        return _place(leaf, first.sharding) if is_put else leaf

    return copy_arrays(jax.tree.map(place, state, start))


def spread_validation(
    loss_fn: LossFn, rows: PyTree, sharding: Sharding, whole: Sharding
) -> tuple[PyTree, int]:
    """Cuts rows to validate on over the devices; returns them, and into how many parts.

    Rows that cannot be cut evenly are filled up where nothing that is computed sees it; else every
    device holds and computes all of them.
    """
    parts = count_parts(sharding)
    lengths = {leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(rows)}
    count = lengths.pop() if len(lengths) == 1 else 0
    if count % parts and isinstance(rows, Batch) and is_seen_by_weight(loss_fn, rows):
        rows = fill_rows(jax.tree.map(np.asarray, rows), -(-count // parts) * parts)
        count = len(jax.tree.leaves(rows)[0])
    if not count or count % parts:
        return place_whole(rows, whole), 1
    return place_whole(rows, sharding), parts


def place_parts(loader: DataLoader, whole: Sharding) -> PartedRows:
    """Places the rows of which each process holds its own: each device gets those of its part.

    Args:
        loader: Its rows are dense arrays in memory.
        whole: By which every device holds all of an array: the weights.
    """
    parts, rows, sharding = loader.parts, loader.rows, loader.sharding
    assert rows is not None
    assert sharding is not None
    count, longest = len(parts.lengths), int(parts.lengths.max())

    def place(leaf: np.ndarray) -> jax.Array:
        def rows_of(index: Any) -> np.ndarray:
            (part,) = range(count)[index[0]]
            first = parts.firsts[part] - parts.own_first
            own = leaf[first : first + parts.lengths[part]]
            if missing := longest - len(own):
                own = np.concatenate([own, np.repeat(own[-1:], missing, axis=0)])
            return own[None]

        shape = (count, longest, *leaf.shape[1:])
        return jax.make_array_from_callback(shape, sharding, rows_of)

    x, y, weight = jax.tree.map(place, tuple(rows))
    return PartedRows(x, y, place_whole(weight, whole))


def count_parts(sharding: Sharding) -> int:
    """Returns into how many parts a batch is cut."""
    size = sharding.num_devices
    return size // sharding.shard_shape((size,))[0]


def _place(leaf: Any, sharding: Sharding) -> jax.Array:
    if getattr(leaf, "sharding", None) == sharding:
        return leaf
    return place_whole(leaf, sharding)
