"""Turns a dataset of examples, of PyTorch, Hugging Face or your own, into a source of rows."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from ..checks import require_bool
from ..network import Batch
from .examples import (
    Names,
    Parts,
    copy_arrays,
    join_columns,
    name_parts,
    split_example,
    stack_examples,
)
from .ingestion import hash_arrays, ingest, named_leaves, package_of, require_rows
from .resolution import is_narrowed, require_resolved

# As many rows, spread evenly, stand for the data in their fingerprint.
_SAMPLED_ROWS = 64


class DatasetSource:
    """Rows of anything with `len` and `[]`, read when they are needed.

    An example is an array, (x, y), (x, y, weight), or a dict whose parts are named here; each part
    an array, a tensor, an image, a number, or a pytree of them, of one shape and type in all rows.
    Rows are read many at once where the dataset can: a `datasets.Dataset` always, others through
    `__getitems__`, or with `batched`; else one by one.

    Args:
        dataset: The dataset. It is not copied.
        x: Where examples are dicts, the name of the inputs; or names of columns that are joined
            into a matrix; or a dict from names of inputs to names of columns.
        y: Likewise of the targets; `None` for none.
        weight: Likewise the name of the rows' weight.
        batched: Whether `dataset[rows]`, with an array of row numbers, gives all of them at once.

    Raises:
        KeyError: Examples lack a part.
        TypeError: The dataset has no length or no `[]`, parts are not named as examples need it, or
            hold no numbers.
        ValueError: There are no rows, or 64-bit floats run together in 32 bits, by 64 rows.

    Example:
        >>> source = DatasetSource([{"a": 1, "b": 2.5}, {"a": 3, "b": 4.5}], x=["a", "b"])
        >>> source.read(np.array([1, 0])).x.tolist()
        [[3.0, 4.5], [1.0, 2.5]]
    """

    chunks: Int[np.ndarray, " chunks_and_end"] | None = None

    def __init__(
        self,
        dataset: Any,
        *,
        x: Names = None,
        y: Names = None,
        weight: str | None = None,
        batched: bool = False,
    ) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                "A dataset must have a length and give rows by number; got a "
                f"{type(dataset).__name__}. Give an iterable of batches to fit itself, as "
                "jaxmlp.sources.batches(iterable)."
            )
        self._parts = name_parts(x, y, weight)
        require_bool("batched", batched)
        self._batched = batched
        if "datasets" in package_of(dataset):
            dataset = _with_arrays(dataset, self._parts)
            self._batched = True
        self._dataset = dataset
        if len(dataset) == 0:
            raise ValueError("A dataset must have at least one row; got none.")
        self._refuse_early()

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self._dataset)

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows by number.

        Args:
            rows: Numbers of the rows, in any order, repeated ones included.

        Raises:
            TypeError: `rows` is no array of integers.
            ValueError: There is no such row, or one has another shape or kind of number than the
                first.
        """
        require_rows(rows, len(self))
        return join_columns(self._read(rows), self._parts)

    def _read(self, rows: np.ndarray) -> Batch:
        if self._batched:
            batch = split_example(self._read_batched(rows), self._parts)
            # A dataset may give views of its own memory.
            return copy_arrays(batch)
        if hasattr(self._dataset, "__getitems__"):
            examples = self._dataset.__getitems__(rows.tolist())
        else:
            examples = [self._dataset[row] for row in rows.tolist()]
        return stack_examples([split_example(e, self._parts) for e in examples], rows)

    def _sampled(self) -> np.ndarray:
        return np.unique(np.linspace(0, len(self) - 1, _SAMPLED_ROWS).astype(np.int64))

    def _refuse_early(self) -> None:
        """Refuses what holds no numbers, and 64-bit floats that run together in 32 bits."""
        first = self._read(np.zeros(1, np.int64))
        join_columns(first, self._parts)
        stored = [
            ingest(name.lstrip("."), leaf, check_finite=False).dtype
            for name, leaf in named_leaves("", first)[0]
        ]
        leaves = jax.tree.leaves((first.x, first.y))
        if any(is_narrowed(leaf.dtype, dtype) for leaf, dtype in zip(leaves, stored, strict=False)):
            sample = self._read(self._sampled())
            for (name, leaf), dtype in zip(
                named_leaves("", sample._replace(weight=None))[0], stored, strict=False
            ):
                require_resolved(name.lstrip("."), leaf, dtype)

    def _read_batched(self, rows: np.ndarray) -> Any:
        try:
            return self._dataset[_native(self._dataset, rows)]
        except TypeError as error:
            raise TypeError(
                "batched=True needs a dataset that gives many rows for an array of their numbers; "
                f"a {type(self._dataset).__name__} does not: {error}. Leave batched out."
            ) from error

    def fingerprint(self) -> str:
        """Returns a hash of the number of rows and of 64 of them, spread evenly.

        A dataset whose rows are random has another one each time.
        """
        batch = self.read(self._sampled())
        return hash_arrays([("rows", np.array(len(self))), *named_leaves("", batch)[0]])


def _with_arrays(dataset: Any, parts: Parts) -> Any:
    """Makes a `datasets.Dataset` give NumPy arrays of its columns, in the types it stores."""
    if isinstance(dataset, dict):
        raise TypeError(
            f"x must be one dataset; got the splits {list(dataset)}. Give one, as "
            f"dataset[{next(iter(dataset), '')!r}]."
        )
    if parts.x is None:
        raise TypeError(
            f"Name the columns of the dataset, {dataset.column_names}, as in "
            "jaxmlp.sources.DatasetSource(dataset, x='image', y='label')."
        )
    missing = sorted(set(parts.columns()) - set(dataset.column_names))
    if missing:
        raise KeyError(f"The dataset has no columns {missing}; it has {dataset.column_names}.")
    if dataset.format["type"] is not None:
        return dataset
    # Without dtype=None, it would turn every integer into 64 bits.
    return dataset.with_format("numpy", columns=parts.columns(), dtype=None)


def _native(dataset: Any, rows: np.ndarray) -> Any:
    return rows.tolist() if "datasets" in package_of(dataset) else rows
