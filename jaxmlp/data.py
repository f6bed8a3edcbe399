"""Turns rows, wherever they lie, into batches of one shape, in an order fixed by seed and epoch."""

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from .checks import require_bool, require_function, require_int, suggests_settings
from .loading import Block, JittedTransform, Transform, join_windows, make_order, make_reader
from .loading import positions as resume
from .network import Batch
from .sources import MemorySource
from .sources.choice import make_source


class DataLoader:
    """Iterates over batches of rows, in the role of PyTorch's `DataLoader`.

    Each iteration is one epoch. With `shuffle`, epochs differ, and the order of an epoch depends on
    `seed` and its number only. All batches have one shape, so a jitted step compiles once: the last
    one is filled up with rows of weight 0, which no weighted mean sees, or dropped.

    Arrays are copied, and batches are fresh NumPy arrays: changing either changes nothing else.
    64-bit numbers are stored as 32-bit ones unless JAX's 64-bit types are on, as JAX itself does.

    Files are streamed: a thread reads one window of chunks ahead, and `shuffle` shuffles the chunks
    and then the rows of each window. In memory are at most two windows, and two blocks of batches
    of 1 MiB each, or in `fit` four of 16 MiB, copies on the device included.

    Args:
        x: Inputs, one row per example: a NumPy or JAX array, shape (rows, ...), a pytree of them, a
            pandas or polars frame, a pyarrow table, SciPy's sparse rows, a dataset with `len` and
            `[]` whose examples are (x, y) or (x, y, weight), a read-only `np.memmap`, files as
            `sources.npy`, `parquet`, `arrow` and `csv` read them, or any `sources.Source`.
        y: Targets, one per row, of the same kinds, or `None`.
        weight: Weight of each row, finite and at least 0, shape (rows,); `None` means 1.
        batch_size: Rows per batch, at least 1; required but with `batch_sampler`.
        shuffle: Whether the order changes with every epoch.
        seed: Number in [0, 2**64) that fixes the order; 0 without `shuffle`.
        drop_last: Whether to leave out the last rows of an epoch when they fill no batch.
        check_finite: Whether to refuse NaN and infinity in `x` and `y`; where rows are not in
            memory, as they are read.
        sampler: Chooses an epoch's rows and their order: a `WeightedSampler`, a
            `StratifiedSampler`, any object with `order(epoch)` and a length, or row numbers that
            are iterated anew in every epoch, as PyTorch's samplers.
        batch_sampler: Lists of row numbers, iterated anew in every epoch: its batches, each filled
            up to its `batch_size` or, of a list of lists, to the longest.
        transform: Pure function `(batch) -> batch` of JAX arrays, jitted; `fit` compiles it into
            its steps. It must keep `batch.weight`, which tells padding.
        window_chunks: Chunks per window, at least 1; 16 unless given. More of them mix rows better.
            Where rows have no chunks, or a sampler chooses them, they are not read by windows.
        sharding: Where batches lie: they become global `jax.Array`s whose rows are cut so, and each
            process reads its own. The order does not depend on the number of processes.
        process_local: Whether `x`, `y` and `weight` are this process's own part of the rows, in
            memory, of which `sharding`'s other processes hold the others. Each part of a batch is
            drawn from the rows of its process, in equal shares for its devices; parts that end
            before others are filled up. All make the loader. Rows are numbered process by process.

    Raises:
        TimeoutError: With `process_local`, another process has made no loader in time.
        TypeError: An array holds objects, strings or complex numbers; a setting has the wrong type.
        ValueError: There are no rows, lengths differ, numbers are not finite, do not fit into 32
            bits or run together in them, a setting is out of range, or two contradict each other.

    Example:
        >>> loader = DataLoader(np.eye(5), np.arange(5), batch_size=2)
        >>> [batch.y.tolist() for batch in loader]
        [[0, 1], [2, 3], [4, 4]]
        >>> [batch.weight.tolist() for batch in loader]
        [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """

    @suggests_settings("DataLoader")
    def __init__(
        self,
        x: PyTree,
        y: PyTree = None,
        weight: Any = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        check_finite: bool = True,
        sampler: Any = None,
        batch_sampler: Any = None,
        transform: Transform | None = None,
        window_chunks: int | None = None,
        sharding: jax.sharding.Sharding | None = None,
        process_local: bool = False,
    ) -> None:
        switches = {"shuffle": shuffle, "drop_last": drop_last, "check_finite": check_finite}
        switches |= {"process_local": process_local}
        for name, value in switches.items():
            require_bool(name, value)
        self.source = make_source(x, y, weight, check_finite=check_finite)
        self._order = make_order(
            self.source,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            sampler=sampler,
            batch_sampler=batch_sampler,
            window_chunks=window_chunks,
            sharding=sharding,
            process_local=process_local,
        )
        if transform is not None:
            require_function("transform", transform, "(batch) -> batch", "of JAX arrays")
        self.check_finite = check_finite
        self.transform = transform
        self._jitted = transform and JittedTransform(transform)
        self.sharding, self.process_local = sharding, process_local
        self._reader = make_reader(self.source, self._order, check_finite, sharding)
        # Epoch and step that come next, of this iteration and of the next one to start.
        self._position = self._start = (0, 0)
        self._hashed = (-1, "")

    def __repr__(self) -> str:
        """Shows the source, and the settings that are not as by default."""
        return f"DataLoader({len(self.source)} rows of {type(self.source).__name__}, {self._order})"

    # Read-only, since the order was made of them.
    batch_size = property(operator.attrgetter("_order.batch_size"))
    shuffle = property(operator.attrgetter("_order.shuffle"))
    seed = property(operator.attrgetter("_order.seed"))
    drop_last = property(operator.attrgetter("_order.drop_last"))
    sampler = property(operator.attrgetter("_order.sampler"))
    batch_sampler = property(operator.attrgetter("_order.batch_sampler"))
    window_chunks = property(operator.attrgetter("_order.window_chunks"))
    parts = property(operator.attrgetter("_order.parts"))

    @property
    def rows(self) -> Batch | None:
        """All rows that this process was given, where they are dense arrays in memory."""
        return self._reader.rows

    def __getattr__(self, name: str) -> Any:
        """Gives `x`, `y` and `weight` of all rows, where they are in memory."""
        if name not in ("x", "y", "weight"):
            raise AttributeError(f"DataLoader has no attribute {name!r}.")
        if not isinstance(self.source, MemorySource):
            raise AttributeError(
                f"loader.{name} needs rows in memory; these come from a "
                f"{type(self.source).__name__}: use loader.source.read(rows)."
            )
        return getattr(self.source, name)

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        return len(self._order)

    def __iter__(self) -> Iterator[Batch]:
        """Starts the next epoch: the first iteration is epoch 0, the second epoch 1.

        After `load_state_dict`, the first iteration gives what is left of its epoch.
        """
        self._position = epoch, step = self._start
        self._start = (epoch + 1, 0)
        return self._hand_out(epoch, step, self._transformed(self._batches(epoch, step)))

    def _hand_out(self, epoch: int, step: int, batches: Iterator[Batch]) -> Iterator[Batch]:
        for done, batch in enumerate(batches, step + 1):
            self._position = (epoch, done)
            yield batch

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the row numbers of an epoch in the order in which they are visited.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        return self._order.order(epoch)

    def index(self, epoch: int) -> Int[np.ndarray, "steps batch"]:
        """Returns the row numbers of every batch of an epoch; ~i stands for row i as padding.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        return self._order.index(epoch)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Iterates over the batches of one epoch, whatever was iterated before.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        return self._transformed(self._batches(epoch, 0))

    def blocks(
        self, epoch: int, *, batches: int, step: int = 0, epochs: int = 1
    ) -> Iterator[Block]:
        """Iterates over the batches of epochs in blocks, before `transform`, and reads ahead.

        Args:
            epoch: Number of the first epoch, at least 0.
            batches: Batches per block, at least 1; fewer where they would take over 16 MiB. The
                last block of an epoch may have fewer.
            step: Number of batches of the first epoch to leave out at its front.
            epochs: Number of epochs, at least 1, of which the next one is read ahead, too.

        Raises:
            TypeError: A number is no int.
            ValueError: A number is out of range.
        """
        require_int("batches", batches, 1, None)
        require_int("epochs", epochs, 1, None)
        first = self._order.windows(epoch, step)
        rest = (self._order.windows(epoch + later, 0) for later in range(1, epochs))
        return self._reader.stream_blocks(itertools.chain([first], rest), min(batches, len(self)))

    def numbered(self, epoch: int, step: int = 0) -> Iterator[tuple[Batch, np.ndarray]]:
        """Iterates over an epoch's batches, before `transform`, and their row numbers.

        Args:
            epoch: Number of the epoch, at least 0.
            step: Number of batches to leave out at the front.
        """
        require_int("step", step, 0, len(self) + 1)
        if self.window_chunks is None:
            index = self.index(epoch)[step:]
            return zip(self._reader.read_index(index), index, strict=True)
        numbers = join_windows(self._order.windows(epoch, step), self.batch_size)
        return zip(self._batches(epoch, step), numbers, strict=True)

    def read(self, index: Int[np.ndarray | jax.Array, " batch"]) -> Batch:
        """Reads the rows of one batch, before `transform`.

        Args:
            index: Row numbers; ~i stands for row i as padding, which gets weight 0.

        Raises:
            TypeError: `index` is no array of ints.
            ValueError: There is no such row, or, with `sharding`, these are not `batch_size`.
        """
        return self._reader.read(index)

    def _batches(self, epoch: int, step: int) -> Iterator[Batch]:
        """Iterates over the batches from a step on, before `transform`."""
        if self.window_chunks is None:
            return self._reader.read_index(self.index(epoch)[step:])
        return self._reader.stream(self._order.windows(epoch, step))

    def _transformed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return map(self._jitted, batches) if self._jitted else batches

    def state_dict(self) -> dict[str, Any]:
        """Returns where the iteration stands: a small dict of numbers and texts, fit for JSON.

        Its step counts the batches handed out; the end of an epoch is the start of the next. It
        holds a hash of the data, which is computed once, and one of the order. With `process_local`
        the data are those of this process, which keeps a state of its own.

        Raises:
            TypeError: `sampler` or `batch_sampler` gives another order whenever it is iterated.
        """
        epoch, step = self._position
        return self.state_at((epoch + 1, 0) if step >= len(self) else (epoch, step))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the next iteration go on where `state` was taken, batch for batch.

        Args:
            state: What `state_dict` returned, of a loader with the same settings and data.

        Raises:
            TypeError: `state` is no such dict, or the order cannot be given again.
            ValueError: The settings or the data are not those of then.
        """
        position = resume.read_position(state)
        resume.check_state(state, self.state_at(position), len(self))
        self._position = self._start = position

    def state_at(self, position: tuple[int, int]) -> dict[str, Any]:
        """Returns what `state_dict` would, of an iteration at a position.

        Args:
            position: Epoch and step that come next.
        """
        epoch, _ = position
        if self._hashed[0] != epoch:
            self._hashed = (epoch, self._order.fingerprint(epoch))
        settings, data = self._order.settings(), self.source.fingerprint()
        return resume.make_state(position, settings=settings, order=self._hashed[1], data=data)
