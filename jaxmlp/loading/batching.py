"""Turns an order of rows, or a choice of batches, into the row numbers of every batch."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..checks import require_int
from .samplers import Sampler

# Chunks are mostly of 1 MiB.
WINDOW_CHUNKS = 16

# Rows that a batch may have where an epoch has fewer.
MOST_PADDED_ROWS = 2**20

Index = Int[np.ndarray, "steps batch"]
Numbers = Int[np.ndarray, " rows"]


def cut_order(
    order: Int[np.ndarray, "*many rows"], batch_size: int, *, drop_last: bool
) -> Int[np.ndarray, "*many steps batch"]:
    """Cuts orders into batches; the last is filled up with ~i for row i, or dropped."""
    steps = count_steps(order.shape[-1], batch_size, drop_last=drop_last)
    taken = order[..., : steps * batch_size]
    if places := steps * batch_size - taken.shape[-1]:
        # As cut_windows does.
        padding = np.repeat(~taken[..., -1:], places, axis=-1)
        taken = np.concatenate([taken, padding], axis=-1)
    return taken.reshape(*order.shape[:-1], steps, batch_size)


def cut_windows(windows: Iterable[Numbers], wanted: int, batch_size: int) -> Iterator[Numbers]:
    """Iterates over the first so many row numbers, and fills up their last batch.

    Padding repeats the last row: it is never out of a loss's domain, and no other window has it.
    """
    padding = -wanted % batch_size
    for numbers in windows:
        if wanted <= 0:
            return
        taken = numbers[:wanted]
        wanted -= len(taken)
        if padding and not wanted:
            taken = np.concatenate([taken, np.full(padding, ~taken[-1])])
        yield taken


def join_windows(windows: Iterable[Numbers], batch_size: int) -> Iterator[Numbers]:
    """Iterates over the row numbers of each batch of windows, which end elsewhere."""
    left = np.empty(0, np.int64)
    for numbers in windows:
        left = np.concatenate([left, numbers])
        full = len(left) // batch_size * batch_size
        yield from left[:full].reshape(-1, batch_size)
        left = left[full:]


def keep_positions(
    windows: Iterable[Numbers], positions: Int[np.ndarray, " local_rows"], batch_size: int
) -> Iterator[Numbers]:
    """Iterates over the row numbers that stand at some positions of their batches."""
    is_kept = np.isin(np.arange(batch_size), positions)
    first = 0
    for numbers in windows:
        kept = numbers[is_kept[(first + np.arange(len(numbers))) % batch_size]]
        first += len(numbers)
        if len(kept):
            yield kept


def count_steps(rows: int, batch_size: int, *, drop_last: bool) -> int:
    """Returns the number of batches in an epoch."""
    return rows // batch_size if drop_last else -(-rows // batch_size)


def read_order(sampler: Any, epoch: int, rows: int) -> Int[np.ndarray, " order"]:
    """Asks a sampler for an epoch's order, or iterates it, and checks the row numbers."""
    if isinstance(sampler, Sampler):
        numbers = sampler.order(epoch)
    else:
        numbers = sampler if isinstance(sampler, np.ndarray) else list(sampler)
    order = check_rows("sampler", numbers, rows)
    if len(order) != len(sampler):
        raise ValueError(
            f"sampler must give len(sampler)={len(sampler)} rows in every epoch; got {len(order)}."
        )
    return order


def read_batches(batch_sampler: Any, batch_size: int, rows: int) -> Index:
    """Iterates a batch sampler once; batches are filled up with ~i for their own rows i."""
    index = [
        check_rows(f"batch {step} of batch_sampler", numbers, rows)
        for step, numbers in enumerate(batch_sampler)
    ]
    if len(index) != len(batch_sampler):
        raise ValueError(
            f"batch_sampler must give len(batch_sampler)={len(batch_sampler)} batches in every "
            f"epoch; got {len(index)}."
        )
    longest = max(map(len, index))
    if longest > batch_size:
        raise ValueError(
            f"batch_sampler must give batches of at most batch_size={batch_size} rows; got one "
            f"of {longest}."
        )
    return np.stack([np.concatenate([b, ~np.resize(b, batch_size - len(b))]) for b in index])


def check_rows(name: str, numbers: Any, rows: int) -> Int[np.ndarray, " n"]:
    """Returns row numbers as an array, after checking that there are such rows."""
    array = np.asarray(numbers)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must give one or more row numbers, ints; got {array.dtype}{list(array.shape)}."
        )
    if array.min() < 0 or array.max() >= rows:
        raise ValueError(
            f"{name} must give row numbers in [0, {rows}); got values in [{array.min()}, "
            f"{array.max()}]."
        )
    return array.astype(np.int64)


def check_sampler(sampler: Any, *, shuffle: bool, seed: int) -> None:
    """Refuses what is no sampler, and settings that would have no effect beside it."""
    if shuffle:
        raise ValueError("sampler and shuffle=True both fix the order; give one of them.")
    if seed:
        raise ValueError(f"seed={seed} has no effect with sampler; give it to the sampler.")
    _require_repeatable("sampler", "row numbers", sampler)


def copy_numbers(sampler: Any) -> Any:
    """Copies row numbers that their owner could change: a list or an array."""
    if isinstance(sampler, list):
        return tuple(sampler)
    if isinstance(sampler, np.ndarray | jax.Array):
        copied = np.array(sampler)
        copied.setflags(write=False)
        return copied
    return sampler


def check_batch_sampler(batch_sampler: Any, **settings: Any) -> int:
    """Refuses settings that would have no effect; returns the size that batches are filled to."""
    given = [
        name
        for name, value in settings.items()
        if not (value is None or value is False or (name == "seed" and value == 0))
    ]
    if given:
        raise ValueError(
            f"batch_sampler fixes batches and their order by itself; got {', '.join(given)} too."
        )
    _require_repeatable("batch_sampler", "lists of row numbers", batch_sampler)
    size = getattr(batch_sampler, "batch_size", None)
    if size is None and isinstance(batch_sampler, Sequence):
        size = max((len(batch) for batch in batch_sampler), default=0)
    if size is None:
        raise TypeError(
            f"batch_sampler must have a batch_size, the number of rows that shorter batches are "
            f"filled up to, or be a list; got a {type(batch_sampler).__name__}."
        )
    return size


def check_window(window_chunks: Any, chunks: np.ndarray | None, rows: int) -> int | None:
    """Returns the chunks per window, or `None` where rows are not read by windows."""
    if chunks is None:
        if window_chunks is not None:
            raise ValueError(
                f"window_chunks={window_chunks!r} has no effect: it is for rows in chunks, such as "
                "those of sources.npy, in an order that no sampler chooses."
            )
        return None
    if chunks[-1] != rows:
        raise ValueError(f"chunks must end with the number of rows, {rows}; got {chunks[-1]}.")
    if window_chunks is None:
        return WINDOW_CHUNKS
    require_int("window_chunks", window_chunks, 1, None)
    return int(window_chunks)


def check_batch_size(name: str, batch_size: int, rows: int) -> None:
    """Refuses batches that would be mostly padding, for all of which memory is taken."""
    if batch_size > max(rows, MOST_PADDED_ROWS):
        raise ValueError(
            f"{name} must be at most {max(rows, MOST_PADDED_ROWS)}, since batches are filled up to "
            f"it and an epoch visits {rows} rows; got {batch_size}."
        )


def check_index(index: Any, rows: int) -> Int[np.ndarray, " batch"]:
    """Checks the row numbers of one batch, where ~i stands for row i as padding."""
    if not isinstance(index, np.ndarray | jax.Array):
        raise TypeError(
            "index must be an array of row numbers, ints, shape (batch,); got a "
            f"{type(index).__name__}. Give np.array(index)."
        )
    array = np.asarray(index)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise TypeError(
            "index must be an array of one or more row numbers, ints, shape (batch,); got "
            f"{array.dtype}{list(array.shape)}."
        )
    if array.min() < -rows or array.max() >= rows:
        raise ValueError(
            f"index must have row numbers i in [0, {rows}), or ~i for padding; got values in "
            f"[{array.min()}, {array.max()}]."
        )
    return array


def require_fixed(**samplers: Any) -> None:
    """Refuses samplers whose order does not follow from the epoch's number."""
    for name, sampler in samplers.items():
        if not isinstance(sampler, Sampler | Sequence | np.ndarray | None):
            raise TypeError(
                f"state_dict needs an order that follows from the epoch's number, but {name} is a "
                f"{type(sampler).__name__}, iterated anew in every epoch; give an object with "
                "order(epoch), or a list."
            )


def _require_repeatable(name: str, what: str, value: Any) -> None:
    if isinstance(value, type):
        raise TypeError(
            f"{name} must give {what}; got the class {value.__name__} itself. Give an object of "
            f"it, as in {value.__name__}(...)."
        )
    is_sampler = isinstance(value, Sampler) and name == "sampler"
    if not is_sampler and (
        isinstance(value, Iterator | str | bytes) or not isinstance(value, Iterable)
    ):
        raise TypeError(
            f"{name} must give {what} anew whenever it is iterated; got a {type(value).__name__}."
        )
    if not hasattr(value, "__len__"):
        raise TypeError(
            f"{name} must have a length, the number of {what} in an epoch; got a "
            f"{type(value).__name__} without."
        )
    if len(value) == 0:  # pyright: ignore[reportArgumentType]  # it has a length
        raise ValueError(
            f"{name} must have a length of at least 1, the number of {what} in an epoch; got a "
            f"{type(value).__name__} of length 0."
        )
