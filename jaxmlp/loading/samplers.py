"""Turns weights and classes of rows into the order, or the weight, in which rows are visited."""

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Int, Shaped

from ..checks import as_real_array, require_bool, require_int, require_number
from ..sources.columns import read_numbers
from .order import philox_words


@runtime_checkable
class Sampler(Protocol):
    """Chooses the rows of an epoch, and their order, from the epoch's number alone."""

    def __len__(self) -> int:
        """Returns the number of rows that an epoch visits."""
        ...

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the row numbers of an epoch in the order in which they are visited.

        Args:
            epoch: Number of the epoch, at least 0.
        """
        ...


class WeightedSampler:
    """Draws rows with a probability in proportion to their weight.

    With replacement, draws are independent. Without, each is made from the rows that are left, as
    in PyTorch's `WeightedRandomSampler`. An epoch's draws depend on `seed` and its number only.

    Args:
        weights: Weight of each row, finite and at least 0, shape (rows,); any sum. An array, a list
            or a column of a frame.
        num_samples: Rows that an epoch visits, at least 1; `None` means as many as there are.
        replacement: Whether a row may be drawn again in the same epoch.
        seed: Number in [0, 2**64) that fixes the draws.

    Raises:
        ValueError: A weight is negative or not finite, all are 0, or fewer rows have a weight above
            0 than are drawn without replacement.

    References:
        Without replacement: Efraimidis & Spirakis 2006, algorithm A.

    Example:
        >>> sampler = WeightedSampler(np.array([0, 1, 3]), num_samples=4)
        >>> bool((sampler.order(0) > 0).all())
        True
    """

    def __init__(
        self,
        weights: Shaped[np.ndarray | jax.Array, " rows"] | Any,
        num_samples: int | None = None,
        *,
        replacement: bool = True,
        seed: int = 0,
    ) -> None:
        array = np.array(as_real_array("weights", read_numbers("weights", weights)), np.float64)
        if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any() or not array.any():
            raise ValueError(
                "weights must be one number per row, finite, at least 0, and above 0 for some row; "
                f"got shape {array.shape} and values {array.reshape(-1)[:8]}."
            )
        num_samples = len(array) if num_samples is None else num_samples
        require_int("num_samples", num_samples, 1, None)
        require_int("seed", seed, 0, 2**64)
        require_bool("replacement", replacement)
        positive = np.count_nonzero(array)
        if not replacement and num_samples > positive:
            raise ValueError(
                f"num_samples must be at most {positive}, the rows of weight above 0, without "
                f"replacement; got {num_samples}."
            )
        self.weights = array
        self.num_samples = int(num_samples)
        self.replacement = replacement
        self.seed = int(seed)

    def __len__(self) -> int:
        """Returns the number of rows that an epoch visits."""
        return self.num_samples

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Draws the row numbers of an epoch.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        # By a power of two, which is exact, so that no sum overflows.
        with np.errstate(under="ignore"):
            weights = np.ldexp(self.weights, -int(np.frexp(self.weights.max())[1]))
        if self.replacement:
            ends = np.cumsum(weights)
            uniform = _uniform(self.num_samples, seed=self.seed, epoch=epoch)
            # Rounding may reach the last end, where no row begins.
            last = np.flatnonzero(weights)[-1]
            return np.minimum(np.searchsorted(ends, uniform * ends[-1], side="right"), last)
        uniform = _uniform(len(weights), seed=self.seed, epoch=epoch)
        positive = np.flatnonzero(self.weights)
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            # Exponential waiting times of rate w: the first to arrive are the rows drawn.
            exponential = -np.log1p(-uniform[positive])
            waiting = np.zeros(len(positive))
            np.divide(exponential, weights[positive], out=waiting, where=exponential > 0)
            # Tells those apart that are too long for a float.
            logarithm = np.log(exponential) - np.log(self.weights[positive])
        return positive[np.lexsort((logarithm, waiting))[: self.num_samples]]


class StratifiedSampler:
    """Visits every row once, with the classes spread evenly over the epoch.

    The rows of a class come in a random order, one in each n-th part of the epoch for a class of n
    rows. So any k successive rows hold a class of share s in [0, 1] k * s times, give or take
    1 + s * classes: every batch has about the classes of the whole. An epoch's order depends on
    `seed` and its number only, not on the size of batches.

    Args:
        labels: Integer classes, shape (rows,): an array, a list or a column of a frame.
        seed: Number in [0, 2**64) that fixes the order.

    Raises:
        TypeError: `labels` does not hold integers.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> order = StratifiedSampler(labels).order(0)
        >>> labels[order[:3]].sum(), labels[order[3:]].sum()
        (np.int64(1), np.int64(1))
    """

    def __init__(
        self, labels: Shaped[np.ndarray | jax.Array, " rows"] | Any, *, seed: int = 0
    ) -> None:
        _, self._class, self._counts = np.unique(
            _as_classes("labels", labels), return_inverse=True, return_counts=True
        )
        require_int("seed", seed, 0, 2**64)
        self.seed = int(seed)

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self._class)

    def order(self, epoch: int) -> Int[np.ndarray, " rows"]:
        """Returns the row numbers of an epoch in the order in which they are visited.

        Args:
            epoch: Number of the epoch, at least 0.

        Raises:
            ValueError: `epoch` is negative.
        """
        rows, classes = len(self._class), len(self._counts)
        words = philox_words(rows + classes, seed=self.seed, epoch=epoch)
        by_class = np.lexsort((words[:rows], self._class))
        sorted_class = self._class[by_class]
        first = np.cumsum(self._counts) - self._counts
        rank = np.arange(rows) - first[sorted_class]
        phase = _to_unit(words[rows:])
        # Row j of n in its class stands at (j + phase) / n.
        place = (rank + phase[sorted_class]) / self._counts[sorted_class]
        return by_class[np.argsort(place, kind="stable")]


def class_weights(
    y: Shaped[np.ndarray | jax.Array, " rows"] | Any, weights: Mapping[int, float] | None = None
) -> Float[np.ndarray, " rows"]:
    """Returns a weight per row from a weight per class, for `DataLoader(weight=...)`.

    Args:
        y: Integer classes, shape (rows,): an array, a list or a column of a frame.
        weights: Weight of each class that occurs, finite and at least 0; `None` balances them:
            `rows / (classes * rows of the class)`, so that each counts as much in all.

    Raises:
        TypeError: `y` does not hold integers.
        ValueError: `weights` misses a class that occurs, or names one that does not.

    Example:
        >>> print(class_weights(np.array([0, 0, 0, 1])).round(2))
        [0.67 0.67 0.67 2.  ]
    """
    array = _as_classes("y", y)
    classes, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    if weights is None:
        by_class = len(array) / (len(classes) * counts)
    elif not isinstance(weights, Mapping):
        raise TypeError(
            f"weights must be a dict from class to weight, as {{0: 1.0, 1: 2.0}}; got {weights!r}."
        )
    elif set(weights) != set(classes.tolist()):
        raise ValueError(
            f"weights must name the classes that occur, {classes.tolist()}; got {list(weights)}."
        )
    else:
        for label, value in weights.items():
            name, requirement = f"weights[{label!r}]", "finite and at least 0"
            require_number(name, value, requirement, lambda v: 0 <= v < math.inf)
        by_class = np.array([weights[label] for label in classes.tolist()])
    return by_class[inverse].astype(np.float32)


def _as_classes(name: str, values: Any) -> np.ndarray:
    array = read_numbers(name, values)
    if array.dtype.kind not in "iub" or array.ndim != 1:
        raise TypeError(
            f"{name} must hold integer classes, shape (rows,); got {array.dtype}"
            f"{list(array.shape)}."
        )
    return array


def _uniform(count: int, *, seed: int, epoch: int) -> np.ndarray:
    return _to_unit(philox_words(count, seed=seed, epoch=epoch))


def _to_unit(words: np.ndarray) -> np.ndarray:
    """Turns words into numbers in [0, 1), multiples of 2**-53, all as likely."""
    return (words >> np.uint64(11)) * 2.0**-53
