"""Turns arrays that processes hold into arrays that lie over the devices of all of them."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from jaxtyping import Int, PyTree

from ..network import Batch


def check_sharding(sharding: jax.sharding.Sharding, batch_size: int) -> None:
    """Refuses a sharding that does not cut batches into equal parts of their rows.

    Raises:
        TypeError: It is no sharding over a mesh or of a single device.
        ValueError: It cuts another axis than the rows', or into parts of different sizes.
    """
    if not isinstance(sharding, NamedSharding | SingleDeviceSharding):
        raise TypeError(
            "sharding must be a jax.sharding.Sharding, such as NamedSharding(mesh, "
            f"PartitionSpec('data')), or a SingleDeviceSharding; got {sharding!r}."
        )
    try:
        sharding.shard_shape((batch_size,))
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"sharding must cut the rows of a batch, its leading axis alone, into equal parts; got "
            f"batch_size={batch_size} and {sharding}. Give a batch_size that the number of parts "
            "divides."
        ) from error


def local_positions(
    sharding: jax.sharding.Sharding, batch_size: int
) -> Int[np.ndarray, " local_rows"]:
    """Returns the positions within a batch of the rows that this process's devices hold."""
    positions = np.arange(batch_size)
    parts = sharding.addressable_devices_indices_map((batch_size,)).values()
    return np.unique(np.concatenate([positions[part] for part in parts]))


def place_batches(
    local: Batch,
    positions: Int[np.ndarray, " local_rows"],
    sharding: jax.sharding.Sharding,
    batch_size: int,
    *,
    stacked: bool = False,
) -> Batch:
    """Returns the global batch, or stack of them, of which each process holds its own rows.

    Args:
        local: These rows; of a stack, shape (batches, local_rows, ...).
        positions: Where they stand in a batch.
        sharding: How a batch is cut.
        batch_size: Rows of a global batch.
        stacked: Whether it is a stack of batches.
    """
    axis = int(stacked)
    everywhere = np.arange(batch_size)
    placed = behind(sharding, axis)

    def place(leaf: np.ndarray) -> jax.Array:
        def rows_of(part: Any) -> np.ndarray:
            places = np.searchsorted(positions, everywhere[part[axis]])
            # A view, where the rows lie together.
            first, last = places[0], places[-1]
            is_run = last - first + 1 == len(places)
            return leaf[(slice(None),) * axis + (slice(first, last + 1) if is_run else places,)]

        shape = (*leaf.shape[:axis], batch_size, *leaf.shape[axis + 1 :])
        return jax.make_array_from_callback(shape, placed, rows_of)

    return jax.tree.map(place, local)


def behind(sharding: jax.sharding.Sharding, axes: int) -> jax.sharding.Sharding:
    """Returns the sharding that cuts as this one, but behind so many leading axes."""
    if not isinstance(sharding, NamedSharding):
        return sharding
    spec = PartitionSpec(*(None,) * axes, *sharding.spec)
    return NamedSharding(sharding.mesh, spec, memory_kind=sharding.memory_kind)


def on_all(sharding: jax.sharding.Sharding) -> jax.sharding.Sharding:
    """Returns the sharding by which each of the same devices holds all of an array."""
    if not isinstance(sharding, NamedSharding):
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec(), memory_kind=sharding.memory_kind)


def with_automatic_axes(tree: PyTree) -> PyTree:
    """Returns arrays where they lie, for programs in which the compiler places what is computed.

    On a mesh of explicit axes, JAX asks for a placement where an operation sums over parts.
    """

    def automatic(leaf: Any) -> Any:
        if isinstance(leaf, Tracer) or not isinstance(leaf, jax.Array):
            return leaf
        sharding = leaf.sharding
        if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
            return leaf
        mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
        return jax.device_put(leaf, NamedSharding(mesh, sharding.spec))

    return jax.tree.map(automatic, tree)


def place_whole(tree: PyTree, sharding: jax.sharding.Sharding) -> PyTree:
    """Places arrays that every process holds whole; no process waits for another.

    Args:
        tree: Arrays of NumPy and JAX, random keys among them.
        sharding: Where they are to lie.
    """

    def place(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            words = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, whole.__getitem__)

    return jax.tree.map(place, tree)
