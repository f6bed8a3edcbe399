"""Turns the rows that a process's devices hold into batches that lie over the devices of all."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..network import Batch


def check_sharding(sharding: jax.sharding.Sharding, batch_size: int) -> None:
    """Refuses a sharding that does not cut batches into equal parts of their rows.

    Raises:
        TypeError: It is no sharding.
        ValueError: It cuts another axis than the rows', or into parts of different sizes.
    """
    if not isinstance(sharding, jax.sharding.Sharding):
        raise TypeError(
            "sharding must be a jax.sharding.Sharding, such as NamedSharding(mesh, "
            f"PartitionSpec('data')); got {sharding!r}."
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


def place_batch(
    local: Batch,
    positions: Int[np.ndarray, " local_rows"],
    sharding: jax.sharding.Sharding,
    batch_size: int,
) -> Batch:
    """Returns the global batch of which each process holds its own rows, `local`."""
    everywhere = np.arange(batch_size)

    def place(leaf: np.ndarray) -> jax.Array:
        def rows_of(part: Any) -> np.ndarray:
            return leaf[np.searchsorted(positions, everywhere[part[0]])]

        return jax.make_array_from_callback((batch_size, *leaf.shape[1:]), sharding, rows_of)

    return jax.tree.map(place, local)
