"""Estimators of all presets, losses and kinds of tables with drawn parameters, one per seed."""

import contextlib
import dataclasses
from typing import Any, NamedTuple
from unittest import mock

import jax
import numpy as np
import pandas as pd
from messy import SMALL, messy_table

from jaxmlp.sklearn import MLPClassifier, MLPRegressor, base
from jaxmlp.sklearn.recipes.member_predictions import Members
from jaxmlp.sklearn.recipes.recipe_training import TrainedMembers
from jaxmlp.tabular import TabularConfig

CLASSES = ("two", "three", "texts", "labels")
LOSSES = ("squared_error", "absolute_error", "poisson", "huber", "quantile", "gaussian")
TABLES = ("float64", "float32", "missing", "codes", "frame", "messy")
PRESETS = ("sklearn", "auto", "recipe")


class Case(NamedTuple):
    """A fitted estimator, and rows that it was not fitted to."""

    estimator: Any
    rows: Any


def fitted(seed: int) -> Case:
    """Draws an estimator and a table, fits it without training, and moves all parameters.

    Programs of training would take most of the time, and leave many parameters near 0 or 1.
    """
    draws = np.random.default_rng(seed)
    table = TABLES[seed % len(TABLES)]
    preset = PRESETS[seed // len(TABLES) % len(PRESETS)]
    # Tables that scikit-learn would refuse are prepared under "auto", with arguments of its own.
    if preset == "sklearn" and table in ("missing", "messy"):
        preset = "auto"
    rows = 40 if draws.random() < 0.2 else 90
    x, score = drawn_table(table, rows + 30, draws)
    is_classifier = draws.random() < 0.5
    targets = int(draws.choice([1, 2]))
    settings: dict[str, Any] = {"random_state": seed}
    if table == "codes" and preset != "sklearn":
        settings["categorical_features"] = [0, 2]
    if preset == "recipe":
        settings["preset"] = drawn_recipe(draws)
    else:
        settings |= drawn_network(draws) | {"preset": preset}
    if is_classifier:
        estimator: Any = MLPClassifier(**settings)
        y = drawn_classes(score, str(draws.choice(CLASSES)))
    else:
        loss = str(draws.choice(LOSSES))
        several = {"quantiles": (0.2, 0.5, 0.7, 0.9)} if loss == "quantile" else {}
        estimator = MLPRegressor(loss, **settings, **several)
        y = np.exp(score)[:, None] * [1.0, 5.0] + [0.0, 100.0]
        y = y[:, 0] if targets == 1 else y
    with untrained():
        estimator.fit(x[:rows], y[:rows])
    move(estimator, draws)
    return Case(estimator, x[rows:])


def drawn_table(kind: str, rows: int, draws: np.random.Generator) -> tuple[Any, np.ndarray]:
    """A table of some kind, and a number of each row that depends on it."""
    x = draws.normal(3, 2, size=(rows, 4))
    score = x[:, 0] / 2 - np.sin(x[:, 1])
    score = (score - score.mean()) / score.std()
    match kind:
        case "float32":
            return x.astype(np.float32), score
        case "missing":
            # A column that was whole in training, one that was not, and a constant one.
            x[draws.random(rows) < 0.2, 0] = np.nan
            x[-5:, 1] = np.nan
            x[:, 3] = 7
            return x, score
        case "codes":
            x[:, 0] = draws.integers(0, 3, rows)
            x[:, 2] = draws.integers(-9, 9, rows) / 2
            return x, score
        case "frame":
            return pd.DataFrame(x, columns=["a", "b", "c", "d"]).astype({"c": np.float32}), score
        case "messy":
            return messy_table(rows, seed=int(draws.integers(99)))[0], score
    return x, score


def drawn_classes(score: np.ndarray, kind: str) -> np.ndarray:
    match kind:
        case "two":
            return score > 0
        case "three":
            return np.digitize(score, [-0.5, 0.5]) * 3
        case "texts":
            return np.array(["Köln", "Rom", "Ulm"])[np.digitize(score, [-0.5, 0.5])]
    return np.stack([score > 0, score > 0.5, score < 0.2], axis=1).astype(int)


def drawn_network(draws: np.random.Generator) -> dict[str, Any]:
    """Arguments of scikit-learn's training, and ours beside."""
    names = ["relu", "logistic", "tanh", "mish", "gelu", "swiglu", "selu"]
    sizes = [(6,), (6, 6), ()][draws.integers(3)]
    return {
        "solver": "lbfgs",
        "hidden_layer_sizes": sizes,
        "activation": str(draws.choice(names)),
        "norm": [None, "layer", "rms"][draws.integers(3)] if sizes else None,
        "residual": len(sizes) > 1 and bool(draws.random() < 0.5),
    }


def drawn_recipe(draws: np.random.Generator) -> Any:
    network = TabularConfig(
        hidden_features=[(6,), (6, 5), ()][draws.integers(3)],
        activation=draws.choice(["mish", "relu", "silu", "tanh"]).item(),
        parametric=bool(draws.random() < 0.5),
        embedding=[None, "periodic", "piecewise_linear"][draws.integers(3)],
        frequencies=3,
        bins=4,
        members=int(draws.choice([1, 3])),
        sharing=draws.choice(["all", "first"]).item(),
        scaling_layer=bool(draws.random() < 0.5),
        ntk=bool(draws.random() < 0.5),
        fit_start=bool(draws.random() < 0.5),
    )
    members = int(draws.choice([1, 2]))
    return dataclasses.replace(SMALL, network=network, members=members, folds=0)


@contextlib.contextmanager
def untrained():
    """Has fits leave the parameters with which they begin."""

    def leave(run):
        if not hasattr(run, "bins"):
            return None
        history = {"loss": np.ones((len(run.seeds), 1))}
        return TrainedMembers(run.recipe, Members(run.model.params, run.bins), history)

    def leave_network(estimator, x, y, weight):
        estimator._as_targets(y, weight, x.dtype)  # which keeps their mean and scale
        estimator.loss_, estimator.n_iter_ = 1.0, 1

    with (
        mock.patch.object(base, "train_alone", leave),
        mock.patch.object(base.BaseMLP, "_fit_lbfgs", leave_network),
    ):
        yield


def move(estimator: Any, draws: np.random.Generator) -> None:
    """Adds to all parameters, and sets a temperature."""

    def moved(array: Any) -> np.ndarray:
        array = np.asarray(array)
        return array + draws.normal(0, 0.3, array.shape).astype(array.dtype)

    if estimator.preset_ == "sklearn":
        for name in ("coefs_", "intercepts_", "norms_"):
            setattr(estimator, name, jax.tree.map(moved, getattr(estimator, name)))
    else:
        params = jax.tree.map(moved, estimator.members_.params)
        estimator.members_ = estimator.members_._replace(params=params)
    if hasattr(estimator, "classes_"):
        estimator.temperature_ = 1.5
