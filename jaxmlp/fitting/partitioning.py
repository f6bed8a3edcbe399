"""Turns arrays within a program over several devices into such that lie where they cost least."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec, Sharding
from jaxtyping import Array, Float, Int, PyTree

from ..network import Batch


class PartedRows(NamedTuple):
    """Rows on the devices, of which each holds those of its part of a batch.

    Leaves of `x` and `y` have shape (parts, rows, ...) and are cut along the parts; `weight`, shape
    (parts, rows), is held by all, as a batch's is. Shorter parts are filled up.
    """

    x: PyTree
    y: PyTree
    weight: Float[Array, "parts rows"]


def take_from_parts(
    rows: PartedRows, index: Int[Array, " batch"], sharding: Sharding | None
) -> Batch:
    """Gathers each part of a batch from its part of the rows, where both lie.

    Args:
        rows: All rows.
        index: Places within the parts; ~i stands for place i as padding, with weight 0.
        sharding: How a batch's rows are cut.
    """

    @jax.vmap
    def take(part: Array, places: Int[Array, " share"]) -> Array:
        return part[places]

    index = hold_whole(index, sharding).reshape(len(rows.weight), -1)
    places = hold_whole(jnp.where(index < 0, ~index, index), sharding)
    own = cut_rows(places, sharding)
    x, y = jax.tree.map(lambda part: _join(take(part, own)), (rows.x, rows.y))
    x, y = cut_rows((x, y), sharding)
    weight = jnp.where(index < 0, 0, take(rows.weight, places))
    return Batch(x, y, hold_whole(_join(weight), sharding))


def _join(parts: Array) -> Array:
    return parts.reshape(-1, *parts.shape[2:])


def cut_batch(batch: Batch, sharding: Sharding | None, *, axis: int = 0) -> Batch:
    """Cuts a batch's rows, which stand along an axis, over the devices; all hold all weights.

    A step sums weights up before it can scale what it sums up of rows: from weights of its own, a
    device would wait for the others once more.
    """
    x, y = (cut_rows(part, sharding, axis=axis) for part in (batch.x, batch.y))
    return Batch(x, y, hold_whole(batch.weight, sharding))


def cut_rows(tree: PyTree, sharding: Sharding | None, *, axis: int = 0) -> Any:
    """Cuts rows over the devices.

    Args:
        tree: Their arrays.
        sharding: How a batch's rows are cut; `None` for one device.
        axis: Of the rows. Rows that cannot be cut evenly stay where they are.
    """
    leaves = jax.tree.leaves(tree)
    if not isinstance(sharding, NamedSharding) or not leaves:
        return tree
    parts = sharding.num_devices // sharding.shard_shape((sharding.num_devices,))[0]
    if leaves[0].shape[axis] % parts:
        return tree
    return _constrain(tree, sharding, PartitionSpec(*(None,) * axis, *sharding.spec))


def hold_whole(tree: PyTree, sharding: Sharding | None) -> Any:
    """Has every device hold all of some arrays."""
    is_spread = isinstance(sharding, NamedSharding)
    return _constrain(tree, sharding, PartitionSpec()) if is_spread else tree


def _constrain(tree: PyTree, sharding: NamedSharding, spec: PartitionSpec) -> Any:
    # Those of explicit axes are automatic here, and the mesh is that around; see `with_auto_axes`.
    mesh = sharding.mesh
    is_auto = all(kind is AxisType.Auto for kind in mesh.axis_types)
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, spec) if is_auto else spec)
