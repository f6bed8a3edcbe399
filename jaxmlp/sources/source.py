"""Tells what a source of rows offers to a loader: rows by number, wherever they lie."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from ..types import Batch


@runtime_checkable
class Source(Protocol):
    """Rows that can be read by number, wherever they lie.

    `chunks` holds the first row of each chunk of rows that lie together, and the number of rows
    last; it is `None` where any row costs the same.
    """

    chunks: Int[np.ndarray, " chunks_and_end"] | None

    def __len__(self) -> int:
        """Returns the number of rows."""
        ...

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows by number.

        Args:
            rows: Numbers of the rows, in any order, repeated ones included.

        Returns:
            Fresh NumPy arrays in the order asked: `x` any pytree, `y` any pytree or `None`, and
            `weight` or `None`.
        """
        ...

    def fingerprint(self) -> str:
        """Returns a text that changes when the data change."""
        ...
