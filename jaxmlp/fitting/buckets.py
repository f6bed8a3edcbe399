"""Turns numbers of rows, steps and epochs into rounder ones, so that few programs are compiled.

Tables so small that compiling takes longer than training are filled up to a bucket; what is filled
up is never looked at. Larger tables stay where they lie, uncopied.
"""

from typing import NamedTuple

import jax
import numpy as np

from ..data import DataLoader
from ..losses.loss_function import NetworkLoss
from ..metrics import Metric, roc_auc
from ..network import Batch, LossFn
from ..sources.ingestion import empty_aligned

_SMALL_BYTES = 2**22
# From larger tables XLA gathers batches in two threads, which took 2 microseconds more per step.
_GATHERED_BY_ONE = 2**19


def bucket(count: int) -> int:
    """Returns the power of two that is not below a count."""
    return 1 << (max(count, 1) - 1).bit_length()


def is_small(rows: Batch) -> bool:
    """Whether rows are filled up, since a copy of them costs next to nothing."""
    return _count_bytes(rows) <= _SMALL_BYTES


def _count_bytes(rows: Batch) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(rows))


def padded_rows(loader: DataLoader) -> Batch:
    """Returns the rows of a loader that lie in memory, filled up if they are small."""
    assert loader.rows is not None
    if not is_small(loader.rows):
        return loader.rows
    count = len(loader.source)
    row_bytes = _count_bytes(loader.rows) / count
    crosses = row_bytes * count <= _GATHERED_BY_ONE < row_bytes * bucket(count)
    return fill_rows(loader.rows, bucket_of_rows(count) if crosses else bucket(count))


def padded_steps(steps: int) -> int:
    """Returns for how many steps an epoch of so many has places, at least 32.

    It is the same in all programs, so that they sum up an epoch's metrics in the same order.
    """
    return max(32, bucket(steps))


class Places(NamedTuple):
    """How many steps an epoch has places for in a program, and how many of them are taken.

    `None` stands for all of them.
    """

    total: int
    taken: np.int32 | None


def places_for(steps: int) -> Places:
    """Returns the places of an epoch of so many steps.

    On a CPU, epochs of other lengths share a program. On a GPU, before each pass of a loop whose
    number of passes is data, the host is asked whether to go on: 13 of 42 microseconds on an H100
    (benchmarks/NOTES.md). There, each length has a program of its own.
    """
    if jax.default_backend() == "cpu":
        return Places(padded_steps(steps), np.int32(steps))
    return Places(steps, None)


def padded_index(loader: DataLoader, epoch: int) -> np.ndarray:
    """Returns the row numbers of an epoch's batches in the device's integers, and 0 behind them.

    Of rows of which each process holds its own, they are the places within their parts.
    """
    index = loader.index(epoch)
    if loader.parts is not None:
        index = loader.parts.places(index)
    # Taken over by JAX without a copy: of many rows it is a tenth of what they take.
    shape = (places_for(len(index)).total, index.shape[1])
    places = empty_aligned(shape, np.dtype(np.int32))
    places[: len(index)] = index
    places[len(index) :] = 0
    return places


def padded_validation(loss_fn: LossFn, rows: Batch) -> Batch:
    """Fills rows to validate on up with rows of weight 0, if nothing that is computed sees them.

    That is known of a loss of `make_loss` with metrics of this library alone.
    """
    if rows.weight is None or not is_small(rows) or not is_seen_by_weight(loss_fn, rows):
        return rows
    return fill_rows(rows, bucket_of_rows(len(rows.weight)))


def is_seen_by_weight(loss_fn: LossFn, rows: Batch) -> bool:
    """Whether a loss and its metrics are known not to see rows of weight 0."""
    if not isinstance(loss_fn, NetworkLoss) or rows.weight is None:
        return False
    return all(isinstance(fn, Metric) or fn is roc_auc for fn in loss_fn.metrics.values())


def bucket_of_rows(count: int) -> int:
    """Returns a power of two, or above 256 rows an eighth more at most, where each costs time."""
    if count <= 256:
        return bucket(count)
    step = bucket(count) // 16
    return -(-count // step) * step


def fill_rows(rows: Batch, size: int) -> Batch:
    """Repeats the last row, which is in the domain of a loss, with weight 0."""

    def fill(leaf: np.ndarray | jax.Array) -> np.ndarray | jax.Array:
        missing = size - len(leaf)
        return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) if missing else leaf

    x, y, weight = jax.tree.map(fill, tuple(rows))
    count = len(rows.weight) if rows.weight is not None else size
    if weight is not None and count < size:
        weight = np.where(np.arange(size) < count, weight, np.zeros((), weight.dtype))
    return Batch(x, y, weight)
