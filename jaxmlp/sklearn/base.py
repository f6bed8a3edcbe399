"""Turns a table and scikit-learn's arguments into a fitted network: what both estimators share."""

import warnings
from abc import abstractmethod
from typing import Any

import jax
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .drop_in import DropIn
from .networks import compute_outputs, require_same_layers
from .splitting import Rows
from .training_loop import NOT_FINITE


def is_stochastic(estimator: Any) -> bool:
    """Whether an estimator trains by epochs, and so has `partial_fit`.

    Raises:
        AttributeError: It does not.
    """
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True


class BaseMLP(DropIn):
    """What classifier and regressor share; attributes of a fit are told in their docstrings."""

    def __sklearn_tags__(self) -> Any:
        """Says that sparse tables are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Checks a table and its targets, and returns arrays; classes as columns of bools."""

    def _weigh(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns weights of rows with those of their classes."""
        del y
        return weight

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> Any:
        hidden = self._hidden_units()
        for argument in self._unused_arguments():
            warnings.warn(argument, stacklevel=4)
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=first_pass)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        y = y.reshape(len(y), -1)
        self.n_outputs_ = y.shape[1]
        rows = self._as_validation(*validation, X.dtype)
        units = [X.shape[1], *hidden, self.n_outputs_ * self._choose_head().outputs_per_target]
        random_state = check_random_state(self.random_state)
        if first_pass:
            self._start(units, X.dtype, random_state)
        else:
            require_same_layers(units, self.activation, self.norm, self._params(X.dtype))
        self._options = self._choose_options()
        weight = np.ones(X.shape[0], X.dtype) if sample_weight is None else sample_weight
        weight = self._weigh(y, weight)
        with jax.enable_x64(X.dtype == np.float64):
            if self.solver == "lbfgs":
                self._fit_lbfgs(X, y, weight)
            else:
                self._fit_stochastic(X, y, weight, rows, random_state, incremental)
        weights = self.coefs_, self.intercepts_, self.norms_
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(weights)):
            raise ValueError(NOT_FINITE)
        return self

    def _as_validation(self, X: Any, y: Any, sample_weight: Any, dtype: Any) -> Rows | None:
        """Checks rows to validate on, as those to train on."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise ValueError("X_val and y_val must be given together.")
        if self.solver == "lbfgs":
            raise ValueError("X_val has no effect with solver='lbfgs', which has no epochs.")
        X, y = self._validate_input(X, y, incremental=True, reset=False)
        X = X.astype(dtype, copy=False)
        weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
        return Rows(X, y.reshape(len(y), -1), weight)

    def _compute_outputs(self, X: Any, *, activated: bool = True) -> np.ndarray:
        """Checks rows and computes the network's outputs for them, shape (rows, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        dtype = self.coefs_[0].dtype
        with jax.enable_x64(dtype == np.float64):
            return compute_outputs(
                self._params(dtype),
                X.astype(dtype, copy=False),
                config=self._config(dtype),
                head=self._head if activated else None,
            )
