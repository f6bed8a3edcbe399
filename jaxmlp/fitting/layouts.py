"""Turns the sharding of a loader into where a run's arrays lie, and what its processes agree on."""

import dataclasses
import functools
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding
from jaxtyping import PyTree

from ..loading import on_all, place_whole
from ..network import Batch, LossFn
from ..train_step import copy_arrays
from .buckets import fill_rows, is_seen_by_weight
from .fit_state import FitState


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

    @functools.cached_property
    def spans_processes(self) -> bool:
        """Whether other processes take part in the run."""
        return not self.batch.is_fully_addressable

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for the run."""
        if not self.spans_processes:
            return True
        return self._devices().flat[0].process_index == jax.process_index()

    def place_state(self, state: FitState) -> FitState:
        """Places a state that lies anywhere; no two devices share memory, as donation demands."""
        return copy_arrays(jax.tree.map(_place, state, self.state))

    def first_value(self, value: float) -> float:
        """Returns the value of the run's first process, to all of its processes."""
        return float(self._values(value)[0]) if self.spans_processes else value

    def any_value(self, value: bool) -> bool:
        """Returns whether a value is true in any process of the run."""
        return bool(self._values(value).any()) if self.spans_processes else value

    def _values(self, value: float) -> np.ndarray:
        """Returns the value of each device's process."""
        own = np.full(1, value, np.float32)
        mesh = Mesh(self._devices().ravel(), ("all",))
        cut, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("all",), ()))
        values = jax.make_array_from_callback((mesh.size,), cut, lambda _: own)
        return np.asarray(jax.device_put(values, whole))

    def _devices(self) -> np.ndarray:
        assert isinstance(self.batch, NamedSharding)
        devices = self.batch.mesh.devices
        assert devices is not None
        return devices


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


def count_parts(sharding: Sharding) -> int:
    """Returns into how many parts a batch is cut."""
    size = sharding.num_devices
    return size // sharding.shard_shape((size,))[0]


def _place(leaf: Any, sharding: Sharding) -> jax.Array:
    if getattr(leaf, "sharding", None) == sharding:
        return leaf
    return place_whole(leaf, sharding)
