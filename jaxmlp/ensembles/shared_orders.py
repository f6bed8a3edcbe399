"""Turns epochs of a loader into padded row numbers, drawn once for all calls that share them."""

import threading
from typing import Any

import numpy as np
from jaxtyping import Int

from ..data import DataLoader
from ..fitting import padded_index

# Row numbers that are kept: 64 MB.
_MOST_NUMBERS = 2**24


class SharedOrders:
    """The orders of rows of the members of a sweep that take the loader's.

    Threads share it. Those of the first epochs are kept, since each call begins with them.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._loader, self._lock = loader, threading.Lock()
        self._kept: dict[int, np.ndarray] = {}
        self._left = _MOST_NUMBERS

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers draw their own: a lock is of one process.
        return SharedOrders, (self._loader,)

    def index(self, epoch: int) -> Int[np.ndarray, "steps batch"]:
        """Returns what `padded_index` does; nothing may be written to it."""
        kept = self._kept.get(epoch)
        if kept is not None:
            return kept
        drawn = padded_index(self._loader, epoch)
        with self._lock:
            if epoch not in self._kept and drawn.size <= self._left:
                self._kept[epoch] = drawn
                self._left -= drawn.size
        return drawn
