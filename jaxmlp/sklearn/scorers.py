"""Turns a scorer of scikit-learn's and a network in training into a score."""

import copy
from typing import Any

from sklearn.metrics import get_scorer

from .splitting import Rows


def score_by(scoring: Any, estimator: Any, rows: Rows) -> float:
    """Scores an estimator that has the weights of the moment; greater is better.

    Args:
        scoring: Name of a scorer, or a function `(estimator, X, y)`, which is given
            `sample_weight` too where rows have weights other than 1.
        estimator: What is to be scored.
        rows: Rows, with targets as a user gives them.
    """
    nameless = copy.copy(estimator)
    # Rows are arrays by now, whatever they were.
    vars(nameless).pop("feature_names_in_", None)
    scorer: Any = get_scorer(scoring)
    has_weights = bool((rows.weight != 1).any())
    weight = {"sample_weight": rows.weight} if has_weights else {}
    return float(scorer(nameless, rows.x, rows.y, **weight))
