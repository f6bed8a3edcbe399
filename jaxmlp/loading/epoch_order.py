"""Turns the settings of a loader into the row numbers of every batch of an epoch."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..checks import require_int
from ..sources import Source
from ..sources.ingestion import hash_arrays
from . import batching
from .order import permutation
from .row_parts import RowParts, find_parts
from .window_order import windows


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EpochOrder:
    """Which rows come when; see `DataLoader`, whose settings these are.

    `rows` is the number of rows in the source; `chunks` are its chunks where it is read by windows,
    and `None` elsewhere, as is `window_chunks`; `parts` are those of rows of which each process
    holds its own.
    """

    rows: int
    chunks: Int[np.ndarray, " chunks_and_end"] | None
    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool
    sampler: Any
    batch_sampler: Any
    window_chunks: int | None
    parts: RowParts | None

    def __repr__(self) -> str:
        shown = [f"batch_size={self.batch_size}"]
        shown += [f"{name}=True" for name in ("shuffle", "drop_last") if getattr(self, name)]
        shown += [f"seed={self.seed}"] if self.shuffle else []
        for name in ("sampler", "batch_sampler"):
            if (value := getattr(self, name)) is not None:
                shown.append(f"{name}={type(value).__name__}(...)")
        shown += [] if self.parts is None else ["process_local=True"]
        return ", ".join(shown)

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        if self.parts is not None:
            return self.parts.count_steps(drop_last=self.drop_last)
        rows = self.rows if self.sampler is None else len(self.sampler)
        return batching.count_steps(rows, self.batch_size, drop_last=self.drop_last)

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the row numbers of an epoch in the order in which they are visited."""
        if self.batch_sampler is not None or self.parts is not None:
            index = self.index(epoch)
            return index[index >= 0]
        require_int("epoch", epoch, 0, 2**64)
        if self.sampler is not None:
            return batching.read_order(self.sampler, epoch, self.rows)
        if self.chunks is not None:
            return np.concatenate([*self._windows(epoch, 0)])
        return self._order_of(self.rows, epoch)

    def _order_of(self, rows: int, epoch: int, stream: int = 0) -> Int[np.ndarray, " rows"]:
        if not self.shuffle:
            return np.arange(rows)
        return permutation(rows, seed=self.seed, epoch=epoch, stream=stream)

    def index(self, epoch: int) -> batching.Index:
        """Returns the row numbers of every batch of an epoch; ~i stands for row i as padding."""
        require_int("epoch", epoch, 0, 2**64)
        if self.batch_sampler is not None:
            return batching.read_batches(self.batch_sampler, self.batch_size, self.rows)
        if self.parts is not None:
            lengths = enumerate(self.parts.lengths.tolist())
            orders = [self._order_of(rows, epoch, part) for part, rows in lengths]
            return self.parts.join(orders, drop_last=self.drop_last)
        return batching.cut_order(self.order(epoch), self.batch_size, drop_last=self.drop_last)

    def windows(self, epoch: int, step: int) -> Iterator[batching.Numbers]:
        """Iterates over the row numbers from a step on, in the parts that are read at once.

        These are windows of chunks, or else batches. The whole index is made for the latter only.
        """
        require_int("step", step, 0, len(self) + 1)
        if self.chunks is None:
            return iter(self.index(epoch)[step:])
        start = min(self.rows, step * self.batch_size)
        wanted = min(self.rows, len(self) * self.batch_size) - start
        return batching.cut_windows(self._windows(epoch, start), wanted, self.batch_size)

    def settings(self) -> dict[str, Any]:
        """Returns what the order follows from, beside samplers and chunks, fit for JSON."""
        settings = {
            "batch_size": int(self.batch_size),
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seed": int(self.seed),
            "rows": self.rows,
        }
        if self.window_chunks is not None:
            settings["window_chunks"] = self.window_chunks
        if self.parts is not None:
            settings["rows_of_parts"] = self.parts.lengths.tolist()
        return settings

    def fingerprint(self, epoch: int) -> str:
        """Returns a hash of an epoch's order, or of the chunks, from which that follows.

        Raises:
            TypeError: A sampler gives another order whenever it is iterated.
        """
        batching.require_fixed(sampler=self.sampler, batch_sampler=self.batch_sampler)
        fixed = self.index(epoch) if self.chunks is None else np.asarray(self.chunks)
        return hash_arrays([("order", fixed)])

    def _windows(self, epoch: int, start: int) -> Iterator[batching.Numbers]:
        assert self.chunks is not None
        assert self.window_chunks is not None
        return windows(
            self.chunks,
            window_chunks=self.window_chunks,
            shuffle=self.shuffle,
            seed=self.seed,
            epoch=epoch,
            start=start,
        )


def make_order(
    source: Source,
    *,
    batch_size: int | None,
    shuffle: bool,
    seed: int,
    drop_last: bool,
    sampler: Any,
    batch_sampler: Any,
    window_chunks: int | None,
    sharding: jax.sharding.Sharding | None,
    process_local: bool,
) -> EpochOrder:
    """Checks the settings of a loader that choose rows and their order.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting is out of range, or two contradict each other.
    """
    if batch_sampler is not None:
        batch_size = batching.check_batch_sampler(
            batch_sampler,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            sampler=sampler,
            drop_last=drop_last,
        )
        batch_sampler = batching.copy_numbers(batch_sampler)
        if isinstance(batch_sampler, tuple):
            batch_sampler = tuple(map(batching.copy_numbers, batch_sampler))
    rows, chunks, parts = len(source), source.chunks, None
    if process_local:
        chosen = {"sampler": sampler, "batch_sampler": batch_sampler}
        parts = find_parts(source, batch_size=batch_size, sharding=sharding, **chosen)
        rows = parts.rows
    name = "batch_size" if batch_sampler is None else "batch_sampler.batch_size"
    batch_size = require_int(name, batch_size, 1, None)
    require_int("seed", seed, 0, 2**64)
    if sampler is not None:
        batching.check_sampler(sampler, shuffle=shuffle, seed=seed)
        sampler = batching.copy_numbers(sampler)
    if sampler is not None or batch_sampler is not None:
        chunks = None
    elif seed and not shuffle:
        raise ValueError(
            f"seed={seed} has no effect without shuffle; give shuffle=True, or leave seed out."
        )
    order = EpochOrder(
        rows=rows,
        chunks=chunks,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        sampler=sampler,
        batch_sampler=batch_sampler,
        window_chunks=batching.check_window(window_chunks, chunks, rows),
        parts=parts,
    )
    chosen = rows if sampler is None else len(sampler)
    if not len(order) and parts is not None:
        raise ValueError(
            f"drop_last=True leaves no batch, since the shortest part has {parts.lengths.min()} "
            f"rows, of which a batch takes {parts.share}; lower batch_size or keep the last batch."
        )
    if not len(order):
        raise ValueError(
            f"drop_last=True leaves no batch, since {chosen} rows do not fill a batch of "
            f"{batch_size}; lower batch_size or keep the last batch."
        )
    batching.check_batch_size(name, batch_size, chosen)
    return order
