"""Turns rows, wherever they lie, into batches of one shape, in an order fixed by seed and epoch."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from . import batching, resume
from .order import permutation, require_int
from .placement import check_sharding, local_positions, place_batch
from .sources.checks import BatchCheck
from .sources.choice import make_source
from .sources.ingestion import hash_arrays
from .sources.memory import MemorySource
from .transforms import Transform, apply_transform
from .types import Batch


class DataLoader:
    """Iterates over batches of rows, in the role of PyTorch's `DataLoader`.

    Each iteration is one epoch. With `shuffle`, epochs differ, and the order of an epoch depends on
    `seed` and its number only. All batches have one shape, so a jitted step compiles once: the last
    one is filled up with rows of weight 0, which no weighted mean sees, or dropped.

    Arrays are copied, and batches are fresh NumPy arrays: changing either changes nothing else.
    64-bit numbers are stored as 32-bit ones unless JAX's 64-bit types are on, as JAX itself does.

    Args:
        x: Inputs, one row per example: a NumPy or JAX array, shape (rows, ...), a pytree of them, a
            pandas or polars frame, a pyarrow table, SciPy's sparse rows, a dataset with `len` and
            `[]` whose examples are (x, y) or (x, y, weight), or any `sources.Source`.
        y: Targets, one per row, of the same kinds, or `None`.
        weight: Weight of each row, finite and at least 0, shape (rows,); `None` means 1.
        batch_size: Rows per batch, at least 1; required but with `batch_sampler`.
        shuffle: Whether the order changes with every epoch.
        seed: Number in [0, 2**64) that fixes the order.
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
        sharding: Where batches lie: they become global `jax.Array`s whose rows are cut so, and each
            process reads its own. The order does not depend on the number of processes.

    Raises:
        TypeError: An array holds objects, strings or complex numbers; a setting has the wrong type.
        ValueError: There are no rows, lengths differ, a value is not finite or does not fit into 32
            bits, a setting is out of range, or two settings contradict each other.

    Example:
        >>> loader = DataLoader(np.eye(5), np.arange(5), batch_size=2)
        >>> [batch.y.tolist() for batch in loader]
        [[0, 1], [2, 3], [4, 0]]
        >>> [batch.weight.tolist() for batch in loader]
        [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """

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
        sharding: jax.sharding.Sharding | None = None,
    ) -> None:
        switches = {"shuffle": shuffle, "drop_last": drop_last, "check_finite": check_finite}
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False; got {value!r}.")
        self.source = make_source(x, y, weight, check_finite=check_finite)
        rows = len(self.source)
        if batch_sampler is not None:
            batch_size = batching.check_batch_sampler(
                batch_sampler,
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                sampler=sampler,
                drop_last=drop_last,
            )
        require_int("batch_size", batch_size, 1, None)
        assert batch_size is not None
        require_int("seed", seed, 0, 2**64)
        if sampler is not None:
            batching.check_sampler(sampler, shuffle=shuffle, seed=seed)
            rows = len(sampler)
        if drop_last and rows < batch_size:
            raise ValueError(
                f"drop_last=True leaves no batch, since {rows} rows do not fill a batch of "
                f"{batch_size}; lower batch_size or keep the last batch."
            )
        if transform is not None and not callable(transform):
            raise TypeError(f"transform must be a function of a batch; got {transform!r}.")
        self._positions = None
        if sharding is not None:
            check_sharding(sharding, batch_size)
            self._positions = local_positions(sharding, batch_size)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.transform = transform
        self._jitted = transform and jax.jit(functools.partial(apply_transform, transform))
        self.sharding = sharding
        self._check = BatchCheck(check_finite=check_finite)
        # Epoch and step that come next, of this iteration and of the next one to start.
        self._position = self._start = (0, 0)
        self._hashed: tuple[Any, str] = (None, "")

    @property
    def rows(self) -> Batch | None:
        """All rows, where they are dense arrays in memory and batches need not be sharded."""
        source = self.source
        if self.sharding is not None or not isinstance(source, MemorySource):
            return None
        return Batch(source.x, source.y, source.weight) if source.is_dense else None

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
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        rows = len(self.source) if self.sampler is None else len(self.sampler)
        return batching.count_steps(rows, self.batch_size, drop_last=self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Starts the next epoch: the first iteration is epoch 0, the second epoch 1.

        After `load_state_dict`, the first iteration gives what is left of its epoch.
        """
        self._position = epoch, step = self._start
        self._start = (epoch + 1, 0)
        return self._hand_out(epoch, step, self.index(epoch)[step:])

    def _hand_out(self, epoch: int, step: int, index: np.ndarray) -> Iterator[Batch]:
        for batch in self._transformed(self.read_all(index)):
            step += 1
            self._position = (epoch, step)
            yield batch

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the row numbers of an epoch in the order in which they are visited.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        if self.batch_sampler is not None:
            index = self.index(epoch)
            return index[index >= 0]
        require_int("epoch", epoch, 0, 2**64)
        if self.sampler is not None:
            return batching.read_order(self.sampler, epoch, len(self.source))
        if not self.shuffle:
            return np.arange(len(self.source))
        return permutation(len(self.source), seed=self.seed, epoch=epoch)

    def index(self, epoch: int) -> Int[np.ndarray, "steps batch"]:
        """Returns the row numbers of every batch of an epoch; ~i stands for row i as padding.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        require_int("epoch", epoch, 0, 2**64)
        if self.batch_sampler is not None:
            return batching.read_batches(self.batch_sampler, self.batch_size, len(self.source))
        return batching.cut_order(self.order(epoch), self.batch_size, drop_last=self.drop_last)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Iterates over the batches of one epoch, whatever was iterated before.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        return self._transformed(self.read_all(self.index(epoch)))

    def read_all(self, index: Int[np.ndarray, "steps batch"]) -> Iterator[Batch]:
        """Reads batch after batch as `index` names their rows, before `transform`.

        Args:
            index: Row numbers of every batch, as the method `index` gives them.
        """
        return map(self.read, index)

    def read(self, index: Int[np.ndarray, " batch"]) -> Batch:
        """Reads the rows of one batch, before `transform`.

        Args:
            index: Row numbers; ~i stands for row i as padding, which gets weight 0.
        """
        if self.sharding is None or self._positions is None:
            return self._read(index)
        local = self._read(index[self._positions])
        return place_batch(local, self._positions, self.sharding, len(index))

    def _read(self, index: np.ndarray) -> Batch:
        is_padding = index < 0
        rows = np.where(is_padding, ~index, index)
        batch = self.source.read(rows)
        if not isinstance(self.source, MemorySource):
            batch = self._check(batch, rows)
        weight = np.ones(len(rows), np.float32) if batch.weight is None else batch.weight
        return batch._replace(weight=np.where(is_padding, np.float32(0), weight))

    def _transformed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return map(self._jitted, batches) if self._jitted else batches

    def state_dict(self) -> dict[str, Any]:
        """Returns where the iteration stands: a small dict of numbers and texts, fit for JSON.

        Its step counts the batches handed out; the end of an epoch is the start of the next. It
        holds a hash of the data, which is computed once, and one of the order.

        Raises:
            TypeError: `sampler` or `batch_sampler` gives another order whenever it is iterated.
        """
        epoch, step = self._position
        return self._state((epoch + 1, 0) if step >= len(self) else (epoch, step))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the next iteration go on where `state` was taken, batch for batch.

        Args:
            state: What `state_dict` returned, of a loader with the same settings and data.

        Raises:
            TypeError: `state` is no such dict, or the order cannot be given again.
            ValueError: The settings or the data are not those of then.
        """
        position = resume.read_position(state)
        resume.check_state(state, self._state(position), len(self))
        self._position = self._start = position

    def _state(self, position: tuple[int, int]) -> dict[str, Any]:
        batching.require_fixed(sampler=self.sampler, batch_sampler=self.batch_sampler)
        settings = {
            "batch_size": int(self.batch_size),
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seed": int(self.seed),
            "rows": len(self.source),
        }
        key = (position[0], *settings.values())
        if self._hashed[0] != key:
            self._hashed = (key, hash_arrays([("index", self.index(position[0]))]))
        data = self.source.fingerprint()
        return resume.make_state(position, settings=settings, order=self._hashed[1], data=data)
