"""Turns whatever a loader is given into a source of rows."""

import os
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from .columns import is_frame, reorder_columns
from .ingestion import is_mapped, is_sparse, named_leaves, package_of
from .memory import JoinedSource, MemorySource, RefillingJoinedSource
from .source import Source, is_refilling


def make_source(x: Any, y: Any, weight: Any, *, check_finite: bool) -> Source:
    """Returns the source of rows for what a user hands over.

    Raises:
        TypeError: `x` is a path, an iterable without row numbers, or a dataset of unnamed columns.
        ValueError: Targets or weights are given twice.
    """
    if isinstance(x, str | os.PathLike):
        raise TypeError(
            f"x must be rows; got the path {str(x)!r}. Open the file, as in "
            "jaxmlp.sources.npy(path)."
        )
    if "torch" in package_of(x) and hasattr(x, "tensors"):  # a TensorDataset
        x, y, weight = _join_tensors(x.tensors, y, weight)
    if is_dataset(x):
        from .datasets import DatasetSource

        x = DatasetSource(x)
    if is_mapped(x):
        # Targets and weights that are mapped as well are read beside the inputs.
        x, y, weight = _join_maps(x, y, weight)
    if isinstance(x, Source):
        if y is None and weight is None:
            return x
        kind = RefillingJoinedSource if is_refilling(x) else JoinedSource
        return kind(x, y, weight, check_finite=check_finite)
    if _is_leaf(x) and not _is_array(x) and isinstance(x, Iterable):
        raise TypeError(
            f"x must give rows by number; got a {type(x).__name__}, which can only be iterated. "
            "Give batches to fit itself, as jaxmlp.sources.batches(iterable)."
        )
    return MemorySource(x, y, weight, check_finite=check_finite)


def match_columns(source: Source, x: Any, y: Any = None) -> tuple[Any, Any]:
    """Puts the columns of frames into the order of the frames or tables that a source was made of.

    Args:
        source: The training data.
        x: Inputs to go with them: a frame, or a pytree of them; what has no names of columns, or
            goes with what has none, is returned as it is.
        y: Targets, likewise.

    Raises:
        ValueError: A column is missing, or one is there that the training data have not.
    """
    names: dict[str, Any] = getattr(source, "columns", {})

    def match(name: str, tree: Any) -> Any:
        leaves, structure = named_leaves(name, tree)
        matched = [reorder_columns(path, leaf, names.get(path)) for path, leaf in leaves]
        return jax.tree.unflatten(structure, matched)

    return match("x", x), match("y", y)


def require_same_columns(source: Source, other: Source) -> None:
    """Refuses a second source whose columns have other names, or another order, than the first's.

    Raises:
        ValueError: They differ.
    """
    names, own = (getattr(s, "columns", {}) for s in (source, other))
    for name in names.keys() & own.keys():
        if names[name] != own[name]:
            raise ValueError(
                f"{name} must have the columns of the training data, {list(names[name])}, in this "
                f"order; got {list(own[name])}. Name them in this order, or give the frame itself."
            )


def _join_maps(x: np.memmap, y: Any, weight: Any) -> tuple[Source, Any, Any]:
    from .arrays import npy

    mapped = [value if is_mapped(value) else None for value in (y, weight)]
    rest = [None if own is not None else v for own, v in zip(mapped, (y, weight), strict=True)]
    return npy(x, *mapped), rest[0], rest[1]


def is_dataset(x: Any) -> bool:
    """Whether a value is a dataset: it has a length and rows by number, and is no array."""
    if isinstance(x, Source):
        return False
    if "datasets" in package_of(x):
        return True
    by_number = hasattr(x, "__len__") and hasattr(x, "__getitem__")
    return _is_leaf(x) and by_number and not _is_array(x) and not isinstance(x, str | bytes)


def _is_leaf(x: Any) -> bool:
    return jax.tree_util.all_leaves([x])


def _is_array(x: Any) -> bool:
    arrays = ("__array__", "__array_interface__", "__jax_array__")
    return any(hasattr(x, name) for name in arrays) or is_frame(x) or is_sparse(x)


def _join_tensors(tensors: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    if len(tensors) > 3 or (len(tensors) > 1 and y is not None):
        raise ValueError(
            "A TensorDataset must hold x, or x and y, or x, y and weight, and these be given once; "
            f"got {len(tensors)} tensors."
        )
    own = (*tensors, *[None] * (3 - len(tensors)))
    return own[0], own[1] if y is None else y, own[2] if weight is None else weight
