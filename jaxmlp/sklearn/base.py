"""Turns a table and scikit-learn's arguments into a fitted network: what both estimators share."""

import copy
import warnings
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    _num_features,
    _num_samples,
    check_is_fitted,
    validate_data,
)

from .devices import computing_on, find_device, name_device, predicting_on
from .estimator_files import read_estimator, write_estimator
from .inputs import Inputs, as_dense
from .onnx_methods import OnnxMethods
from .programs import programs_on_disk
from .recipes import MembersRun, find_recipe, unused_under_recipe, unused_under_sklearn, uses_recipe
from .solvers import NOT_FINITE, SolverRun, compute_outputs, require_same_layers
from .splitting import Rows
from .tables import prepare_matrix
from .together import take_trained, train_alone


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


class BaseMLP(OnnxMethods, Inputs):
    """What classifier and regressor share; attributes of a fit are told in their docstrings."""

    def __sklearn_tags__(self) -> Any:
        """Says what tables are taken: sparse ones, and any columns unless all is scikit-learn's."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # "categorical" would have scikit-learn's checks give nothing but categories.
        tags.input_tags.allow_nan = tags.input_tags.string = self.preset != "sklearn"
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
        by_recipe = uses_recipe(self, X) and not incremental
        goes_on = incremental or (self.warm_start and not by_recipe)
        is_there = hasattr(self, "coefs_") and getattr(self, "preset_", "sklearn") == "sklearn"
        first_pass = not (goes_on and is_there)
        if first_pass:
            self._forget()
        self.preset_ = self.preset if by_recipe else "sklearn"
        hidden = [] if by_recipe else self._hidden_units()
        validates = self.early_stopping or validation[0] is not None
        unused = self._unused_arguments(validates)
        unused += [] if by_recipe else unused_under_sklearn(self, X, incremental=incremental)
        for message in unused:
            warnings.warn(message, stacklevel=5)
        if by_recipe:
            return self._begin_table(X, y, sample_weight, validation)
        self._begin_calibration(self.solver != "lbfgs" and not incremental and validates)
        X, y = self._validate_any(X, y, sample_weight, incremental, first_pass)
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
        X = as_dense(X)
        y = self._validate_table(X, y, incremental=False, reset=True)
        y = y.reshape(len(y), -1)
        self.n_outputs_ = y.shape[1]
        weight = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
        rows = None
        if any(part is not None for part in validation):
            rows = self._as_validation(*validation, np.float64)
        recipe = find_recipe(self, _num_samples(X), _num_features(X), regression=is_regressor(self))
        random_state = check_random_state(self.random_state)
        return self._begin_recipe(recipe, X, y, self._weigh(y, weight), rows, random_state)

    def _end(self, run: Any, trained: Any, incremental: bool) -> None:
        """Holds what training has reached; "lbfgs" trains now."""
        if isinstance(run, MembersRun):
            self._end_recipe(run, trained)
            return
        with jax.enable_x64(self.coefs_[0].dtype == np.float64):
            if isinstance(run, SolverRun):
                self._end_stochastic(run, trained, incremental)
            else:
                self._fit_lbfgs(*run)
        weights = self.coefs_, self.intercepts_, self.norms_
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(weights)):
            raise ValueError(NOT_FINITE)

    def _compute_outputs(self, X: Any, *, activated: bool = True) -> np.ndarray:
        """Checks rows and computes the network's outputs for them, shape (rows, outputs)."""
        if getattr(self, "preset_", "sklearn") != "sklearn":
            outputs = self._average(self._compute_members(X))
            return outputs if activated else self._as_logits(outputs)
        check_is_fitted(self, "coefs_")
        if self.preparation_ is None:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        else:
            X = prepare_matrix(self.preparation_, self._open_rows(X))
        dtype = self.coefs_[0].dtype
        with programs_on_disk(), predicting_on(self.device), jax.enable_x64(dtype == np.float64):
            return compute_outputs(
                self._temper(self._params(dtype)),
                X.astype(dtype, copy=False),
                config=self._config(dtype),
                head=self._head if activated else None,
            )

    def _compute_members(self, X: Any, *, apart: bool = False) -> np.ndarray:
        """Checks rows and computes what every member predicts, (members, rows, outputs)."""
        check_is_fitted(self, "coefs_")
        X = self._open_rows(X)
        with programs_on_disk(), predicting_on(self.device):
            return self._compute_recipe(X, apart=apart)

    def _unused_arguments(self, validates: bool) -> list[str]:
        by_recipe = self.preset_ != "sklearn"
        return unused_under_recipe(self) if by_recipe else super()._unused_arguments(validates)
