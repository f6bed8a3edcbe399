"""Turns a table and scikit-learn's arguments into a fitted network: what both estimators share."""

import copy
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
import scipy.sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    _num_features,
    _num_samples,
    check_is_fitted,
    validate_data,
)

from .columns import open_table
from .devices import computing_on, find_device, name_device, predicting_on
from .disk_cache import programs_on_disk
from .estimator_files import read_estimator, write_estimator
from .networks import compute_outputs, require_same_layers
from .presets import find_recipe, uses_recipe
from .recipe_fit import RecipeFit
from .recipe_training import MembersRun
from .splitting import Rows
from .together import take_trained, train_alone
from .training_loop import NOT_FINITE, SolverRun


def is_stochastic(estimator: Any) -> bool:
    """Whether an estimator trains by epochs, and so has `partial_fit`.

    Raises:
        AttributeError: It does not.
    """
    by_recipe = getattr(estimator, "preset_", "sklearn") != "sklearn"
    if by_recipe or estimator.preset not in ("auto", "sklearn"):
        raise AttributeError(
            "partial_fit is only available with preset='sklearn': recipes look at all rows at once."
        )
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True


# Rows to validate on, their targets and weights, as they were given.
Validating: TypeAlias = tuple[Any, Any, Any]


class BaseMLP(RecipeFit):
    """What classifier and regressor share; attributes of a fit are told in their docstrings."""

    def __sklearn_tags__(self) -> Any:
        """Says what tables are taken: sparse ones, and by a recipe any columns."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = uses_recipe(self)
        tags.input_tags.string = uses_recipe(self)
        return tags

    def __sklearn_clone__(self) -> Any:
        """Returns an estimator with the same arguments; a device cannot be copied."""
        if not isinstance(self.device, jax.Device):
            return super().__sklearn_clone__()
        copied: Any = clone(copy.copy(self).set_params(device=None))
        return copied.set_params(device=self.device)

    def __getstate__(self) -> dict[str, Any]:
        """Names the device, which cannot be pickled."""
        state: Any = super().__getstate__()
        return {**state, "device": name_device(self.device)}

    def save(self, path: str | Path) -> None:
        """Writes the estimator into one safetensors file, or leaves the file that was there.

        The file holds the arguments, what was learned, and the state of the optimizer, so that
        what `load` returns predicts and goes on training as this one would; it holds no rows, and
        nothing in it is run.

        Args:
            path: The file, usually `*.safetensors`; its directory exists. A link is followed.

        Raises:
            OSError: It could not be written; the message tells why and what to do.
            TypeError: An argument cannot be stored: `callbacks`, or `scoring` that is a function.
        """
        write_estimator(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Any:
        """Reads an estimator of this class that `save` wrote.

        Args:
            path: The file, from whomever it comes.

        Returns:
            The estimator.

        Raises:
            CheckpointError: The file is damaged, holds something else, or was written by a later
                version.
            OSError: It cannot be read.
        """
        return read_estimator(path, {cls.__name__: cls})

    def plot_curves(self, ax: Any = None) -> Any:
        """Draws the losses of all epochs, on rows to validate on too, and their scores.

        Args:
            ax: Axes of matplotlib; `None` makes a new figure.

        Returns:
            The axes with the losses.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: There was no epoch: "lbfgs" has none.
        """
        check_is_fitted(self)
        if not getattr(self, "loss_curve_", None):
            raise ValueError("plot_curves draws epochs, and solver='lbfgs' has none.")
        from .curves import draw_curves

        usual = "accuracy" if is_classifier(self) else "R2"
        score = (self.scoring or usual) if not callable(self.scoring) else "score"
        return draw_curves(
            *(ax, self.loss_curve_, self.validation_loss_curve_, self.validation_scores_),
            score=score,
        )

    @abstractmethod
    def _encode_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        """Checks targets and returns them as numbers, classes as columns of bools."""

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Checks numbers and their targets, and returns arrays."""
        X, y = validate_data(
            *(self, X, y),
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        return X, self._encode_targets(_as_targets(y), incremental)

    def _validate_table(self, X: Any, y: Any, *, reset: bool) -> np.ndarray:
        """Checks names of columns, numbers of rows and targets, and returns targets."""
        open_table(X)
        _, y = validate_data(self, X, y, skip_check_array=True, reset=reset)
        y = _check_y(y, multi_output=True, y_numeric=is_regressor(self))
        check_consistent_length(X, y)
        y = self._encode_targets(_as_targets(y), not reset)
        return y.reshape(len(y), -1)

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
        validation: Validating = (None, None, None),
    ) -> Any:
        device = find_device(self.device)
        with programs_on_disk(), computing_on(device):
            found = None
            if not incremental:
                found = take_trained(self, (X, y, sample_weight, validation))
            if found is None:
                run = self._begin(X, y, sample_weight, incremental, validation)
                trained = train_alone(run)
            else:
                run, trained = found
            self._end(run, trained, incremental)
        return self

    def _begin(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, validation: Validating
    ) -> Any:
        """Does all of a fit that comes before the training, which it returns."""
        self.preset_ = "sklearn"
        if uses_recipe(self) and not incremental and not scipy.sparse.issparse(X):
            return self._begin_table(X, y, sample_weight, validation)
        hidden = self._hidden_units()
        for unused in self._unused_arguments(self.early_stopping or validation[0] is not None):
            warnings.warn(unused, stacklevel=5)
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
            # Weights may have been set by hand.
            self.norms_ = getattr(self, "norms_", [])
            self._head = getattr(self, "_head", self._choose_head())
            require_same_layers(units, self.activation, self.norm, self._params(X.dtype))
        self._options = self._choose_options()
        weight = np.ones(X.shape[0], X.dtype) if sample_weight is None else sample_weight
        weight = self._weigh(y, weight)
        if self.solver == "lbfgs":
            return Rows(X, y, weight)
        with jax.enable_x64(X.dtype == np.float64):
            return self._begin_stochastic(X, y, weight, rows, random_state, incremental)

    def _begin_table(self, X: Any, y: Any, sample_weight: Any, validation: Validating) -> Any:
        X = X.toarray() if scipy.sparse.issparse(X) else X
        y = self._validate_table(X, y, reset=True)
        self.n_outputs_ = y.shape[1]
        weight = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
        rows = None
        if any(part is not None for part in validation):
            rows = self._as_validation(*validation, np.float64)
        recipe = find_recipe(self, _num_samples(X), _num_features(X), regression=is_regressor(self))
        self.preset_ = self.preset
        random_state = check_random_state(self.random_state)
        return self._begin_recipe(recipe, X, y, self._weigh(y, weight), rows, random_state)

    def _end(self, run: Any, trained: Any, incremental: bool) -> None:
        """Holds what training has reached; "lbfgs" trains now."""
        if isinstance(run, MembersRun):
            self._end_recipe(run, trained)
            return
        if isinstance(run, SolverRun):
            self._end_stochastic(run, trained, incremental)
        else:
            with jax.enable_x64(run.x.dtype == np.float64):
                self._fit_lbfgs(*run)
        weights = self.coefs_, self.intercepts_, self.norms_
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(weights)):
            raise ValueError(NOT_FINITE)

    def _as_validation(self, X: Any, y: Any, sample_weight: Any, dtype: Any) -> Rows | None:
        """Checks rows to validate on, as those to train on."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise ValueError("X_val and y_val must be given together.")
        if uses_recipe(self):
            y = self._validate_table(X, y, reset=False)
        elif self.solver == "lbfgs":
            raise ValueError("X_val has no effect with solver='lbfgs', which has no epochs.")
        else:
            X, y = self._validate_input(X, y, incremental=True, reset=False)
            X = X.astype(dtype, copy=False)
        weight = _check_sample_weight(sample_weight, y, dtype=dtype, ensure_non_negative=True)
        return Rows(X, y.reshape(len(y), -1), weight)

    def _compute_outputs(self, X: Any, *, activated: bool = True) -> np.ndarray:
        """Checks rows and computes the network's outputs for them, shape (rows, outputs)."""
        check_is_fitted(self)
        if self.preset_ != "sklearn":
            open_table(X)
            validate_data(self, X, skip_check_array=True, reset=False)
            with programs_on_disk(), predicting_on(self.device):
                outputs = self._average(self._compute_recipe(X))
            return outputs if activated else self._as_logits(outputs)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        dtype = self.coefs_[0].dtype
        with programs_on_disk(), predicting_on(self.device), jax.enable_x64(dtype == np.float64):
            return compute_outputs(
                self._params(dtype),
                X.astype(dtype, copy=False),
                config=self._config(dtype),
                head=self._head if activated else None,
            )


def _as_targets(y: np.ndarray) -> np.ndarray:
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
