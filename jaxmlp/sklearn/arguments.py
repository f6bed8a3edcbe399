"""Turns scikit-learn's arguments into attributes, and tells which values they may have."""

from numbers import Integral, Real
from typing import Any, ClassVar, TypeAlias

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..activations import ELEMENTWISE_ACTIVATIONS

# Beartype takes neither an int nor one of NumPy's numbers for a float.
Number: TypeAlias = int | float | np.integer | np.floating


class Arguments(BaseEstimator):
    """Holds the arguments that both estimators have, as they were given."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"logistic", *ELEMENTWISE_ACTIVATIONS})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "callbacks": [callable, list, tuple, None],
        "progress": ["boolean", None],
        "device": [str, jax.Device, None],
    }

    hidden_layer_sizes: Any
    activation: str
    solver: Any
    alpha: Number
    batch_size: Any
    learning_rate: str
    learning_rate_init: Number
    power_t: Number
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: Number
    verbose: bool | int
    warm_start: bool
    momentum: Number
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: Number
    beta_1: Number
    beta_2: Number
    epsilon: Number
    n_iter_no_change: Number
    max_fun: int
    scoring: Any
    callbacks: Any
    progress: bool | None
    device: Any

    def __init__(self, **arguments: Any) -> None:
        vars(self).update(arguments)
