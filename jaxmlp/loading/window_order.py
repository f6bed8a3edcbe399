"""Turns chunks of rows, seed and epoch into the order in which rows are read, window by window."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from ..checks import require_int
from .order import permutation

# Stream 0 is the order of rows in memory.
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
    always come in one window. Orders are those of `permutation`, stream 1 for the chunks and stream
    2 + i for the rows of window i, so no two orders share a word.

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
    order = np.arange(count)
    if shuffle:
        order = permutation(count, seed=seed, epoch=epoch, stream=_CHUNKS)
    firsts = np.arange(0, count, window_chunks)
    ends = np.cumsum(np.add.reduceat(np.diff(chunks)[order], firsts))
    for window in range(int(np.searchsorted(ends, start, side="right")), len(firsts)):
        members = order[firsts[window] : firsts[window] + window_chunks]
        rows = np.concatenate([np.arange(*chunks[i : i + 2].tolist()) for i in members])
        if shuffle:
            stream = _FIRST_WINDOW + window
            rows = rows[permutation(len(rows), seed=seed, epoch=epoch, stream=stream)]
        yield rows[max(0, start - int(ends[window]) + len(rows)) :]
