"""Turns chunks of rows, seed and epoch into the order in which rows are read, window by window."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int

# Counters of Philox whose last word is 0 belong to the order of rows in memory.
_CHUNKS, _FIRST_WINDOW = 1, 2


def windows(
    chunks: Int[np.ndarray, " chunks_and_end"],
    *,
    window_chunks: int,
    shuffle: bool,
    seed: int,
    epoch: int,
    start: int = 0,
) -> Iterator[Int[np.ndarray, " rows"]]:
    """Iterates over the row numbers of an epoch, window by window, each row once.

    Chunks are shuffled, `window_chunks` of them make a window, and rows are shuffled within it. So
    each row is as likely at any place where chunks are of one length, but two rows of a chunk
    always come in one window. Orders are those of `jaxmlp.data.permutation`, whose Philox counters
    start at (0, 0, 0, 0); here they start at (0, 0, 0, 1) for the chunks and at (0, 0, 0, 2 + i)
    for the rows of window i, so no two orders share a word.

    A window is made without those before it, in memory for its rows and for the list of chunks.

    Args:
        chunks: First row of each chunk, rising from 0, and the number of rows last.
        window_chunks: Chunks per window, at least 1; the last window may have fewer.
        shuffle: Whether to shuffle at all.
        seed: Number in [0, 2**64) that fixes the order.
        epoch: Number of the epoch in [0, 2**64).
        start: How many rows to leave out at the front of the epoch.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting is out of range, or `chunks` do not rise from 0.

    References:
        Salmon et al. 2011, section 3.3.
    """
    require_int("window_chunks", window_chunks, 1, None)
    require_int("seed", seed, 0, 2**64)
    require_int("epoch", epoch, 0, 2**64)
    if len(chunks) < 2 or chunks[0] != 0 or (np.diff(chunks) <= 0).any():
        raise ValueError(
            "chunks must rise from 0 to the number of rows, without a chunk of no rows; "
            f"got {np.asarray(chunks)}."
        )
    require_int("start", start, 0, int(chunks[-1]) + 1)
    return _windows(chunks, window_chunks, shuffle, seed, epoch, start)


def _windows(
    chunks: np.ndarray, window_chunks: int, shuffle: bool, seed: int, epoch: int, start: int
) -> Iterator[np.ndarray]:
    count = len(chunks) - 1
    order = order_of_rows(count, seed, epoch, stream=_CHUNKS) if shuffle else np.arange(count)
    firsts = np.arange(0, count, window_chunks)
    ends = np.cumsum(np.add.reduceat(np.diff(chunks)[order], firsts))
    for window in range(int(np.searchsorted(ends, start, side="right")), len(firsts)):
        members = order[firsts[window] : firsts[window] + window_chunks]
        rows = np.concatenate([np.arange(*chunks[i : i + 2].tolist()) for i in members])
        if shuffle:
            rows = rows[order_of_rows(len(rows), seed, epoch, stream=_FIRST_WINDOW + window)]
        yield rows[max(0, start - int(ends[window]) + len(rows)) :]


def order_of_rows(rows: int, seed: int, epoch: int, *, stream: int) -> np.ndarray:
    """Returns the `permutation` of `jaxmlp.data` as stream 0, and others as other streams."""
    require_int("rows", rows, 1, 2**32)
    counter = np.array([0, 0, 0, stream], np.uint64)
    key = np.array([seed, epoch], np.uint64)
    words = np.random.Philox(counter=counter, key=key).random_raw(rows)
    low_bits = np.uint64((1 << (rows - 1).bit_length()) - 1)
    words = (words & ~low_bits) | np.arange(rows, dtype=np.uint64)
    words.sort()
    return (words & low_bits).astype(np.int64)


def require_int(name: str, value: Any, lowest: int, end: int | None) -> None:
    """Checks that a setting is an int in [lowest, end)."""
    requirement = f"an int of at least {lowest}" + ("" if end is None else f" and below {end}")
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} must be {requirement}; got {value!r}.")
    if value < lowest or (end is not None and value >= end):
        raise ValueError(f"{name} must be {requirement}; got {value}.")
