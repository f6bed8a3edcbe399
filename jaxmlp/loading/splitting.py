"""Turns arrays with the same rows into a training and a test part, in the proportions of labels."""

import math
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, PyTree

from ..sources import Source
from ..sources.columns import is_frame
from ..sources.ingestion import is_sparse, package_of
from .order import permutation

# Loaders count epochs from 0, so a split never has the order of one of their epochs.
_ROW_ORDER = 2**64 - 1
_CLASS_ORDER = 2**64 - 2


def train_test_split(
    *arrays: PyTree,
    test_size: int | float,  # noqa: PYI041 a runtime type checker tells them apart
    seed: int,
    stratify: Any = None,
) -> tuple[Any, ...]:
    """Splits rows at random into two parts, the same rows in every array.

    The split depends on its arguments only, whatever the version of NumPy. Both parts are shuffled.

    Args:
        arrays: Arrays with the same number of rows, frames and series of pandas or polars, tables
            and arrays of pyarrow, SciPy's sparse rows, or pytrees of them, such as dicts.
        test_size: Rows in the test part, an int of at least 1, or their share in (0, 1):
            `ceil(test_size * rows)`, as in scikit-learn.
        seed: Number in [0, 2**64) that fixes the split.
        stratify: Labels of any kind that sorts, shape (rows,); each part has them in the
            proportions of the whole, with the class counts of scikit-learn's
            `StratifiedShuffleSplit`: the training part's share of a class rounded down, and rows
            still missing to the classes with the largest remainders. Of equal remainders `seed`
            picks, so that no class is favoured.

    Returns:
        `(train, test)` for the first array, then for the second, and so on: copies of the kind that
        was given; of sparse rows, in the format CSR.

    Raises:
        TypeError: `test_size` or `seed` is no number, or something in `arrays` has no rows.
        ValueError: Numbers of rows differ, a part would be empty, or, with `stratify`, a class has
            one row only or a part has fewer rows than there are classes.

    Example:
        Three parts by splitting twice:

        >>> x, y = np.arange(20).reshape(10, 2), np.array(["a", "b"] * 5)
        >>> x_rest, x_test, y_rest, y_test = train_test_split(
        ...     x, y, test_size=2, seed=0, stratify=y)
        >>> x_train, x_val, y_train, y_val = train_test_split(
        ...     x_rest, y_rest, test_size=0.25, seed=0, stratify=y_rest)
        >>> [len(part) for part in (x_train, x_val, x_test)]
        [6, 2, 2]
        >>> sorted(y_test.tolist())
        ['a', 'b']
    """
    rows = _count_rows(arrays)
    test_rows = _count_test_rows(test_size, rows)
    order = permutation(rows, seed=seed, epoch=_ROW_ORDER)
    if stratify is None:
        in_test = np.arange(rows) < test_rows
    else:
        codes, counts = _encode_strata(stratify, rows)
        _check_strata(counts, test_rows, rows - test_rows)
        train_counts = _allocate(counts, rows - test_rows, seed)
        in_test = _positions_in_class(codes[order]) < (counts - train_counts)[codes[order]]
    train, test = order[~in_test], order[in_test]
    return tuple(
        jax.tree.map(lambda leaf, chosen=chosen: _take(leaf, chosen), array)
        for array in arrays
        for chosen in (train, test)
    )


def _take(leaf: Any, chosen: Int[np.ndarray, " chosen"]) -> Any:
    if is_sparse(leaf):
        return leaf.tocsr()[chosen]
    if hasattr(leaf, "iloc"):  # pandas
        return leaf.iloc[chosen]
    return leaf.take(chosen) if "pyarrow" in package_of(leaf) else leaf[chosen]


def _count_rows(arrays: tuple[PyTree, ...]) -> int:
    leaves = [
        (f"array {number}{jax.tree_util.keystr(path)}", leaf)
        for number, array in enumerate(arrays)
        for path, leaf in jax.tree.leaves_with_path(array)
    ]
    if not leaves:
        raise ValueError("train_test_split needs at least one array; got none.")
    counts = {}
    for name, leaf in leaves:
        if hasattr(leaf, "collect"):
            raise TypeError(
                f"{name} must be a frame with rows; got a lazy one. Give its collect()."
            )
        if isinstance(leaf, Source):
            raise TypeError(
                f"{name} must be an array or a frame; got a {type(leaf).__name__}. Read its rows, "
                "as in source.read(np.arange(len(source))), or give a source files of its own."
            )
        shape = getattr(leaf, "shape", ())
        if not shape and not (is_frame(leaf) and hasattr(leaf, "__len__")):
            raise TypeError(
                f"{name} must have rows; got {leaf!r:.200}. Turn lists into arrays with np.asarray."
            )
        counts[name] = int(shape[0]) if shape else len(leaf)
    if len(set(counts.values())) > 1:
        raise ValueError(f"arrays must have the same number of rows; got {counts}.")
    return next(iter(counts.values()))


def _count_test_rows(test_size: Any, rows: int) -> int:
    requirement = (
        f"test_size must be an int in [1, {rows - 1}] or a share in (0, 1) that leaves a row for "
        f"each part of {rows} rows"
    )
    if isinstance(test_size, bool) or not isinstance(test_size, int | float | np.number):
        raise TypeError(f"{requirement}; got {test_size!r}.")
    is_share = isinstance(test_size, float | np.floating)
    if is_share and not 0 < test_size < 1:
        raise ValueError(f"{requirement}; got {test_size}.")
    test_rows = math.ceil(test_size * rows) if is_share else int(test_size)
    if not 1 <= test_rows < rows:
        raise ValueError(f"{requirement}; got {test_size}.")
    return test_rows


def _encode_strata(stratify: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the class of every row, and number of rows of every class."""
    if np.ma.is_masked(stratify):
        raise ValueError(
            f"stratify must not have masked labels; got {np.ma.count_masked(stratify)}. Fill them, "
            "as in stratify.filled(-1), or drop these rows."
        )
    labels = np.asarray(stratify)
    if labels.shape != (rows,):
        raise ValueError(
            f"stratify must have shape ({rows},), a label per row; got {labels.shape}."
        )
    try:
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    except TypeError as error:
        raise TypeError(f"stratify must hold labels of one type, to be sorted; {error}.") from error
    return codes, counts


def _check_strata(counts: np.ndarray, test_rows: int, train_rows: int) -> None:
    if counts.min() < 2:
        raise ValueError(
            "stratify must have at least two rows of every class, one for each part; got "
            f"{np.count_nonzero(counts < 2)} classes with one row. Drop or join rare classes."
        )
    if min(test_rows, train_rows) < len(counts):
        raise ValueError(
            f"with stratify each part must have at least as many rows as there are classes, "
            f"{len(counts)}; got {train_rows} for training and {test_rows} for the test."
        )


def _allocate(counts: np.ndarray, drawn: int, seed: int) -> Int[np.ndarray, " classes"]:
    """Largest remainders: `counts * drawn / sum(counts)`, rounded so that the sum is `drawn`."""
    floors, remainders = np.divmod(counts.astype(np.int64) * drawn, counts.sum())
    tie_breaker = permutation(len(counts), seed=seed, epoch=_CLASS_ORDER)
    missing = drawn - int(floors.sum())
    floors[np.lexsort((tie_breaker, -remainders))[:missing]] += 1
    return floors


def _positions_in_class(codes: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """How many rows of its class stand before each row."""
    by_class = np.argsort(codes, kind="stable")
    sorted_codes = codes[by_class]
    starts = np.searchsorted(sorted_codes, sorted_codes)
    positions = np.empty(len(codes), np.int64)
    positions[by_class] = np.arange(len(codes)) - starts
    return positions
