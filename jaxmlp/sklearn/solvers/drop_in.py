"""Turns rows and scikit-learn's arguments into the weights that scikit-learn's own MLP learns."""

import copy
import functools
import warnings
from abc import ABC, abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ...data import DataLoader
from ...fitting import bucket_of_rows, fill_rows
from ...network import Batch, MLPConfig, Norm, Params
from ..arguments import Arguments
from ..calibration import Calibration, Logits
from ..callbacks import as_callbacks, call_back
from ..heads import Head, OutActivation
from ..scorers import score_by
from ..splitting import Rows, split_rows
from .lbfgs import Limits, minimise
from .networks import (
    as_coefs,
    as_params,
    compute_mean_loss,
    compute_outputs,
    draw_coefs,
    first_norms,
    make_config,
)
from .orders import ShuffledOrders, choose_batch_size
from .stochastic import Loss, Model, Optimizer, Settings
from .stopping import History, Stopping, Validation
from .training_loop import NOT_FINITE, Reached, SolverRun, Trained, warn_of_end


class DropIn(Calibration, Arguments, ABC):
    """Trains as scikit-learn's solvers do, and holds what they leave."""

    n_outputs_: int
    n_layers_: int
    n_iter_: int
    t_: int
    out_activation_: OutActivation
    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    norms_: list[Norm]
    _head: Head
    _options: np.ndarray
    _dropout_seed: int | None = None
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    _best: tuple[list[np.ndarray], list[np.ndarray], list[Norm]] | None

    @abstractmethod
    def _choose_head(self) -> Head:
        """Returns what the outputs are to mean."""

    def _choose_options(self) -> np.ndarray:
        """Returns the numbers of the head's loss."""
        return np.zeros(0)

    @abstractmethod
    def _score_outputs(self, outputs: np.ndarray, y: np.ndarray, sample_weight: Any) -> float:
        """Scores outputs for early stopping; targets as `_validate_input` returns them."""

    @abstractmethod
    def _as_given(self, y: np.ndarray) -> np.ndarray:
        """Turns targets that `_validate_input` returned into those that a user gives."""

    def _start(self, units: list[int], dtype: Any, random_state: np.random.RandomState) -> None:
        """Draws first parameters, and forgets what was learned before."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(units)
        self._head = self._choose_head()
        self.out_activation_ = self._head.out_activation
        self.coefs_, self.intercepts_ = draw_coefs(units, self.activation, dtype, random_state)
        self.norms_ = first_norms(units, self.activation, self.norm, dtype)
        self._best = None
        self._optimizer_state = None, None
        self._dropout_seed = None
        if self.solver != "lbfgs":
            self._keep_history(History([], None, None, None, 0, None))

    def _fit_lbfgs(self, X: Any, y: np.ndarray, weight: np.ndarray) -> None:
        x = X if isinstance(X, np.ndarray) else X.toarray()
        rows: Any = Batch(x, self._as_targets(y, weight, x.dtype), weight)
        end = minimise(
            self._config(x.dtype),
            self._head,
            self._params(x.dtype),
            fill_rows(rows, bucket_of_rows(len(x))),
            jnp.asarray(self.alpha, x.dtype),
            jnp.asarray(self._options, x.dtype),
            Limits(
                jnp.int32(self.max_iter), jnp.int32(self.max_fun), jnp.asarray(self.tol, x.dtype)
            ),
        )
        self.n_iter_, self.loss_ = int(end.iterations), float(end.loss)
        self.coefs_, self.intercepts_, self.norms_ = as_coefs(end.params)
        if self.verbose:
            print(f"L-BFGS: {self.n_iter_} iterations, loss = {self.loss_:.8f}")
        if not end.converged:
            warnings.warn(
                f"lbfgs failed to converge after {self.n_iter_} iterations with "
                f"{int(end.evaluations)} evaluations of the loss: max_iter={self.max_iter} or "
                f"max_fun={self.max_fun} was reached.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _begin_stochastic(
        self,
        X: Any,
        y: np.ndarray,
        weight: np.ndarray,
        validation: Rows | None,
        random_state: np.random.RandomState,
        incremental: bool,
    ) -> SolverRun:
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        of, optimizer_state = getattr(self, "_optimizer_state", (None, None))
        goes_on = incremental and of == self.solver
        key = self._dropout_key(random_state)
        inverse_scaling = self.solver == "sgd" and self.learning_rate == "invscaling"
        if self.early_stopping and validation is None:
            whole = Rows(X, y, weight)
            (X, y, weight), validation = split_rows(whole, self.validation_fraction, random_state)
        rows, dtype = X.shape[0], X.dtype
        orders = ShuffledOrders(rows, random_state) if self.shuffle else None
        loader = DataLoader(
            *(X, (self._as_targets(y, weight, dtype), weight)),
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
            dtype=dtype,
            learning_rate=float(self._rate if goes_on else self.learning_rate_init),
        )
        optimizer = Optimizer(self.solver, bool(self.nesterovs_momentum), inverse_scaling)
        settings = self._settings(stopping, rows, len(loader))
        callbacks = as_callbacks(self.callbacks)

        def observe(reached: Reached, metrics: Any) -> bool:
            present = copy.copy(self)
            # So that it can be saved.
            present.callbacks = None
            present._keep(reached, stopping, rows)
            present._keep_history(stopping.history.copy())
            return call_back(callbacks, present, metrics)

        return SolverRun(
            loss_fn=Loss(self._config(dtype), self._head, bool(self.dropout)),
            optimizer=optimizer,
            model=Model(self._params(dtype), settings),
            optimizer_state=optimizer_state if goes_on else None,
            loader=loader,
            orders=orders,
            stopping=stopping,
            epochs=1 if incremental else int(self.max_iter),
            key=key,
            held_out=validation,
            validate=None if validation is None else functools.partial(self._validate, validation),
            observe=observe if callbacks else None,
            progress=False if incremental else self.progress,
        )

    def _end_stochastic(self, run: SolverRun, trained: Trained, incremental: bool) -> None:
        start = self.coefs_, self.intercepts_, self.norms_
        self._keep(trained.reached, run.stopping, len(run.loader.source))
        if self.early_stopping:
            self.coefs_, self.intercepts_, self.norms_ = self._best or start
        if trained.ended == "nonfinite" and not self.early_stopping:
            raise ValueError(NOT_FINITE)
        validation = run.held_out
        if validation is not None:
            self._use_held_out(lambda: self._held_out_by_solver(validation))
        if not (incremental and trained.ended == "epochs"):
            warn_of_end(trained.ended, self.n_iter_, self.max_iter)

    def _keep(self, reached: Reached, stopping: Stopping, rows: int) -> None:
        """Holds what a fit on so many rows has reached."""
        self.n_iter_ = stopping.epochs
        self.t_ += rows * stopping.epochs
        self._keep_history(stopping.history)
        self._optimizer_state = self.solver, reached.optimizer_state
        self._rate = stopping.learning_rate
        if self.solver == "sgd" and self.learning_rate == "invscaling":
            self._rate = self.learning_rate_init / (self.t_ + 1) ** self.power_t
        if reached.best is not None:
            self._best = as_coefs(reached.best)
        self.coefs_, self.intercepts_, self.norms_ = as_coefs(reached.params)

    def _held_out_by_solver(self, rows: Rows) -> Logits:
        dtype = rows.x.dtype
        outputs = compute_outputs(
            self._params(dtype), rows.x, config=self._config(dtype), head=None
        )
        targets = self._as_targets(rows.y, rows.weight, dtype)
        return Logits(outputs[None], np.arange(len(outputs)), targets, rows.weight)

    def _validate(self, rows: Rows, params: Params) -> Validation:
        network: Any = {
            "config": self._config(rows.x.dtype),
            "head": self._head,
        }
        if self.scoring is None:
            outputs = compute_outputs(params, rows.x, **network)
            score = float(self._score_outputs(outputs, rows.y, rows.weight))
        else:
            present: Any = copy.copy(self)
            # Rows are numbers by now.
            present.preparation_, present.n_features_in_ = None, rows.x.shape[1]
            present.coefs_, present.intercepts_, present.norms_ = as_coefs(params)
            score = score_by(self.scoring, present, rows._replace(y=self._as_given(rows.y)))
        targets = self._as_targets(rows.y, rows.weight, rows.x.dtype)
        validated = Batch(rows.x, targets, rows.weight)
        loss = compute_mean_loss(params, validated, self._options.astype(rows.x.dtype), **network)
        return Validation(score, loss)

    def _config(self, dtype: Any) -> MLPConfig:
        units = (*map(len, self.coefs_), len(self.intercepts_[-1]))
        return make_config(units, self.activation, dtype, self.norm, bool(self.residual))

    def _params(self, dtype: Any) -> Params:
        return as_params(self.coefs_, self.intercepts_, self.norms_, dtype)

    def _dropout_key(self, random_state: np.random.RandomState) -> jax.Array:
        """Returns a key of this fit, whose seed is drawn in the first fit that drops anything."""
        if not self.dropout:
            return jax.random.key(0)
        if self._dropout_seed is None:
            self._dropout_seed = random_state.randint(np.iinfo(np.int32).max)
        return jax.random.fold_in(jax.random.key(self._dropout_seed), self.t_ % 2**32)

    def _as_targets(self, y: np.ndarray, weight: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns targets as the loss takes them."""
        del weight
        if self.out_activation_ == "softmax":
            return y.argmax(axis=1).astype(np.int32)
        return y.astype(dtype)

    def _settings(self, stopping: Stopping, rows: int, steps: int) -> jax.Array:
        numbers = Settings(
            alpha=self.alpha,
            dropout=self.dropout or 0.0,
            learning_rate_init=self.learning_rate_init,
            power_t=self.power_t,
            momentum=self.momentum,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            seen=self.t_,
            rows=rows,
            steps=steps,
            **stopping.numbers(),
        )
        return jnp.asarray([*numbers, *self._options], stopping.dtype)

    def _history(self, *, validates: bool) -> History:
        """Returns what a former fit left, or the beginning of what it did not look at."""
        best_loss = getattr(self, "best_loss_", None)
        scores = getattr(self, "validation_scores_", None)
        losses = getattr(self, "validation_loss_curve_", None)
        best_score = getattr(self, "best_validation_score_", None)
        if validates and scores is None:
            scores, losses, best_score = [], [], -np.inf
        if best_loss is None and not self.early_stopping:
            best_loss = np.inf
        count = getattr(self, "_no_improvement_count", 0)
        curve = getattr(self, "loss_curve_", [])
        return History(curve, best_loss, scores, best_score, count, losses)

    def _keep_history(self, history: History) -> None:
        self.loss_curve_, self.best_loss_ = history.loss_curve, history.best_loss
        self.validation_scores_ = history.validation_scores
        self.validation_loss_curve_ = history.validation_losses
        self.best_validation_score_ = history.best_validation_score
        self._no_improvement_count = history.no_improvement_count
        if self.loss_curve_:
            self.loss_ = self.loss_curve_[-1]
