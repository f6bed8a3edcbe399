"""Turns scikit-learn's arguments into attributes, and tells which values they may have."""

from numbers import Integral, Real
from typing import Any, ClassVar, TypeAlias

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from ..network import HIDDEN_ACTIVATIONS, Activation
from ..tabular import Recipe

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
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "norm": [StrOptions({"layer", "rms"}), None],
        "residual": ["boolean"],
        "preset": [StrOptions({"auto", "realmlp", "tabm", "sklearn"}), Recipe],
        "n_ensemble": [Interval(Integral, 1, None, closed="left"), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"})],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "callbacks": [callable, list, tuple, None],
        "progress": ["boolean", None],
        "device": [str, jax.Device, None],
    }

    hidden_layer_sizes: Any
    activation: str | Activation
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
    dropout: Number | None
    norm: Any
    residual: bool
    preset: Any
    n_ensemble: int | None
    categorical_features: Any
    scoring: Any
    callbacks: Any
    progress: bool | None
    device: Any

    def __init__(self, **arguments: Any) -> None:
        vars(self).update(arguments)

    def _hidden_units(self) -> list[int]:
        """Returns the units of each hidden layer.

        Raises:
            ValueError: They are not above 0, or not such that other arguments can act on them.
        """
        sizes = self.hidden_layer_sizes
        hidden = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if any(units <= 0 for units in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        hidden = [int(units) if isinstance(units, Integral) else units for units in hidden]
        for name, acts in {"dropout": bool(self.dropout), "norm": self.norm is not None}.items():
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

    def _unused_arguments(self, validates: bool) -> list[str]:
        """Returns what to warn of: arguments that were given and change nothing."""
        unused = []
        if self.solver == "lbfgs":
            if self.dropout:
                unused.append("dropout has no effect with solver='lbfgs', which draws nothing.")
            given = {"callbacks": bool(self.callbacks), "progress": self.progress}
            if names := [name for name, is_given in given.items() if is_given]:
                which, verb = " and ".join(names), "has" if len(names) == 1 else "have"
                unused.append(f"{which} {verb} no effect with solver='lbfgs', which has no epochs.")
        if self.scoring is not None and (self.solver == "lbfgs" or not validates):
            unused.append(
                "scoring has no effect without rows to validate on, of which solver='lbfgs' makes "
                "no use: set early_stopping=True, or give X_val and y_val to fit."
            )
        return unused
