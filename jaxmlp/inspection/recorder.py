"""Turns the states of a run into copies of its parameters at chosen epochs: `Recorder`."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ..checks import require_int
from ..train_step import TrainState


class Record(NamedTuple):
    """What a run was after some epochs.

    `epoch` counts the epochs that were done, 0 at the start. `params` are NumPy copies of the
    parameters that were trained, `metrics` the numbers of the last of these epochs: none at 0.
    """

    epoch: int
    params: PyTree
    metrics: dict[str, int | float]


class Recorder:
    """Keeps parameters and metrics at chosen epochs; give it to `jaxmlp.fit` as `on_epoch`.

    Training is the same, bit for bit: `fit` runs as without it, and its calls end at these epochs.
    Epochs are counted by how many are done: 0 is the start, and 1 comes after the epoch that the
    metrics call 0. The start, if it is due, and the last epoch are kept, whichever that is. Where
    `fit` goes on with a `state`, the same recorder may go on, too; after `resume` from a checkpoint
    it has the start and what came after the checkpoint.

    A function of your own may call it after each epoch, as `lambda state, metrics: recorder(state,
    metrics)`; tell it the start, then, by `begin(state, 0)`.

    Args:
        epochs: Which epochs to keep, each at least 0, in any order; list an epoch with the one
            before it where what it changed is to be seen. By default 0 to 4, then powers of two.
        max_bytes: Bytes of parameters to keep at most. If they need more, epochs that were listed
            are refused before training; of the default ones, those go first whose neighbours are
            nearest by the logarithm of the epoch, and first and last stay.

    Raises:
        TypeError: `epochs` or `max_bytes` are no ints.
        ValueError: They are out of range, or no epochs are listed; when it is called, `max_bytes`
            are too few.

    Example:
        >>> import jax, jaxmlp, optax
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        >>> recorder = Recorder(epochs=[0, 5])
        >>> result = jaxmlp.fit(
        ...     jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        ...     optax.adam(0.1),
        ...     jaxmlp.init_params(config, key=jax.random.key(0)),
        ...     jaxmlp.DataLoader(np.ones((8, 2), "f4"), np.ones(8, "f4"), batch_size=4),
        ...     epochs=20,
        ...     key=jax.random.key(1),
        ...     on_epoch=recorder,
        ... )
        >>> [record.epoch for record in recorder.records]
        [0, 5, 20]
    """

    def __init__(self, *, epochs: Iterable[int] | None = None, max_bytes: int = 2**28) -> None:
        require_int("max_bytes", max_bytes, 1, None)
        self._listed = None if epochs is None else _as_epochs(epochs)
        self._max_bytes = max_bytes
        self._records: list[Record] = []
        self._key: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"Recorder(epochs={[record.epoch for record in self._records]})"

    @property
    def records(self) -> tuple[Record, ...]:
        """What is kept, in the order of epochs."""
        return tuple(self._records)

    @property
    def key_data(self) -> np.ndarray | None:
        """Words of the random key of the run, `(0, seed)` of `jax.random.key(seed)`; `None` yet."""
        return self._key

    def begin(self, state: TrainState, epoch: int) -> None:
        """Keeps the start, if it is due; `fit` calls it.

        Args:
            state: What the first step is taken from.
            epoch: How many epochs were done before.

        Raises:
            ValueError: The recorder holds another run, or `max_bytes` are too few.
        """
        if self._records and epoch < self._records[-1].epoch:
            raise ValueError(
                f"the Recorder given as on_epoch has kept epoch {self._records[-1].epoch}, but "
                f"this run begins with epoch {epoch}; make a new one for each run."
            )
        self._check_budget(state)
        self._key = np.asarray(jax.random.key_data(state.key))
        if not self._records and self._is_due(epoch):
            self._keep(state, epoch, {})

    def next_epoch(self, epoch: int) -> int:
        """Returns the next epoch after `epoch` that is due; `fit` asks it.

        Args:
            epoch: A number of epochs that are done.
        """
        if self._listed is None:
            return _next_by_default(epoch)
        # Past the last one listed, none is due before the run's end.
        return next((due for due in self._listed if due > epoch), 2**62)

    def __call__(self, state: TrainState, metrics: Mapping[str, Any]) -> None:
        """Keeps the parameters after an epoch.

        Args:
            state: The state after it.
            metrics: Its metrics, "epoch" among them, from 0.
        """
        if self._records and not self._is_due(self._records[-1].epoch):
            # What was the newest, and is so no more.
            self._records.pop()
        self._keep(state, int(metrics["epoch"]) + 1, dict(metrics))

    def _check_budget(self, state: TrainState) -> None:
        size = count_bytes(state.params)
        # The last epoch is kept beside those that are listed.
        fewest = 2 if self._listed is None else len(self._listed) + 1
        if fewest * size > self._max_bytes:
            raise ValueError(
                f"max_bytes of the Recorder must hold {fewest} epochs of {size:,} bytes, "
                f"{fewest * size:,}; got {self._max_bytes:,}. Raise it"
                f"{'' if self._listed is None else ', or list fewer epochs'}."
            )

    def _is_due(self, epoch: int) -> bool:
        return self.next_epoch(epoch - 1) == epoch

    def _keep(self, state: TrainState, epoch: int, metrics: dict[str, int | float]) -> None:
        if not self._records:
            self._check_budget(state)
        params = jax.tree.map(np.array, jax.device_get(state.params))
        self._records.append(Record(epoch, params, metrics))
        if self._listed is None:
            most = max(2, self._max_bytes // max(1, count_bytes(params)))
            self._records = thin(self._records, most)


def thin(records: list[Record], most: int) -> list[Record]:
    """Drops records till `most` are left, at least 2: those in the narrowest gaps of log epoch."""
    kept = list(records)
    while len(kept) > most:
        logs = [math.log1p(record.epoch) for record in kept]
        gaps = [after - before for before, after in zip(logs[:-2], logs[2:], strict=True)]
        del kept[1 + int(np.argmin(gaps))]
    return kept


def _next_by_default(epoch: int) -> int:
    # 0 to 4, then powers of two.
    return epoch + 1 if epoch < 4 else 2 ** epoch.bit_length()


def _as_epochs(epochs: Iterable[int]) -> list[int]:
    if isinstance(epochs, str | bytes) or not isinstance(epochs, Iterable):
        raise TypeError(
            f"epochs must be numbers of epochs, as [0, 1, 10, 100], or None; got {epochs!r}."
        )
    listed = list(epochs)
    for index, epoch in enumerate(listed):
        require_int(f"epochs[{index}]", epoch, 0, None)
    if not listed:
        raise ValueError("epochs must list at least one epoch, or be None; got none.")
    return sorted(set(listed))


def count_bytes(params: PyTree) -> int:
    """Returns how many bytes parameters take."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(params))
