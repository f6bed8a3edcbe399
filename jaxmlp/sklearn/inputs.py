"""Turns tables, targets and weights into arrays, or refuses them in scikit-learn's words."""

from abc import abstractmethod
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import is_regressor
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils.validation import _check_sample_weight, _check_y, validate_data

from .recipes import RecipeFit
from .splitting import Rows
from .tables import needs_preparation, open_table, prepare_columns, prepare_matrix


class Inputs(RecipeFit):
    """Checks what an estimator is given."""

    preset_: Any

    @abstractmethod
    def _encode_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        """Checks targets and returns them as numbers, classes as columns of bools."""

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Checks numbers and their targets, and returns arrays."""
        _require_targets(y)
        X, y = validate_data(
            *(self, X, y),
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        return X, self._encode_targets(_as_targets(y), incremental)

    def _validate_table(self, X: Any, y: Any, *, incremental: bool, reset: bool) -> np.ndarray:
        """Checks names of columns, numbers of rows and targets, and returns targets."""
        open_table(X)
        _require_targets(y)
        _, y = validate_data(self, X, y, skip_check_array=True, reset=reset)
        y = _check_y(y, multi_output=True, y_numeric=is_regressor(self))
        check_consistent_length(X, y)
        return self._encode_targets(_as_targets(y), incremental)

    def _validate_any(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, reset: bool
    ) -> tuple[Any, Any]:
        """Checks rows as scikit-learn does, if "auto" need not make numbers of them first."""
        if reset:
            learns = self.preset == "auto" and not incremental and not scipy.sparse.issparse(X)
            features = self.categorical_features
            if not (learns and needs_preparation(X, categorical_features=features)):
                return self._validate_input(X, y, incremental, reset)
            y = self._validate_table(X, y, incremental=incremental, reset=True)
            weight = _check_sample_weight(sample_weight, y, dtype=np.float64)
            settings: Any = {"categorical_features": features, "dtype": np.float64}
            self.preparation_, _ = prepare_columns(X, weight, **settings)
        elif self.preparation_ is None:
            return self._validate_input(X, y, incremental, reset)
        else:
            X = as_dense(X)
            y = self._validate_table(X, y, incremental=incremental, reset=False)
        assert self.preparation_ is not None
        return prepare_matrix(self.preparation_, X), y

    def _as_validation(self, X: Any, y: Any, sample_weight: Any, dtype: Any) -> Rows | None:
        """Checks rows to validate on, as those to train on."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise ValueError("X_val and y_val must be given together.")
        if self.preset_ != "sklearn":
            X = as_dense(X)
            y = self._validate_table(X, y, incremental=True, reset=False)
        elif self.solver == "lbfgs":
            raise ValueError("X_val has no effect with solver='lbfgs', which has no epochs.")
        else:
            X, y = self._validate_any(X, y, None, True, reset=False)
            X = X.astype(dtype, copy=False)
        weight = _check_sample_weight(sample_weight, y, dtype=dtype, ensure_non_negative=True)
        return Rows(X, y.reshape(len(y), -1), weight)

    def _open_rows(self, X: Any) -> Any:
        """Checks the columns of a table to predict for, and returns it."""
        X = as_dense(X)
        open_table(X)
        return validate_data(self, X, skip_check_array=True, reset=False)


def as_dense(X: Any) -> Any:
    """Returns rows as they are, sparse ones as an array."""
    return X.toarray() if scipy.sparse.issparse(X) else X


def _require_targets(y: Any) -> None:
    """Raises a ValueError if a target is missing.

    NumPy makes the class "nan" of NaN beside strings in a list, and scikit-learn NaN of `None`.
    """
    if scipy.sparse.issparse(y):
        return
    targets = np.asarray(y, object) if isinstance(y, list | tuple) else np.asarray(y)
    if targets.ndim == 0 or targets.dtype != object:
        return
    for index, target in np.ndenumerate(targets):
        if target is None or is_scalar_nan(target) or is_pandas_na(target):
            raise ValueError(
                f"Input y contains NaN: {target!r} in row {index[0]}. Leave rows without a target "
                "out."
            )


def _as_targets(y: np.ndarray) -> np.ndarray:
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
