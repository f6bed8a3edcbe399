"""Turns a seed and the number of an epoch into random words and into an order of rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, UInt64

from ..checks import require_int

_TILE = 2**13


def permutation(rows: int, *, seed: int, epoch: int, stream: int = 0) -> Int[np.ndarray, " rows"]:
    """Returns a random order of `rows` rows that depends on its arguments and nothing else.

    Row i gets the i-th word of the Philox 4x64-10 generator with key (seed, epoch), a published
    algorithm whose words no NumPy version changes; rows are sorted by their words. The row number
    stands in the low bits of the word, which makes words distinct: any sort gives the same order.

    Args:
        rows: Number of rows, in [1, 2**32).
        seed: Number in [0, 2**64).
        epoch: Number in [0, 2**64).
        stream: Number in [0, 2**64) of one of the orders that seed and epoch have.

    Returns:
        Each of 0 .. rows - 1 once.

    Raises:
        ValueError: An argument is out of range.

    References:
        Salmon et al. 2011, section 3.3.

    Example:
        >>> permutation(5, seed=0, epoch=0).tolist() != permutation(5, seed=0, epoch=1).tolist()
        True
    """
    require_int("rows", rows, 1, 2**32)
    words = philox_words(rows, seed=seed, epoch=epoch, stream=stream)
    _sort_rows(words)
    return words.view(np.int64)


def permutations(
    rows: int, *, seeds: Sequence[int] | UInt64[np.ndarray, " seeds"], epochs: Sequence[int]
) -> Int[np.ndarray, "seeds epochs rows"]:
    """Returns what `permutation` does for each seed in each epoch, in less time and 32 bits.

    Args:
        rows: Number of rows, in [1, 2**31).
        seeds: Numbers in [0, 2**64).
        epochs: Numbers in [0, 2**64).

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> orders = permutations(5, seeds=[0, 1], epochs=[3])
        >>> (orders[1, 0] == permutation(5, seed=1, epoch=3)).all().item()
        True
    """
    require_int("rows", rows, 1, 2**31)
    for name, numbers in {"seeds": seeds, "epochs": epochs}.items():
        for position, number in enumerate(numbers):
            require_int(f"{name}[{position}]", number, 0, 2**64)
    orders = np.empty((len(seeds), len(epochs), rows), np.int32)
    words = np.empty((len(epochs), rows), np.uint64)
    # Setting a generator's key takes a tenth of the time of making one.
    generator = np.random.Philox(counter=_counter(0), key=0)
    state: Any = generator.state
    for seed, of_seed in zip(seeds, orders, strict=True):
        for epoch, row in zip(epochs, words, strict=True):
            state["state"]["key"] = np.array([seed, epoch], np.uint64)
            generator.state = state
            row[:] = generator.random_raw(rows)
        _sort_rows(words)
        of_seed[:] = words
    return orders


def philox_words(
    count: int, *, seed: int, epoch: int, stream: int = 0
) -> UInt64[np.ndarray, " count"]:
    """Returns the first `count` words of the Philox 4x64-10 generator with key (seed, epoch).

    Args:
        count: Number of words, at least 0.
        seed: Number in [0, 2**64).
        epoch: Number in [0, 2**64).
        stream: Number in [0, 2**64): the counter starts at (0, 0, 0, stream), so that no two
            streams share a word.

    Raises:
        ValueError: An argument is out of range.
    """
    for name, value in {"seed": seed, "epoch": epoch, "stream": stream}.items():
        require_int(name, value, 0, 2**64)
    key = np.array([seed, epoch], np.uint64)
    return np.random.Philox(counter=_counter(stream), key=key).random_raw(count)


def _counter(stream: int) -> UInt64[np.ndarray, "4"]:
    return np.array([0, 0, 0, stream], np.uint64)


def _sort_rows(words: UInt64[np.ndarray, "*many rows"]) -> None:
    """Puts in place of each row's words the numbers of the words in their order."""
    rows = words.shape[-1]
    low_bits = np.uint64((1 << (rows - 1).bit_length()) - 1)
    # In place and by tiles: the pages of further arrays would take as long as the sort.
    words &= ~low_bits
    for first in range(0, rows, _TILE):
        tile = words[..., first : first + _TILE]
        tile |= np.arange(first, first + tile.shape[-1], dtype=np.uint64)
    words.sort(axis=-1)
    words &= low_bits
