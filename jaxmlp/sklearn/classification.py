"""Turns classes and labels into columns of bools, and outputs of a network into classes."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from ..checks import require_number
from .base import BaseMLP
from .heads import Head
from .recipes import has_spread


class Classification(BaseMLP):
    """What a classifier does with its classes; its docstring tells arguments and attributes."""

    class_weight: Any
    calibrate: bool
    classes_: Any
    temperature_: float

    @available_if(has_spread)
    def predict_std(self, X: Any) -> np.ndarray:
        """Returns how far the networks that are averaged differ in the probability of classes.

        Args:
            X: Rows.

        Returns:
            Standard deviations of their probabilities, shape (rows, classes), or (rows, labels).

        Raises:
            AttributeError: There is one network only.
        """
        deviation = self._compute_members(X, apart=True).std(axis=0, dtype=np.float64)
        return np.repeat(deviation, 2, axis=1) if self.n_outputs_ == 1 else deviation

    def _forget(self) -> None:
        super()._forget()
        self.temperature_ = 1.0

    def _label(self, outputs: np.ndarray) -> np.ndarray:
        outputs = outputs.ravel() if self.n_outputs_ == 1 else outputs
        labels: Any = self._label_binarizer.inverse_transform(outputs)
        return labels

    def _encode_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        goes_on = incremental or (self.warm_start and hasattr(self, "coefs_"))
        known = hasattr(self, "classes_") and goes_on
        if y.dtype == object:
            try:
                check_classification_targets(y)
            except TypeError as error:
                raise TypeError(
                    f"y must hold classes of one type, to be sorted; {error}."
                ) from None
        if not known:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._require_known(unique_labels(y))
        return self._label_binarizer.transform(y).astype(bool)

    def _require_known(self, classes: np.ndarray) -> None:
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _weigh(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        if self.class_weight is None:
            return weight
        if isinstance(self.class_weight, Mapping):
            self._check_class_weight(self.class_weight)
        factors = compute_sample_weight(self.class_weight, self._as_given(y))
        return weight * factors.astype(weight.dtype)

    def _check_class_weight(self, class_weight: Mapping[Any, Any]) -> None:
        for label, factor in class_weight.items():
            require_number(
                f"class_weight[{label!r}]", factor, "finite and at least 0",
                lambda f: 0 <= f < math.inf,
            )  # fmt: skip
        classes = self.classes_.tolist()
        if unknown := [label for label in class_weight if label not in classes]:
            warnings.warn(
                f"class_weight has {unknown}, which are no classes of y and weigh nothing; y has "
                f"{classes}.",
                stacklevel=2,
            )

    def _fold_labels(self, y: np.ndarray) -> np.ndarray | None:
        if y.shape[1] == 1:
            return y.ravel()
        return y.argmax(axis=1) if self.out_activation_ == "softmax" else None

    def _choose_head(self) -> Head:
        several = self._label_binarizer.y_type_ == "multiclass"
        return Head("softmax_cross_entropy" if several else "sigmoid_binary_cross_entropy")

    def _as_given(self, y: np.ndarray) -> np.ndarray:
        given: Any = self._label_binarizer.inverse_transform(y.astype(int))
        return given

    def _score_outputs(self, outputs: np.ndarray, y: np.ndarray, sample_weight: Any) -> float:
        # What accuracy_score gives of labels; to look all of them up takes milliseconds per epoch.
        if len(self.classes_) == 1:
            hits = np.ones(len(y))
        elif self.out_activation_ == "softmax":
            hits = outputs.argmax(axis=1) == y.argmax(axis=1)
        else:
            hits = ((outputs > 0.5) == y).all(axis=1)
        return float(np.average(hits, weights=sample_weight))
