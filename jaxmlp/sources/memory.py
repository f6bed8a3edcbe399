"""Turns arrays, frames and sparse rows in memory, or trees of them, into a source of rows."""

import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from ..checks import require_bool
from ..network import Batch
from .columns import column_names, ingest_frame, is_frame, read_numbers
from .ingestion import (
    as_array,
    freeze,
    hash_arrays,
    ingest,
    ingest_weight,
    is_sparse,
    named_leaves,
    require_rows,
)
from .resolution import require_resolved
from .source import RefillingSource, Source


class MemorySource:
    """Rows of arrays in memory, which are copied.

    A list is read as one array; dicts, tuples and other pytrees are named inputs, each an array.
    A frame or table of numbers becomes one matrix of its columns' common type, rows by position.
    SciPy's sparse rows stay sparse; those of a batch are made dense. 64-bit numbers are stored as
    32-bit ones unless JAX's 64-bit types are on, as JAX itself does.

    Args:
        x: Inputs, one row per example: an array, shape (rows, ...), a frame or table of pandas,
            polars or pyarrow, SciPy's sparse rows, or a pytree of them.
        y: Targets, one per row, of the same kinds, or `None`.
        weight: Weight of each row, finite and at least 0, shape (rows,); `None` means 1.
        check_finite: Whether to refuse NaN and infinity in `x` and `y`.

    Attributes:
        columns: Names of the columns of each frame, by the name of the frame: "x", "x['a']", "y".
        weight_exponent: Weights are stored divided by two to this exponent; 0 unless float32 would
            not hold them.

    Raises:
        TypeError: An array or column holds objects, strings or complex numbers.
        ValueError: There are no rows, lengths differ, columns have one name or nulls, or a value is
            not finite, does not fit into 32 bits, or is one of many that run together in them.

    Example:
        >>> source = MemorySource({"a": np.eye(3), "b": np.arange(3)}, np.arange(3))
        >>> batch = source.read(np.array([2, 0]))
        >>> batch.x["b"].tolist(), batch.y.tolist()
        ([2, 0], [2, 0])
    """

    chunks: Int[np.ndarray, " chunks_and_end"] | None = None

    def __init__(
        self, x: PyTree, y: PyTree = None, weight: Any = None, *, check_finite: bool = True
    ) -> None:
        require_bool("check_finite", check_finite)
        named, structure = named_leaves("x", x)
        named_y, structure_y = named_leaves("y", y)
        if not named:
            raise ValueError(f"x must hold at least one array; got {x!r}.")
        if not named_y and y is not None:
            raise ValueError(f"y must hold at least one array, or be None; got {y!r}.")
        leaves = [_ingest_leaf(*leaf, check_finite=check_finite) for leaf in (*named, *named_y)]
        rows = leaves[0].shape[0]
        if rows == 0:
            raise ValueError(
                f"{named[0][0]} must have at least one row; got {named[0][0]}.shape="
                f"{leaves[0].shape}."
            )
        for (name, _), leaf in zip((*named, *named_y), leaves, strict=True):
            if leaf.shape[0] != rows:
                raise ValueError(
                    f"{named[0][0]} and {name} must have the same number of rows; got {rows} and "
                    f"{leaf.shape[0]}."
                )
        leaves = [freeze(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        self.x = jax.tree.unflatten(structure, leaves[: len(named)])
        self.y = jax.tree.unflatten(structure_y, leaves[len(named) :])
        weights, self.weight_exponent = np.ones(rows, np.float32), 0
        if weight is not None:
            weights, self.weight_exponent = ingest_weight(read_numbers("weight", weight), rows)
        self.weight = freeze(weights)
        names = {name: column_names(leaf) for name, leaf in (*named, *named_y)}
        self.columns = {name: own for name, own in names.items() if own is not None}
        self.is_dense = all(isinstance(leaf, np.ndarray) for leaf in leaves)

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.weight)

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows by number.

        Args:
            rows: Numbers of the rows, in any order, repeated ones included.

        Raises:
            TypeError: `rows` is no array of integers.
            ValueError: There is no such row.
        """
        require_rows(rows, len(self))
        x, y = jax.tree.map(lambda leaf: _take(leaf, rows), (self.x, self.y))
        return Batch(x, y, self.weight[rows])

    @functools.cached_property
    def _fingerprint(self) -> str:
        named: list[tuple[str, np.ndarray]] = []
        for name, tree in (("x", self.x), ("y", self.y), ("weight", self.weight)):
            for path, leaf in named_leaves(name, tree)[0]:
                named += [(path, part) for part in _parts(leaf)]
        return hash_arrays(named)

    def fingerprint(self) -> str:
        """Returns a hash of all arrays, computed once."""
        return self._fingerprint


class JoinedSource:
    """Inputs from a source, and targets and weights from memory.

    Args:
        source: Gives the inputs, and no targets.
        y: Targets, one per row: an array, shape (rows, ...), or a pytree of them.
        weight: Weight of each row, finite and at least 0, shape (rows,); `None` means 1.
        check_finite: Whether to refuse NaN and infinity in `y`.

    Raises:
        ValueError: The source gives targets or weights itself, or lengths differ.
    """

    def __init__(
        self, source: Source, y: PyTree, weight: Any = None, *, check_finite: bool = True
    ) -> None:
        self.source = source
        first = source.read(np.zeros(1, np.int64))
        for name, own, given in (("y", first.y, y), ("weight", first.weight, weight)):
            if own is not None and given is not None:
                raise ValueError(
                    f"{name} must come from one place; got a {type(source).__name__} that gives "
                    f"{name} itself, and {name} beside it."
                )
        numbers = np.zeros(len(source), np.uint8)
        self.memory = MemorySource(numbers, y, weight, check_finite=check_finite)
        self.columns = {**getattr(source, "columns", {}), **self.memory.columns}
        self._has = (y is not None, weight is not None)
        self.chunks = source.chunks

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.source)

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows by number.

        Args:
            rows: Numbers of the rows, in any order, repeated ones included.
        """
        return self._join(self.source.read(rows), rows)

    def _join(self, batch: Batch, rows: np.ndarray) -> Batch:
        memory, (y, weight) = self.memory.read(rows), self._has
        return Batch(batch.x, memory.y if y else batch.y, memory.weight if weight else batch.weight)

    def fingerprint(self) -> str:
        """Returns a text that changes when the source's or the memory's data change."""
        return f"{self.source.fingerprint()} {self.memory.fingerprint()}"


class RefillingJoinedSource(JoinedSource):
    """A joined source whose inputs can be read into arrays that are there."""

    source: RefillingSource

    def read_into(self, rows: Int[np.ndarray, " n"], to: Batch) -> Batch:
        """Reads rows, those of the source into arrays, as `RefillingSource` says."""
        y, weight = self._has
        own = Batch(to.x, None if y else to.y, None if weight else to.weight)
        return self._join(self.source.read_into(rows, own), rows)


def _ingest_leaf(name: str, leaf: Any, *, check_finite: bool) -> Any:
    if is_frame(leaf):
        return ingest_frame(name, leaf, check_finite=check_finite)
    if not is_sparse(leaf):
        array = as_array(name, leaf)
        ingested = ingest(name, array, check_finite=check_finite)
        require_resolved(name, array, ingested.dtype)
        return ingested
    if leaf.ndim != 2:
        raise ValueError(f"{name}, being sparse, must have two axes; got shape {leaf.shape}.")
    rows = leaf.tocsr(copy=True)
    rows.sum_duplicates()

    def row_of(position: int) -> int:
        return int(np.searchsorted(rows.indptr, position, side="right")) - 1

    rows.data = ingest(f"{name}.data", rows.data, check_finite=check_finite, row_of=row_of)
    return rows


def _take(leaf: Any, rows: np.ndarray) -> np.ndarray:
    """Copies rows; `take` is faster than an index in brackets, and SciPy has none."""
    return leaf.take(rows, axis=0) if isinstance(leaf, np.ndarray) else leaf[rows].toarray()


def _parts(leaf: Any) -> tuple[np.ndarray, ...]:
    return (leaf,) if isinstance(leaf, np.ndarray) else (leaf.data, leaf.indices, leaf.indptr)
