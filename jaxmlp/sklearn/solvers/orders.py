"""Turns a NumPy RandomState into every epoch's order of rows, as scikit-learn draws it."""

import warnings
from collections import deque
from typing import Any

import numpy as np

from ...fitting import bucket_of_rows

# A run asks for an epoch ahead at most, and a call of several epochs, which may end within, has 16.
_KEPT_ORDERS = 2
_KEPT_STATES = 32


class ShuffledOrders:
    """A sampler whose order in an epoch is a shuffle of that in the epoch before.

    Orders are drawn ahead of their use, so that the state of the generator is wound back at the
    end: whoever shares it draws next what he would after scikit-learn's own fit.
    """

    def __init__(self, rows: int, random_state: np.random.RandomState) -> None:
        self._random_state = random_state
        self._latest = np.arange(rows)
        self._count = self._begin = 0
        # The latest orders, and the generator's state after each of the latest draws.
        self._orders: deque[np.ndarray] = deque(maxlen=_KEPT_ORDERS)
        self._states: deque[Any] = deque(maxlen=_KEPT_STATES)

    def __len__(self) -> int:
        return len(self._latest)

    def order(self, epoch: int) -> np.ndarray:
        """Returns the order in an epoch of the run that is going on, not long before the latest."""
        number = self._begin + epoch
        while self._count <= number:
            # What sklearn.utils.shuffle does, without its checks.
            places = np.arange(len(self))
            self._random_state.shuffle(places)
            self._latest = self._latest[places]
            self._orders.append(self._latest)
            self._states.append(self._random_state.get_state(legacy=False))
            self._count += 1
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
        self._random_state.set_state(self._states[epochs - 1 - self._count])


def choose_batch_size(batch_size: Any, rows: int) -> int:
    """Returns rows per batch; that of a single batch is a bucket, so that programs are few."""
    size = min(200, rows) if batch_size == "auto" else batch_size
    if size > rows:
        warnings.warn(
            f"batch_size={size} is larger than the number of rows, and is clipped to {rows}.",
            stacklevel=6,
        )
    return bucket_of_rows(rows) if size >= rows else int(size)
