"""Turns a NumPy RandomState into every epoch's order of rows, as scikit-learn draws it."""

import warnings
from collections import deque
from typing import Any

import numpy as np

from ...fitting import bucket_of_rows

# A call of several epochs, which may end within, has 16, and those of the next are drawn meanwhile.
_KEPT = 32
# Row numbers of the orders that are kept, or two orders: 8 MB.
_KEPT_NUMBERS = 2**20


class ShuffledOrders:
    """A sampler whose order in an epoch is a shuffle of that in the epoch before.

    Orders are drawn ahead of their use, so that the state of the generator is wound back at the
    end: whoever shares it draws next what he would after scikit-learn's own fit.
    """

    def __init__(self, rows: int, random_state: np.random.RandomState) -> None:
        self._random_state, self._begin = random_state, 0
        self._first_state = random_state.get_state(legacy=False)
        # The latest orders, and the generator's state after each of the latest draws.
        kept = min(_KEPT, max(2, _KEPT_NUMBERS // rows))
        self._orders: deque[np.ndarray] = deque(maxlen=kept)
        self._states: deque[Any] = deque(maxlen=_KEPT)
        self._rows, self._count = rows, 0

    def __len__(self) -> int:
        return self._rows

    def order(self, epoch: int) -> np.ndarray:
        """Returns the order in an epoch of the run that is going on."""
        number = self._begin + epoch
        self._draw(number, len(self._orders))
        return self._orders[number - self._count]

    def draws_like(self, other: "ShuffledOrders") -> bool:
        """Whether another, of which no order was drawn either, draws the same by itself."""
        generators = self._random_state, other._random_state
        mine, theirs = (generator.get_state(legacy=False) for generator in generators)
        same = mine["state"]["pos"] == theirs["state"]["pos"] and np.array_equal(
            mine["state"]["key"], theirs["state"]["key"]
        )
        return same and len(self) == len(other) and generators[0] is not generators[1]

    def begin(self, epoch: int) -> None:
        """Begins a run whose epoch 0 is this one of all."""
        self._begin = epoch

    def wind_back(self, epochs: int) -> None:
        """Gives the generator the state that it had after so many epochs' orders, at least 1."""
        self._draw(epochs - 1, len(self._states))
        self._random_state.set_state(self._states[epochs - 1 - self._count])

    def _draw(self, number: int, kept: int) -> None:
        """Draws up to an order of all, anew from the first one if it is none of the latest."""
        if number < self._count - kept:
            self._random_state.set_state(self._first_state)
            self._orders.clear()
            self._states.clear()
            self._count = 0
        while self._count <= number:
            # What sklearn.utils.shuffle does, without its checks.
            places = np.arange(self._rows)
            self._random_state.shuffle(places)
            self._orders.append(self._orders[-1][places] if self._orders else places)
            self._states.append(self._random_state.get_state(legacy=False))
            self._count += 1


def choose_batch_size(batch_size: Any, rows: int) -> int:
    """Returns rows per batch; that of a single batch is a bucket, so that programs are few."""
    size = min(200, rows) if batch_size == "auto" else batch_size
    if size > rows:
        warnings.warn(
            f"batch_size={size} is larger than the number of rows, and is clipped to {rows}.",
            stacklevel=6,
        )
    return bucket_of_rows(rows) if size >= rows else int(size)
