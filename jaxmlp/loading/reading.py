"""Turns row numbers into batches: gathered in memory, streamed, or read one by one."""

import collections
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from ..network import Batch
from ..sources import MemorySource, Source
from ..sources.checks import BatchCheck
from ..sources.source import is_refilling
from .batching import check_index, join_windows, keep_positions
from .epoch_order import EpochOrder
from .placement import check_sharding, local_positions, place_batches
from .row_parts import RowParts
from .streaming import Block, count_batches, stream_blocks

# Of blocks that are taken apart again: those from memory stay in the processor's cache.
_GATHERED_BYTES, _STREAMED_BYTES = 2**19, 2**20
# Of blocks that go to a device as a whole.
_BLOCK_BYTES = 2**24


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """Reads batches of a source; `positions` are those in a batch that this process holds.

    `used_up` has the memory of up to two windows, for the next ones.
    """

    source: Source
    check: BatchCheck
    batch_size: int
    sharding: jax.sharding.Sharding | None
    positions: Int[np.ndarray, " local_rows"] | None
    parts: RowParts | None = None
    used_up: list[Batch] = dataclasses.field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        # That memory is this one's: a copy has its own, and a file needs none of it.
        return {**self.__dict__, "used_up": []}

    @property
    def rows(self) -> Batch | None:
        """All rows, where they are dense arrays in memory."""
        source = self.source
        if not isinstance(source, MemorySource):
            return None
        return Batch(source.x, source.y, source.weight) if source.is_dense else None

    def read(self, index: Int[np.ndarray | jax.Array, " batch"]) -> Batch:
        """Reads the rows of one batch; ~i stands for row i as padding, which gets weight 0."""
        rows = len(self.source) if self.parts is None else self.parts.rows
        return self._read_batch(check_index(index, rows))

    def _read_batch(self, index: np.ndarray) -> Batch:
        if self.positions is None:
            return self._read(index)
        if len(index) != self.batch_size:
            raise ValueError(
                f"index must name the {self.batch_size} rows of a batch, which sharding cuts; got "
                f"{len(index)}."
            )
        return self._place(self._read(index[self.positions]))

    def read_index(self, index: Int[np.ndarray, "steps batch"]) -> Iterator[Batch]:
        """Reads batch after batch, whose row numbers are given."""
        rows = self.rows
        if rows is None or self.positions is not None:
            return map(self._read_batch, index)
        return _unstack(self._gather(rows, index))

    def stream(self, windows: Iterable[np.ndarray]) -> Iterator[Batch]:
        """Reads batches of windows ahead, only those rows that this process holds."""
        size = self.batch_size
        if self.positions is not None:
            windows = keep_positions(windows, self.positions, size)
            size = len(self.positions)
        batches = _unstack(self._stream([windows], size, None, _STREAMED_BYTES))
        return batches if self.positions is None else map(self._place, batches)

    def stream_blocks(
        self, epochs: Iterable[Iterable[np.ndarray]], most_batches: int
    ) -> Iterator[Block]:
        """Reads blocks of epochs' windows ahead, of so many batches that take at most 16 MiB.

        With a sharding, a process reads its own rows; their arrays are global.
        """
        if self.positions is None:
            return self._stream(epochs, self.batch_size, most_batches, _BLOCK_BYTES)
        return self._stream_parts(epochs, self.positions, most_batches)

    def _stream_parts(
        self,
        epochs: Iterable[Iterable[np.ndarray]],
        positions: Int[np.ndarray, " local_rows"],
        most_batches: int,
    ) -> Iterator[Block]:
        size = self.batch_size
        # The thread that reads comes before the blocks.
        seen: collections.deque[np.ndarray] = collections.deque()

        def noted(windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            for window in windows:
                seen.append(window)
                yield window

        kept = (keep_positions(noted(windows), positions, size) for windows in epochs)
        numbers = join_windows((seen.popleft() for _ in itertools.count()), size)
        for block in self._stream(kept, len(positions), most_batches, _BLOCK_BYTES):
            batch = self._place(block.batch, stacked=True)
            yield Block(np.stack([*itertools.islice(numbers, len(block.numbers))]), batch)

    def _stream(
        self,
        epochs: Iterable[Iterable[np.ndarray]],
        batch_size: int,
        most_batches: int | None,
        most_bytes: int,
    ) -> Iterator[Block]:
        return stream_blocks(
            self._read,
            epochs,
            batch_size=batch_size,
            counted_rows=self.batch_size,
            most_batches=most_batches,
            most_bytes=most_bytes,
            sort=self.source.chunks is not None,
            used_up=self.used_up if is_refilling(self.source) else None,
        )

    def _gather(self, rows: Batch, index: np.ndarray) -> Iterator[Block]:
        """Gathers several batches at once, which takes less time than one by one."""
        count = count_batches(rows, self.batch_size, most_bytes=_GATHERED_BYTES)
        leaves, structure = jax.tree.flatten(rows)
        for first in range(0, len(index), count):
            numbers = index[first : first + count]
            is_padded = numbers.min() < 0
            places = np.where(numbers < 0, ~numbers, numbers) if is_padded else numbers
            batch = structure.unflatten([leaf.take(places, axis=0) for leaf in leaves])
            if is_padded:
                batch.weight[numbers < 0] = 0
            yield Block(numbers, batch)

    def _read(self, index: np.ndarray, to: Batch | None = None) -> Batch:
        """Reads rows; into arrays that it gave before, if the source can refill them."""
        is_padding = index < 0
        rows = np.where(is_padding, ~index, index)
        if self.parts is not None:
            rows = self._own(rows)
        if to is not None and is_refilling(self.source):
            batch = self.source.read_into(rows, to)
        else:
            batch = self.source.read(rows)
        if not isinstance(self.source, MemorySource):
            batch = self.check(batch, rows)
        weight = np.ones(len(rows), np.float32) if batch.weight is None else batch.weight
        return batch._replace(weight=np.where(is_padding, np.float32(0), weight))

    def _own(self, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Returns the places of rows among those that this process holds."""
        assert self.parts is not None
        first, count = self.parts.own_first, len(self.source)
        if rows.min() < first or rows.max() >= first + count:
            raise ValueError(
                "With process_local=True index must name, where this process's devices hold a "
                f"batch, rows of this process, in [{first}, {first + count}); got rows in "
                f"[{rows.min()}, {rows.max()}]. loader.index(epoch) does."
            )
        return rows - first

    def _place(self, local: Batch, *, stacked: bool = False) -> Batch:
        assert self.sharding is not None
        assert self.positions is not None
        size = self.batch_size
        return place_batches(local, self.positions, self.sharding, size, stacked=stacked)


def make_reader(
    source: Source,
    order: EpochOrder,
    check_finite: bool,
    sharding: jax.sharding.Sharding | None,
) -> Reader:
    """Finds out which rows of a batch this process holds.

    Raises:
        TypeError: `sharding` is no sharding.
        ValueError: It does not cut batches into equal parts of their rows.
    """
    batch_size = order.batch_size
    if sharding is not None:
        check_sharding(sharding, batch_size)
    return Reader(
        source=source,
        check=BatchCheck(check_finite=check_finite),
        batch_size=batch_size,
        sharding=sharding,
        positions=None if sharding is None else local_positions(sharding, batch_size),
        parts=order.parts,
    )


def _unstack(blocks: Iterable[Block]) -> Iterator[Batch]:
    # Without a line of Python per batch.
    return itertools.chain.from_iterable(map(_split, blocks))


def _split(block: Block) -> Iterator[Batch]:
    parts = [_split_tree(part, len(block.numbers)) for part in block.batch]
    # What `Batch._make` does, in two thirds of the time of `Batch(*part)`.
    return map(functools.partial(tuple.__new__, Batch), zip(*parts, strict=False))


def _split_tree(tree: PyTree, batches: int) -> Iterator[PyTree]:
    if isinstance(tree, np.ndarray):
        return iter(tree[:batches])
    leaves, structure = jax.tree.flatten(tree)
    if not leaves:
        return itertools.repeat(tree)
    used = [leaf[:batches] for leaf in leaves]
    return map(structure.unflatten, zip(*used, strict=True))
