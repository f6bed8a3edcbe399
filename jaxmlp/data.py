"""Turns arrays in memory into batches of one shape, in an order fixed by seed and epoch alone."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int, Shaped

from .types import Batch


class DataLoader:
    """Iterates over batches of rows, in the role of PyTorch's `DataLoader`.

    Each iteration is one epoch. With `shuffle`, epochs differ, and the order of an epoch depends on
    `seed` and its number only. All batches have one shape, so a jitted step compiles once: the last
    one is filled up with rows of weight 0, which no weighted mean sees, or dropped.

    The arrays are copied, and batches are fresh NumPy arrays: changing either changes nothing else.
    64-bit numbers are stored as 32-bit ones unless JAX's 64-bit types are on, as JAX itself does.

    Args:
        x: Inputs, one row per example: a NumPy or JAX array, shape (rows, ...).
        y: Targets, one per row, shape (rows, ...), or `None`.
        weight: Weight of each row, finite and at least 0, shape (rows,); `None` means 1.
        batch_size: Rows per batch, at least 1.
        shuffle: Whether the order changes with every epoch.
        seed: Number in [0, 2**64) that fixes the order.
        drop_last: Whether to leave out the last rows of an epoch when they fill no batch.
        check_finite: Whether to refuse NaN and infinity in `x` and `y`.

    Raises:
        TypeError: An array holds objects, strings or complex numbers; a setting has the wrong type.
        ValueError: There are no rows, lengths differ, a value is not finite or does not fit into 32
            bits, or a setting is out of range.

    Example:
        >>> loader = DataLoader(np.eye(5), np.arange(5), batch_size=2)
        >>> [batch.y.tolist() for batch in loader]
        [[0, 1], [2, 3], [4, 0]]
        >>> [batch.weight.tolist() for batch in loader]
        [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """

    def __init__(
        self,
        x: Shaped[np.ndarray | jax.Array, "rows ..."],
        y: Shaped[np.ndarray | jax.Array, "rows ..."] | None = None,
        weight: Shaped[np.ndarray | jax.Array, " rows"] | None = None,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        check_finite: bool = True,
    ) -> None:
        switches = {"shuffle": shuffle, "drop_last": drop_last, "check_finite": check_finite}
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise TypeError(f"{name} must be True or False; got {value!r}.")
        self.x = _ingest("x", x, check_finite=check_finite)
        rows = len(self.x)
        if rows == 0:
            raise ValueError(f"x must have at least one row; got x.shape={self.x.shape}.")
        self.y = None if y is None else _ingest("y", y, check_finite=check_finite)
        if self.y is not None and len(self.y) != rows:
            raise ValueError(
                f"x and y must have the same number of rows; got {rows} and {len(self.y)}."
            )
        self.weight = np.ones(rows, np.float32) if weight is None else _check_weight(weight, rows)
        _require_int("batch_size", batch_size, 1, None)
        _require_int("seed", seed, 0, 2**64)
        if drop_last and rows < batch_size:
            raise ValueError(
                f"drop_last=True leaves no batch, since {rows} rows do not fill a batch of "
                f"{batch_size}; lower batch_size or keep the last batch."
            )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self._next_epoch = 0

    def __len__(self) -> int:
        """Returns the number of batches in an epoch."""
        rows = len(self.x)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Starts the next epoch: the first iteration is epoch 0, the second epoch 1."""
        epoch = self._next_epoch
        self._next_epoch += 1
        return self.epoch(epoch)

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the row numbers of an epoch in the order in which they are visited.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        _require_int("epoch", epoch, 0, 2**64)
        if not self.shuffle:
            return np.arange(len(self.x))
        return permutation(len(self.x), seed=self.seed, epoch=epoch)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Iterates over the batches of one epoch, whatever was iterated before.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        return self._batches(self.order(epoch))

    def _batches(self, order: np.ndarray) -> Iterator[Batch]:
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            index = order[start : start + self.batch_size]
            real = len(index)
            # Padding repeats rows of the epoch, so that it is never out of a loss's domain.
            if real < self.batch_size:
                index = np.concatenate([index, np.resize(order, self.batch_size - real)])
            weight = self.weight[index]
            weight[real:] = 0
            yield Batch(self.x[index], None if self.y is None else self.y[index], weight)


def permutation(rows: int, *, seed: int, epoch: int) -> Int[np.ndarray, " rows"]:
    """Returns a random order of `rows` rows that depends on its arguments and nothing else.

    Row i gets the i-th word of the Philox 4x64-10 generator with key (seed, epoch), a published
    algorithm whose words no NumPy version changes; rows are sorted by their words. The row number
    stands in the low bits of the word, which makes words distinct: any sort gives the same order.

    Args:
        rows: Number of rows, in [1, 2**32).
        seed: Number in [0, 2**64).
        epoch: Number in [0, 2**64).

    Returns:
        Each of 0 .. rows - 1 once.

    Raises:
        ValueError: An argument is out of range.

    References:
        Salmon et al. 2011, section 3.3.

    Example:
        >>> permutation(5, seed=0, epoch=0).tolist() != permutation(5, seed=0, epoch=1).tolist()
        True
    """
    _require_int("rows", rows, 1, 2**32)
    _require_int("seed", seed, 0, 2**64)
    _require_int("epoch", epoch, 0, 2**64)
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(rows)
    low_bits = np.uint64((1 << (rows - 1).bit_length()) - 1)
    words = (words & ~low_bits) | np.arange(rows, dtype=np.uint64)
    words.sort()
    return (words & low_bits).astype(np.int64)


def class_weights(
    y: Shaped[np.ndarray | jax.Array, " rows"], weights: Mapping[int, float] | None = None
) -> Float[np.ndarray, " rows"]:
    """Returns a weight per row from a weight per class, for `DataLoader(weight=...)`.

    Args:
        y: Integer classes, shape (rows,).
        weights: Weight of each class that occurs, finite and at least 0; `None` balances them:
            `rows / (classes * rows of the class)`, so that each counts as much in all.

    Raises:
        TypeError: `y` does not hold integers.
        ValueError: `weights` misses a class that occurs, or names one that does not.

    Example:
        >>> print(class_weights(np.array([0, 0, 0, 1])).round(2))
        [0.67 0.67 0.67 2.  ]
    """
    array = np.asarray(y)
    if array.dtype.kind not in "iub" or array.ndim != 1:
        raise TypeError(
            f"y must hold integer classes, shape (rows,); got {array.dtype}{list(array.shape)}."
        )
    classes, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    if weights is None:
        by_class = len(array) / (len(classes) * counts)
    elif set(weights) != set(classes.tolist()):
        raise ValueError(
            f"weights must name the classes that occur, {classes.tolist()}; got {sorted(weights)}."
        )
    else:
        by_class = np.array([weights[label] for label in classes.tolist()])
    return by_class[inverse].astype(np.float32)


def _ingest(name: str, values: Any, *, check_finite: bool) -> np.ndarray:
    """Copies an array into the type that JAX gives it."""
    try:
        array = np.array(values)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array; {error}.") from error
    if array.dtype.kind not in "biuf" and not jax.numpy.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"{name} must hold real numbers; got an array of {array.dtype}. Encode categories as "
            "integers, as in np.unique(values, return_inverse=True)."
        )
    if array.ndim == 0:
        raise ValueError(f"{name} must have one row per example; got a single number.")
    if check_finite and jax.numpy.issubdtype(array.dtype, np.floating):
        finite = np.isfinite(array)
        if not finite.all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ValueError(
                f"{name} must be finite; got {array[where]} at index {where} and "
                f"{finite.size - np.count_nonzero(finite)} such values in all. Impute or drop "
                "these rows, or pass check_finite=False."
            )
    # JAX takes native byte order only.
    dtype = jax.dtypes.canonicalize_dtype(array.dtype.newbyteorder("="))
    if dtype != array.dtype:
        limits = np.iinfo(dtype) if array.dtype.kind in "iu" else np.finfo(dtype)
        finite = array[np.isfinite(array)]
        if finite.size and (finite.min() < limits.min or finite.max() > limits.max):
            raise ValueError(
                f"{name} must fit into {dtype}; got values in [{finite.min()}, {finite.max()}]. "
                "Call jax.config.update('jax_enable_x64', True) to keep 64-bit numbers."
            )
    return array.astype(dtype, copy=False)


def _check_weight(weight: Any, rows: int) -> np.ndarray:
    array = _ingest("weight", weight, check_finite=True)
    if array.shape != (rows,):
        raise ValueError(f"weight must have shape ({rows},), one per row; got {array.shape}.")
    if array.min() < 0 or array.max() == 0:
        raise ValueError(
            "weight must be at least 0, and above 0 for some row; got values in "
            f"[{array.min()}, {array.max()}]."
        )
    return array.astype(np.float32)


def _require_int(name: str, value: Any, lowest: int, end: int | None) -> None:
    requirement = f"an int of at least {lowest}" + ("" if end is None else f" and below {end}")
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} must be {requirement}; got {value!r}.")
    if value < lowest or (end is not None and value >= end):
        raise ValueError(f"{name} must be {requirement}; got {value}.")
