"""Turns scikit-learn's arguments into attributes, and tells which values they may have."""

from numbers import Integral, Real
from typing import Any, ClassVar, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..activations import HIDDEN_ACTIVATIONS
from ..types import Activation

# Beartype takes neither an int nor one of NumPy's numbers for a float.
Number: TypeAlias = int | float | np.integer | np.floating


class Arguments(BaseEstimator):
    """Holds the arguments that both estimators have, as they were given."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"logistic", *HIDDEN_ACTIVATIONS}), Activation],
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
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "norm": [StrOptions({"layer", "rms"}), None],
        "residual": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any,
        activation: str | Activation,
        solver: Any,
        alpha: Number,
        batch_size: Any,
        learning_rate: str,
        learning_rate_init: Number,
        power_t: Number,
        max_iter: int,
        shuffle: bool,
        random_state: Any,
        tol: Number,
        verbose: bool | int,
        warm_start: bool,
        momentum: Number,
        nesterovs_momentum: bool,
        early_stopping: bool,
        validation_fraction: Number,
        beta_1: Number,
        beta_2: Number,
        epsilon: Number,
        n_iter_no_change: Number,
        max_fun: int,
        dropout: Number,
        norm: Any,
        residual: bool,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.norm = norm
        self.residual = residual

    def _hidden_units(self) -> list[int]:
        """Returns the units of each hidden layer.

        Raises:
            ValueError: They are not above 0, or not such that other arguments can act on them.
        """
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if any(units <= 0 for units in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        for name, acts in {"dropout": self.dropout > 0, "norm": self.norm is not None}.items():
            if acts and not hidden:
                raise ValueError(
                    f"{name} acts on hidden layers, and hidden_layer_sizes has none; got "
                    f"{name}={getattr(self, name)!r}."
                )
        if self.residual and (len(hidden) < 2 or len(set(hidden)) > 1):
            raise ValueError(
                "residual=True needs at least two hidden layers, all of one size, such as "
                f"hidden_layer_sizes=(100, 100); got {hidden}."
            )
        return hidden

    def _unused_arguments(self) -> list[str]:
        """Returns what to warn of: arguments that were given and change nothing."""
        if self.solver == "lbfgs" and self.dropout > 0:
            return ["dropout has no effect with solver='lbfgs', which draws nothing."]
        return []
