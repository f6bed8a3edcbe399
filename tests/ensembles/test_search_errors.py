"""Tests that `search` refuses what it cannot do, and what would do nothing."""

import re

import jax
import numpy as np
import optax
import pytest
from fits import LINEAR_CONFIG, ROWS, VALIDATION, X, Y, make_loader

import jaxmlp
from jaxmlp import ensembles

LOSS = jaxmlp.make_loss(LINEAR_CONFIG, jaxmlp.losses.softmax_cross_entropy)
WEIGHTS = np.ones((2, ROWS), np.float32)


def search(**settings):
    settings = {
        "loss": LOSS,
        "optimizer": lambda h: optax.sgd(h["learning_rate"]),
        "params": lambda key: jaxmlp.init_params(LINEAR_CONFIG, key=key),
        "data": make_loader(),
        "candidates": {"learning_rate": [0.1, 0.2]},
        "epochs": 2,
        "key": jax.random.key(0),
        "folds": 2,
    } | settings
    return jaxmlp.search(**settings)


CASES = {
    "candidates are a list": (
        {"candidates": [0.1]},
        TypeError,
        "candidates must be a dict of one value per candidate by name, as grid and "
        "draw_candidates make it; got a list",
    ),
    "one value for all": (
        {"candidates": {"learning_rate": 0.1}},
        TypeError,
        "candidates['learning_rate'] must be an array or a list with one value per candidate; got "
        "0.1. For all combinations of some values use grid",
    ),
    "scalar array": (
        {"candidates": {"learning_rate": np.array(0.1)}},
        TypeError,
        "must be an array or a list",
    ),
    "text": ({"candidates": {"learning_rate": "ab"}}, TypeError, "must be an array or a list"),
    "no names": ({"candidates": {}}, ValueError, "for each of at least one name; got {} values"),
    "no candidates": (
        {"candidates": {"learning_rate": []}},
        ValueError,
        "got {'learning_rate': 0} values",
    ),
    "numbers of candidates differ": (
        {"candidates": {"learning_rate": [0.1, 0.2], "decay": [0.1]}},
        ValueError,
        "candidates must have one value per candidate for each of at least one name; got "
        "{'learning_rate': 2, 'decay': 1} values",
    ),
    "name of a column": (
        {"candidates": {"rank": [1, 2], "score_fold_0": [1, 2]}},
        ValueError,
        "candidates are named ['rank', 'score_fold_0'], as columns of the table; rename them",
    ),
    "candidate that is not read": (
        {"candidates": {"learning_rate": [0.1, 0.2], "momentum": [0.1, 0.2]}},
        ValueError,
        "hyperparameters ['momentum'] have no effect",
    ),
    "parameters are there": (
        {"params": jaxmlp.init_params(LINEAR_CONFIG, key=jax.random.key(0))},
        TypeError,
        "params must be init(key) or init(hyperparameters, key), since every candidate starts "
        "anew; got a Params",
    ),
    "data is no loader": ({"data": (X, Y)}, TypeError, "data must be a DataLoader"),
    "number as key": ({"key": 0}, TypeError, "key must be one typed JAX random key, as"),
    "many keys": (
        {"key": jax.random.split(jax.random.key(0), 2)},
        TypeError,
        "key must be one typed JAX random key, as jax.random.key(0)",
    ),
    "nothing to score by": (
        {"folds": None},
        ValueError,
        "search needs either folds or validation to score candidates; got neither. Give folds=5",
    ),
    "folds and validation": (
        {"validation": VALIDATION},
        ValueError,
        "search needs either folds or validation to score candidates; got both",
    ),
    "one fold": ({"folds": 1}, ValueError, "folds must be an int of at least 2"),
    "folds of text": ({"folds": "2"}, TypeError, "folds must be a number of folds"),
    "folds of a splitter": (
        {"folds": [(range(3), range(3, 6))]},
        TypeError,
        "got a list. A splitter of scikit-learn becomes such weights",
    ),
    "halving of a number": ({"halving": 3}, TypeError, "must be a Halving, as Halving(first_"),
    "training weights alone": ({"folds": (WEIGHTS,)}, ValueError, "folds must be a number of"),
    "folds of other rows": (
        {"folds": (WEIGHTS[:, 1:], WEIGHTS[:, 1:])},
        ValueError,
        f"(training, validation) weights of shape (folds, {ROWS}) each, as fold_weights returns "
        "them; got shapes [(2, 49), (2, 49)]",
    ),
    "folds of other numbers": (
        {"folds": (WEIGHTS, WEIGHTS[:1])},
        ValueError,
        "got shapes [(2, 50), (1, 50)]",
    ),
    "labels without folds": (
        {"folds": None, "validation": VALIDATION, "stratify": Y},
        ValueError,
        "stratify spreads labels over a number of folds, as folds=5; here it has no effect",
    ),
    "labels with weights": (
        {"folds": (WEIGHTS, WEIGHTS), "stratify": Y},
        ValueError,
        "here it has no effect",
    ),
    "too few labels": ({"stratify": Y[1:]}, ValueError, "stratify must have shape (50,)"),
    "no mode": ({"monitor": "accuracy"}, ValueError, "mode must be 'min' or 'max'"),
    "no epochs": ({"epochs": 0}, ValueError, "epochs must be an int of at least 1; got 0"),
    "late halving": (
        {"halving": ensembles.Halving(first_epochs=2)},
        ValueError,
        "halving must drop candidates before the last epoch",
    ),
    "halving of one": (
        {"halving": ensembles.Halving(first_epochs=1), "candidates": {"learning_rate": [0.1]}},
        ValueError,
        "halving needs at least two candidates",
    ),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(name):
    settings, error, message = CASES[name]
    with pytest.raises(error, match=re.escape(message)):
        search(**settings)
