"""Turns the rows of a fit into those to train on and those to validate on."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split


class Rows(NamedTuple):
    """Rows with their targets and weights; `x` is dense or sparse."""

    x: Any
    y: np.ndarray
    weight: np.ndarray


def split_rows(rows: Rows, fraction: Any, random_state: np.random.RandomState) -> tuple[Rows, Rows]:
    """Draws a share of the rows to validate on, of two classes the same share of each.

    Raises:
        ValueError: There would be fewer than two, or a class is too small.
    """
    parts: Any = train_test_split(
        *rows,
        random_state=random_state,
        test_size=fraction,
        stratify=rows.y if rows.y.dtype == bool and rows.y.shape[1] == 1 else None,
    )
    validation = Rows(*parts[1::2])
    if len(validation.weight) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return Rows(*parts[::2]), validation
