"""Turns a preset, the arguments beside it and the size of a table into a recipe, or into none."""

import dataclasses
import inspect
from typing import Any

import numpy as np

from ..tabular import Recipe, choose_recipe, realmlp, tabm

# Scikit-learn's arguments that say how its network is built and trained, and ours that act there
# alone.
DECISIVE = (
    *("hidden_layer_sizes", "activation", "solver", "alpha", "batch_size", "learning_rate"),
    *("learning_rate_init", "power_t", "shuffle", "tol", "warm_start", "momentum"),
    *("nesterovs_momentum", "early_stopping", "validation_fraction", "beta_1", "beta_2"),
    *("epsilon", "n_iter_no_change", "max_fun", "norm", "residual", "scoring", "callbacks"),
)


def set_arguments(estimator: Any) -> list[str]:
    """Returns the names of decisive arguments that have not their default values."""
    parameters = inspect.signature(type(estimator)).parameters
    return [
        name
        for name in DECISIVE
        if not _is_same(getattr(estimator, name), parameters[name].default)
    ]


def uses_recipe(estimator: Any) -> bool:
    """Whether an estimator trains by a recipe, unless it is given sparse rows."""
    if estimator.preset == "auto":
        return not set_arguments(estimator)
    return estimator.preset != "sklearn"


def find_recipe(estimator: Any, rows: int, features: int, *, regression: bool) -> Recipe:
    """Returns the recipe of an estimator that uses one, with what its arguments change."""
    preset = estimator.preset
    if isinstance(preset, Recipe):
        recipe = preset
    elif preset == "realmlp":
        recipe = realmlp(regression=regression)
    elif preset == "tabm":
        recipe = tabm(regression=regression)
    else:
        recipe = choose_recipe(rows, features, regression=regression)
    changed: dict[str, Any] = {"epochs": min(recipe.epochs, int(estimator.max_iter))}
    if estimator.n_ensemble is not None:
        changed["members"] = int(estimator.n_ensemble)
    if estimator.dropout:
        changed["dropout_rate"] = float(estimator.dropout)
    return dataclasses.replace(recipe, **changed)


def _is_same(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return not isinstance(value, str) and np.array_equal(np.atleast_1d(value), default)
    return (
        value is default
        or (type(value) is not bool and bool(value == default))
        or (isinstance(value, (bool, np.bool_)) and value == default)
    )
