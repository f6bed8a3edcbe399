"""Turns a preset, the arguments beside it and the size of a table into a recipe, or into none."""

import dataclasses
import inspect
from typing import Any

import numpy as np
import scipy.sparse

from ...tabular import Recipe, choose_recipe, realmlp, tabm

# Scikit-learn's arguments that say how its network is built and trained, and ours that act there
# alone.
DECISIVE = (
    *("hidden_layer_sizes", "activation", "solver", "alpha", "batch_size", "learning_rate"),
    *("learning_rate_init", "power_t", "shuffle", "tol", "warm_start", "momentum"),
    *("nesterovs_momentum", "early_stopping", "validation_fraction", "beta_1", "beta_2"),
    *("epsilon", "n_iter_no_change", "max_fun", "norm", "residual", "scoring", "callbacks"),
)
# Losses that grow without bound as a network becomes too sure, which large steps bring about: they
# take those of classes.
_LIKELIHOODS = ("gaussian", "poisson")


def set_arguments(estimator: Any) -> list[str]:
    """Returns the names of decisive arguments that have not their default values."""
    parameters = inspect.signature(type(estimator)).parameters
    return [
        name
        for name in DECISIVE
        if not _is_same(getattr(estimator, name), parameters[name].default)
    ]


def uses_recipe(estimator: Any, X: Any = None) -> bool:
    """Whether an estimator trains by a recipe on rows, which "auto" never does on sparse ones."""
    if estimator.preset == "auto":
        return not scipy.sparse.issparse(X) and not set_arguments(estimator)
    return estimator.preset != "sklearn"


def unused_under_recipe(estimator: Any) -> list[str]:
    """Returns what to warn of: arguments that were given and change nothing under a recipe."""
    names = set_arguments(estimator)
    if not names:
        return []
    which = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    verb = "has" if len(names) == 1 else "have"
    name = repr(estimator.preset) if isinstance(estimator.preset, str) else "a Recipe"
    return [
        f"{which} {verb} no effect with preset={name}, which says itself how to train. Give "
        "preset='sklearn' for scikit-learn's training, or a jaxmlp.tabular.Recipe with the "
        "settings that are wanted."
    ]


def unused_under_sklearn(estimator: Any, X: Any, *, incremental: bool) -> list[str]:
    """Returns what to warn of: arguments of recipes that were given to scikit-learn's training."""
    names, is_sparse = set_arguments(estimator), scipy.sparse.issparse(X)
    if estimator.preset == "sklearn":
        reason = "preset='sklearn'"
    elif incremental:
        reason = "partial_fit"
    elif is_sparse:
        reason = "sparse rows"
    else:
        reason = f"{names[0]}={getattr(estimator, names[0])!r}"
    unused = []
    if estimator.n_ensemble not in (None, 1):
        unused.append(
            f"n_ensemble has no effect with {reason}, by which one network is trained as "
            "scikit-learn does."
        )
    features = estimator.categorical_features
    told = not isinstance(features, str) and np.size(features) > 0
    if told and (estimator.preset == "sklearn" or incremental or is_sparse):
        unused.append(f"categorical_features have no effect with {reason}: all are numbers.")
    return unused


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
    if preset in ("auto", "realmlp") and getattr(estimator, "loss", None) in _LIKELIHOODS:
        recipe = dataclasses.replace(recipe, learning_rate=realmlp(regression=False).learning_rate)
    changed: dict[str, Any] = {"epochs": min(recipe.epochs, int(estimator.max_iter))}
    if estimator.n_ensemble is not None:
        changed["members"] = int(estimator.n_ensemble)
    if estimator.dropout is not None:
        changed["dropout_rate"] = float(estimator.dropout)
    return dataclasses.replace(recipe, **changed)


def _is_same(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return not isinstance(value, str) and np.array_equal(np.atleast_1d(value), default)
    return value is default or bool(value == default)
