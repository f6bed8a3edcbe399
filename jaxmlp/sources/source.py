"""Says what a source of rows must offer, so that batches can be read from it."""

from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
from jaxtyping import Int

from ..network import Batch


@runtime_checkable
class Source(Protocol):
    """Rows that can be read by number, wherever they lie."""

    @property
    def chunks(self) -> Int[np.ndarray, " chunks_and_end"] | None:
        """First row of each chunk of rows that lie together, and the number of rows last.

        It is `None` where any row costs the same.
        """
        ...

    def __len__(self) -> int:
        """Returns the number of rows."""
        ...

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows into fresh NumPy arrays, in the order asked.

        Args:
            rows: Row numbers in [0, len), in any order.

        Returns:
            `x` as any pytree, `y` as any pytree or `None`, `weight` or `None`; each array has the
            rows asked on its first axis.
        """
        ...

    def fingerprint(self) -> str:
        """Returns a text that changes when the data change."""
        ...


class RefillingSource(Source, Protocol):
    """A source that can read into arrays that it gave before: fresh memory takes time."""

    def read_into(self, rows: Int[np.ndarray, " n"], to: Batch) -> Batch:
        """Reads rows as `read` does, but into arrays that are there.

        Args:
            rows: Row numbers in [0, len), in any order.
            to: Arrays as the source gave them before, as long as `rows`; a weight that it does not
                have is left as it is.

        Returns:
            What `read` would, in these arrays.
        """
        ...


def is_refilling(source: Source) -> TypeGuard[RefillingSource]:
    """Whether a source can read into arrays what its own `read` gives.

    A class that changes `read` alone, of one of ours or of a source that it wraps, cannot.
    """
    kinds = type(source).__mro__
    places = [
        next((i for i, kind in enumerate(kinds) if name in vars(kind)), len(kinds))
        for name in ("read_into", "read")
    ]
    return places[0] < len(kinds) and places[0] <= places[1]
