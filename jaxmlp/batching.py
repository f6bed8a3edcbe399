"""Turns an order of rows, or a choice of batches, into the row numbers of every batch."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from .order import require_int
from .samplers import Sampler

Index = Int[np.ndarray, "steps batch"]


def cut_order(order: Int[np.ndarray, " rows"], batch_size: int, *, drop_last: bool) -> Index:
    """Cuts an order into batches; the last is filled up with ~i for row i, or dropped."""
    steps = count_steps(len(order), batch_size, drop_last=drop_last)
    order = order[: steps * batch_size]
    # Padding repeats rows of the epoch, so that it is never out of a loss's domain.
    padding = np.resize(order, steps * batch_size - len(order))
    return np.concatenate([order, ~padding]).reshape(steps, batch_size)


def count_steps(rows: int, batch_size: int, *, drop_last: bool) -> int:
    """Returns the number of batches in an epoch."""
    return rows // batch_size if drop_last else -(-rows // batch_size)


def read_order(sampler: Any, epoch: int, rows: int) -> Int[np.ndarray, " order"]:
    """Asks a sampler for an epoch's order, or iterates it, and checks the row numbers."""
    numbers = sampler.order(epoch) if isinstance(sampler, Sampler) else list(sampler)
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
    require_int("batch_sampler.batch_size", size, 1, None)
    return int(size)


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
    if isinstance(value, Sampler) and name == "sampler":
        return
    if isinstance(value, Iterator) or not isinstance(value, Iterable):
        raise TypeError(
            f"{name} must give {what} anew whenever it is iterated; got a {type(value).__name__}."
        )
    if not hasattr(value, "__len__") or len(value) == 0:  # pyright: ignore[reportArgumentType]
        raise TypeError(
            f"{name} must have a length of at least 1, the number of {what} in an epoch; got a "
            f"{type(value).__name__} without."
        )
