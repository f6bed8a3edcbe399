"""Turns an iterable of anyone's batches into one of batches of arrays of one shape."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from ..checks import require_bool
from ..network import Batch
from .checks import BatchCheck
from .examples import Names, Parts, copy_arrays, join_columns, name_parts, split_example


def batches(
    iterable: Iterable[Any],
    *,
    x: Names = None,
    y: Names = None,
    weight: str | None = None,
    check_finite: bool = True,
) -> Iterable[Batch]:
    """Makes another library's batches fit for `fit`: a PyTorch `DataLoader`, a Grain pipeline.

    Each batch (x, y), (x, y, weight), or dict becomes a `Batch` of NumPy arrays. All have the size
    of the first: shorter ones are filled up with rows of weight 0, so that one program is compiled.

    Args:
        iterable: Gives batches, of tensors or arrays, anew whenever it is iterated.
        x: Where batches are dicts, the name of the inputs; or names of columns that are joined
            into a matrix; or a dict from names of inputs to names of columns.
        y: Likewise of the targets; `None` for none.
        weight: Likewise the name of the rows' weight.
        check_finite: Whether to refuse NaN and infinity.

    Returns:
        An iterable of batches, which iterates yours.

    Raises:
        TypeError: It is no iterable, or an iterator that was used up; when iterated, batches hold
            no numbers.
        ValueError: When iterated, a batch is larger than the first, or does not look like it.

    Example:
        >>> pairs = [(np.ones((2, 3)), np.array([0, 1])), (np.ones((1, 3)), np.array([1]))]
        >>> [batch.weight.tolist() for batch in batches(pairs)]
        [[1.0, 1.0], [1.0, 0.0]]
    """
    if isinstance(iterable, Batch) or not isinstance(iterable, Iterable):
        raise TypeError(f"batches needs an iterable of batches; got a {type(iterable).__name__}.")
    require_bool("check_finite", check_finite)
    return _Batches(iterable, name_parts(x, y, weight), check_finite)


@dataclasses.dataclass
class _Batches:
    iterable: Iterable[Any]
    parts: Parts
    check_finite: bool
    started: bool = False

    def __iter__(self) -> Iterator[Batch]:
        if self.started and isinstance(self.iterable, Iterator):
            raise TypeError(
                f"A {type(self.iterable).__name__} is used up after its first epoch; give batches "
                "an object whose __iter__ starts anew."
            )
        self.started = True
        return self._read()

    def _read(self) -> Iterator[Batch]:
        check, size = BatchCheck(check_finite=self.check_finite), 0
        for number, example in enumerate(self.iterable):
            batch = join_columns(copy_arrays(split_example(example, self.parts)), self.parts)
            leaves = jax.tree.leaves(batch.x)
            if not leaves:
                raise ValueError(f"x must hold at least one array; batch {number} has none.")
            # A single number has no rows, which the check refuses.
            rows = len(leaves[0]) if leaves[0].ndim else 0
            batch = check(batch, np.arange(rows))
            size = size or rows
            if rows > size:
                raise ValueError(
                    f"Batches must be no larger than the first, {size} rows; batch {number} has "
                    f"{rows}."
                )
            weight = np.ones(rows, np.float32) if batch.weight is None else batch.weight
            batch = batch._replace(weight=weight)
            if rows < size:
                padded = np.resize(np.arange(rows), size)
                batch = jax.tree.map(lambda a, index=padded: a[index], batch)
                batch.weight[rows:] = 0
            yield batch
