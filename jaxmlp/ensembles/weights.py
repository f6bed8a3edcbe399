"""Turns a number of rows into row weights per member: folds of a cross-validation, bootstraps."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from ..checks import require_int
from ..loading import permutation, philox_words

# Loaders count epochs from 0 and `train_test_split` takes the last two numbers.
_FOLD_ORDER = 2**64 - 3
_BOOTSTRAP_WORDS = 2**64 - 4


def fold_weights(
    rows: int, folds: int, *, seed: int, stratify: Any = None
) -> tuple[Float[np.ndarray, "folds rows"], Float[np.ndarray, "folds rows"]]:
    """Deals rows into folds at random: weights to train with, and weights to validate with.

    Args:
        rows: Number of rows.
        folds: Number of folds, in [2, rows]. Their sizes differ by at most one row.
        seed: Number in [0, 2**64) that fixes the folds.
        stratify: Labels of any kind that sorts, shape (rows,); the numbers of rows of a class in
            two folds differ by at most one.

    Returns:
        `(training, validation)`: member k trains with weight 1 on all rows but those of fold k, on
        which it validates with weight 1. Give them to `fit_members` as `row_weights` and
        `validation_weights`, with the loader itself as `validation`.

    Raises:
        TypeError: A number is no int.
        ValueError: A number is out of range, or there is not one label per row.

    Example:
        >>> training, validation = fold_weights(5, 2, seed=0)
        >>> validation.sum(axis=1).tolist(), (training + validation == 1).all().item()
        ([3.0, 2.0], True)
    """
    require_int("rows", rows, 2, 2**32)
    require_int("folds", folds, 2, rows + 1)
    order = permutation(rows, seed=seed, epoch=_FOLD_ORDER)
    if stratify is not None:
        labels = np.asarray(stratify)
        if labels.shape != (rows,):
            raise ValueError(
                f"stratify must have shape ({rows},), a label per row; got {labels.shape}."
            )
        try:
            _, codes = np.unique(labels, return_inverse=True)
        except TypeError as error:
            raise TypeError(
                f"stratify must hold labels of one type, to be sorted; {error}."
            ) from None
        # Dealt class after class, without starting anew: classes and all rows are spread evenly.
        order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(rows, np.int64)
    fold[order] = np.arange(rows) % folds
    validation = (fold == np.arange(folds)[:, None]).astype(np.float32)
    return 1 - validation, validation


def rows_of_weights(
    weights: Shaped[np.ndarray, "members rows"],
) -> tuple[Int[np.ndarray, "members chosen"], Shaped[np.ndarray, "members chosen"]]:
    """Turns weights of all rows into numbers of those that have one, and their weights.

    Args:
        weights: Weight of each row for each member, as `fold_weights` and `bootstrap_weights` make
            them.

    Returns:
        `(rows, weights)` as `fit_members` takes `validation_rows` and `validation_weights`: in
        their order, and as many for all members as has the one with most; rows of weight 0 fill up.

    Raises:
        ValueError: Weights are no numbers, or have not two axes.

    Example:
        >>> rows, weights = rows_of_weights(np.array([[0, 1, 0, 2], [0, 0, 3, 0]]))
        >>> rows.tolist(), weights.tolist()
        ([[1, 3], [0, 2]], [[1, 2], [0, 3]])
    """
    weights = np.asarray(weights)
    if weights.dtype.kind not in "biuf" or weights.ndim != 2 or not weights.shape[1]:
        raise ValueError(
            f"weights must be numbers, shape (members, rows); got shape {weights.shape} and type "
            f"{weights.dtype}."
        )
    has = weights != 0
    chosen = max(int(has.sum(axis=1).max(initial=0)), 1)
    # Stable: rows with a weight first, each kind in its order.
    rows = np.sort(np.argsort(~has, axis=1, kind="stable")[:, :chosen], axis=1).astype(np.int32)
    return rows, np.take_along_axis(weights, rows, axis=1)


def bootstrap_weights(rows: int, *, seeds: Any) -> Float[np.ndarray, "members rows"]:
    """Counts how often each row is drawn when each member draws `rows` rows with replacement.

    Args:
        rows: Number of rows, in [1, 2**32).
        seeds: Number in [0, 2**64) per member that fixes its draws, shape (members,).

    Returns:
        Counts; those of a member sum to `rows`. Give them to `fit_members` as `row_weights`; the
        rows that a member did not draw, `weights == 0`, are its out-of-bag rows.

    Raises:
        TypeError: A number is no int.
        ValueError: A number is out of range, or `seeds` have not one axis.

    References:
        Efron 1979; Breiman 1996, "Bagging predictors".

    Example:
        >>> bootstrap_weights(6, seeds=[0, 1]).sum(axis=1).tolist()
        [6.0, 6.0]
    """
    require_int("rows", rows, 1, 2**32)
    if np.ndim(seeds) != 1 or not len(seeds):
        raise ValueError(f"seeds must have one number per member; got {seeds!r}.")
    weights = np.empty((len(seeds), rows), np.float32)
    for member, seed in enumerate(seeds):
        words = philox_words(rows, seed=seed, epoch=_BOOTSTRAP_WORDS)
        # The high half times rows, by 2**32: a number below rows, uniform to 1 in 2**32.
        drawn = ((words >> np.uint64(32)) * np.uint64(rows)) >> np.uint64(32)
        weights[member] = np.bincount(drawn.astype(np.int64), minlength=rows)
    return weights
