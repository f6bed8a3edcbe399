"""Turns a table and scikit-learn's arguments into a fitted network: what both estimators share."""

import functools
import warnings
from abc import ABC, abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..config import MLPConfig
from ..data import DataLoader
from ..fitting import bucket_of_rows, fill_rows
from ..types import Batch, Params
from .arguments import Arguments
from .disk_cache import programs_on_disk
from .lbfgs import Limits, minimise
from .networks import (
    OutActivation,
    as_coefs,
    as_params,
    compute_outputs,
    draw_coefs,
    make_config,
)
from .orders import ShuffledOrders, choose_batch_size
from .splitting import Rows, split_rows
from .stochastic import Loss, Model, Optimizer, Settings
from .stopping import History, Stopping
from .training_loop import NOT_FINITE, train, warn_of_end


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


class BaseMLP(Arguments, ABC):
    """What classifier and regressor share; attributes of a fit are told in their docstrings."""

    n_outputs_: int
    n_layers_: int
    n_iter_: int
    t_: int
    out_activation_: OutActivation
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None

    def __sklearn_tags__(self) -> Any:
        """Says that sparse tables are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Checks a table and its targets, and returns arrays; classes as columns of bools."""

    @abstractmethod
    def _choose_out_activation(self) -> OutActivation:
        """Returns the name of the output activation."""

    @abstractmethod
    def _score_outputs(self, outputs: np.ndarray, y: np.ndarray, sample_weight: Any) -> float:
        """Scores outputs for early stopping; targets as `_validate_input` returns them."""

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
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if any(units <= 0 for units in hidden):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=first_pass)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        y = y.reshape(len(y), -1)
        self.n_outputs_ = y.shape[1]
        rows = self._as_validation(*validation, X.dtype)
        units = [X.shape[1], *hidden, self.n_outputs_]
        random_state = check_random_state(self.random_state)
        if first_pass:
            self._start(units, X.dtype, random_state)
        elif (before := [*map(len, self.coefs_), len(self.intercepts_[-1])]) != units:
            raise ValueError(
                "warm_start and partial_fit go on with the layers that there are, of "
                f"{before} units; got {units}."
            )
        weight = np.ones(X.shape[0], X.dtype) if sample_weight is None else sample_weight
        weight = self._weigh(y, weight)
        with programs_on_disk(), jax.enable_x64(X.dtype == np.float64):
            if self.solver == "lbfgs":
                self._fit_lbfgs(X, y, weight)
            else:
                self._fit_stochastic(X, y, weight, rows, random_state, incremental)
        if not all(np.isfinite(array).all() for array in (*self.coefs_, *self.intercepts_)):
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

    def _start(self, units: list[int], dtype: Any, random_state: np.random.RandomState) -> None:
        """Draws first parameters, and forgets what was learned before."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(units)
        self.out_activation_ = self._choose_out_activation()
        self.coefs_, self.intercepts_ = draw_coefs(units, self.activation, dtype, random_state)
        self._best = self.coefs_, self.intercepts_
        self._optimizer_state = None, None
        if self.solver != "lbfgs":
            self._keep_history(History([], None, None, None, 0))

    def _fit_lbfgs(self, X: Any, y: np.ndarray, weight: np.ndarray) -> None:
        x = X if isinstance(X, np.ndarray) else X.toarray()
        rows: Any = Batch(x, self._as_targets(y, x.dtype), weight)
        end = minimise(
            self._config(x.dtype),
            self.out_activation_,
            as_params(self.coefs_, self.intercepts_, x.dtype),
            fill_rows(rows, bucket_of_rows(len(x))),
            jnp.asarray(self.alpha, x.dtype),
            Limits(
                jnp.int32(self.max_iter), jnp.int32(self.max_fun), jnp.asarray(self.tol, x.dtype)
            ),
        )
        self.n_iter_, self.loss_ = int(end.iterations), float(end.loss)
        self.coefs_, self.intercepts_ = as_coefs(end.params)
        if self.verbose:
            print(f"L-BFGS: {self.n_iter_} iterations, loss = {self.loss_:.8f}")
        if not end.converged:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iterations with "
                f"{int(end.evaluations)} evaluations of the loss: max_iter={self.max_iter} or "
                f"max_fun={self.max_fun} was reached.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _fit_stochastic(
        self,
        X: Any,
        y: np.ndarray,
        weight: np.ndarray,
        validation: Rows | None,
        random_state: np.random.RandomState,
        incremental: bool,
    ) -> None:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        of, optimizer_state = getattr(self, "_optimizer_state", (None, None))
        goes_on = incremental and of == self.solver
        inverse_scaling = self.solver == "sgd" and self.learning_rate == "invscaling"
        if self.early_stopping and validation is None:
            whole = Rows(X, y, weight)
            (X, y, weight), validation = split_rows(whole, self.validation_fraction, random_state)
        rows, dtype = X.shape[0], X.dtype
        orders = ShuffledOrders(rows, random_state) if self.shuffle else None
        loader = DataLoader(
            *(X, (self._as_targets(y, dtype), weight)),
            batch_size=choose_batch_size(self.batch_size, rows),
            sampler=orders,
            check_finite=False,
        )
        stopping = Stopping(
            history=self._history(validates=validation is not None),
            tol=float(self.tol),
            n_iter_no_change=float(self.n_iter_no_change),
            adaptive=self.solver == "sgd" and self.learning_rate == "adaptive",
            by_score=bool(self.early_stopping),
            verbose=bool(self.verbose),
            learning_rate=float(self._rate if goes_on else self.learning_rate_init),
        )
        optimizer = Optimizer(self.solver, bool(self.nesterovs_momentum), inverse_scaling)
        settings = self._settings(stopping.learning_rate, rows, len(loader), dtype)
        trained = train(
            Loss(self._config(dtype), self.out_activation_),
            optax.GradientTransformation(optimizer.init, optimizer.update),
            Model(as_params(self.coefs_, self.intercepts_, dtype), settings),
            optimizer_state if goes_on else None,
            loader,
            orders,
            stopping,
            epochs=1 if incremental else self.max_iter,
            validate=None if validation is None else functools.partial(self._validate, validation),
        )
        self.n_iter_ = stopping.epochs
        self.t_ += rows * stopping.epochs
        self._keep_history(stopping.history)
        self._optimizer_state = self.solver, trained.optimizer_state
        self._rate = stopping.learning_rate
        if inverse_scaling:
            self._rate = self.learning_rate_init / (self.t_ + 1) ** self.power_t
        if trained.best is not None:
            self._best = as_coefs(trained.best)
        self.coefs_, self.intercepts_ = (
            self._best if self.early_stopping else as_coefs(trained.params)
        )
        if trained.ended == "nonfinite" and not self.early_stopping:
            raise ValueError(NOT_FINITE)
        if not (incremental and trained.ended == "epochs"):
            warn_of_end(trained.ended, self.n_iter_, self.max_iter)

    def _validate(self, rows: Rows, params: Params) -> float:
        config, out_activation = self._config(rows.x.dtype), self.out_activation_
        outputs = compute_outputs(params, rows.x, config=config, out_activation=out_activation)
        return float(self._score_outputs(outputs, rows.y, rows.weight))

    def _compute_outputs(self, X: Any, *, activated: bool = True) -> np.ndarray:
        """Checks rows and computes the network's outputs for them, shape (rows, outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        dtype = self.coefs_[0].dtype
        with programs_on_disk(), jax.enable_x64(dtype == np.float64):
            return compute_outputs(
                as_params(self.coefs_, self.intercepts_, dtype),
                X.astype(dtype, copy=False),
                config=self._config(dtype),
                out_activation=self.out_activation_ if activated else "identity",
            )

    def _config(self, dtype: Any) -> MLPConfig:
        units = (len(self.coefs_[0]), *(len(bias) for bias in self.intercepts_))
        return make_config(units, self.activation, dtype)

    def _as_targets(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns targets as the loss takes them."""
        if self.out_activation_ == "softmax":
            return y.argmax(axis=1).astype(np.int32)
        return y.astype(dtype)

    def _settings(self, learning_rate: float, rows: int, steps: int, dtype: Any) -> jax.Array:
        numbers = Settings(
            *(self.alpha, learning_rate, self.learning_rate_init, self.power_t, self.momentum),
            *(self.beta_1, self.beta_2, self.epsilon, self.t_, rows, steps),
        )
        return jnp.asarray(numbers, dtype)

    def _history(self, *, validates: bool) -> History:
        """Returns what a former fit left, or the beginning of what it did not look at."""
        best_loss = getattr(self, "best_loss_", None)
        scores = getattr(self, "validation_scores_", None)
        best_score = getattr(self, "best_validation_score_", None)
        if validates and scores is None:
            scores, best_score = [], -np.inf
        if best_loss is None and not self.early_stopping:
            best_loss = np.inf
        count = getattr(self, "_no_improvement_count", 0)
        return History(getattr(self, "loss_curve_", []), best_loss, scores, best_score, count)

    def _keep_history(self, history: History) -> None:
        self.loss_curve_, self.best_loss_ = history.loss_curve, history.best_loss
        self.validation_scores_ = history.validation_scores
        self.best_validation_score_ = history.best_validation_score
        self._no_improvement_count = history.no_improvement_count
        if self.loss_curve_:
            self.loss_ = self.loss_curve_[-1]
