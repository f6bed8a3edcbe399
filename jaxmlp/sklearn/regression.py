"""Turns numbers to predict into targets of a loss, and outputs of a network into predictions."""

from typing import Any

import numpy as np
from sklearn.metrics import mean_pinball_loss, r2_score
from sklearn.utils.metaestimators import available_if

from .base import BaseMLP
from .heads import Head, in_target_units
from .recipes import has_spread

DEFAULT_QUANTILES = (0.1, 0.5, 0.9)
DEFAULT_DELTA = 1.0


def predicts_quantiles(estimator: Any) -> bool:
    """Whether an estimator has `predict_quantiles`.

    Raises:
        AttributeError: It has not.
    """
    return _require_loss(estimator, "predict_quantiles", ("quantile", "gaussian"))


def predicts_dist(estimator: Any) -> bool:
    """Whether an estimator has `predict_dist`.

    Raises:
        AttributeError: It has not.
    """
    return _require_loss(estimator, "predict_dist", ("gaussian",))


class Regression(BaseMLP):
    """What a regressor does with its targets; its docstring tells arguments and attributes."""

    loss: Any
    huber_delta: Any
    quantiles: Any
    target_mean_: np.ndarray | None
    target_scale_: np.ndarray | None
    target_range_: tuple[np.ndarray, np.ndarray] | None

    @available_if(has_spread)
    def predict_std(self, X: Any) -> np.ndarray:
        """Returns how far the networks that are averaged differ.

        Args:
            X: Rows.

        Returns:
            Standard deviations of their predictions, none of them clipped, shape (rows,), or (rows,
            targets) for several. Of "gaussian", that of the target: what the networks say it is,
            and how far their means differ.

        Raises:
            AttributeError: There is one network only.
        """
        outputs = self._compute_members(X, apart=True)
        if self._head.loss == "gaussian":
            return self._by_row(self._predictions(self._average(outputs))["std"])
        named = self._head.predictions(outputs, self._options)["prediction"]
        deviation = named.std(axis=0, dtype=np.float64)
        scale = 1.0 if self.target_scale_ is None else self.target_scale_
        return self._by_row(deviation * scale)

    def _by_row(self, predictions: np.ndarray) -> np.ndarray:
        return predictions[:, 0] if self.n_outputs_ == 1 else predictions

    def _encode_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        del incremental
        if y.dtype.kind not in "biuf":
            raise ValueError(f"y must hold numbers; its type is {y.dtype}. Convert it.")
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson' requires non-negative y; got {y.min()}.")
        return y

    def _unused_arguments(self, validates: bool) -> list[str]:
        unused = super()._unused_arguments(validates)
        if self.loss != "huber" and self.huber_delta != DEFAULT_DELTA:
            unused.append(f"huber_delta has no effect with loss={self.loss!r}.")
        given = tuple(as_levels(self.quantiles).tolist())
        if self.loss not in ("gaussian", "quantile") and given != DEFAULT_QUANTILES:
            unused.append(f"quantiles have no effect with loss={self.loss!r}.")
        return unused

    def _start(self, units: list[int], dtype: Any, random_state: np.random.RandomState) -> None:
        super()._start(units, dtype, random_state)
        self.target_mean_ = self.target_scale_ = None
        if self._head.loss == "gaussian":
            # At mean 0 and deviation 1, those of all targets: far from them, deviations would grow
            # before means are learned.
            self.coefs_[-1][:] = 0
            mean, raw_scale = np.split(self.intercepts_[-1], 2)
            mean[:], raw_scale[:] = 0, np.log(np.expm1(1))

    def _choose_head(self) -> Head:
        count = {"gaussian": 2, "quantile": len(as_levels(self.quantiles))}
        return Head(self.loss, count.get(self.loss, 1))

    def _choose_options(self) -> np.ndarray:
        if self._head.loss == "huber":
            return np.array([float(self.huber_delta)])
        return as_levels(self.quantiles) if self._head.loss == "quantile" else np.zeros(0)

    def _as_recipe_targets(self, y: np.ndarray, weight: np.ndarray, dtype: Any) -> np.ndarray:
        self.target_mean_ = self.target_scale_ = self.target_range_ = None
        if self._head.loss == "poisson":
            return super()._as_targets(y, weight, dtype)
        self.target_mean_, self.target_scale_ = mean_and_deviation(y, weight)
        y = y.astype(np.float64)
        self.target_range_ = y.min(axis=0), y.max(axis=0)
        return self._scale_targets(y, dtype)

    def _scale_targets(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        if self.target_mean_ is None or self.target_scale_ is None:
            return super()._scale_targets(y, dtype)
        return ((y - self.target_mean_) / self.target_scale_).astype(dtype)

    def _scaled_options(self) -> np.ndarray:
        # One delta for all targets, of the mean scale.
        if self._head.loss == "huber" and self.target_scale_ is not None:
            return self._options / self.target_scale_.mean()
        return self._options

    def _as_targets(self, y: np.ndarray, weight: np.ndarray, dtype: Any) -> np.ndarray:
        if self._head.loss == "gaussian":
            if self.target_mean_ is None:
                self.target_mean_, self.target_scale_ = mean_and_deviation(y, weight)
            y = (y - self.target_mean_) / self.target_scale_
        return super()._as_targets(y, weight, dtype)

    def _predictions(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Names what `_compute_outputs` returned, in units of the targets."""
        named = self._head.predictions(outputs, self._options)
        if self.target_mean_ is None:
            return named
        named = in_target_units(named, self.target_mean_, self.target_scale_)
        if self.preset_ != "sklearn" and self.recipe_.clip and self.target_range_ is not None:
            named["prediction"] = np.clip(named["prediction"], *self.target_range_)
        return named

    def _score_outputs(self, outputs: np.ndarray, y: np.ndarray, sample_weight: Any) -> float:
        if not np.isfinite(outputs).all():
            return float("nan")
        predictions = self._predictions(outputs)
        if self._head.loss != "quantile":
            return r2_score(y, predictions["prediction"], sample_weight=sample_weight)
        losses = [
            mean_pinball_loss(y, values, alpha=level, sample_weight=sample_weight)
            for level, values in zip(
                self._options, np.moveaxis(predictions["quantiles"], -1, 0), strict=True
            )
        ]
        return -float(np.mean(losses))


def as_levels(quantiles: Any) -> np.ndarray:
    """Checks probabilities of quantiles, and returns them in float64.

    Raises:
        ValueError: They are not increasing, or not in (0, 1).
    """
    try:
        levels = np.asarray(quantiles, np.float64)
    except (TypeError, ValueError):
        levels = np.zeros(0)
    within = levels.ndim == 1 and levels.size and (levels > 0).all() and (levels < 1).all()
    if not (within and (np.diff(levels) > 0).all()):
        raise ValueError(
            "quantiles must be increasing numbers in (0, 1), such as (0.1, 0.5, 0.9); got "
            f"{quantiles!r}."
        )
    return levels


def mean_and_deviation(y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each target, by the weights of rows.

    The deviation of a constant target is 1, and without any weight the mean is 0.
    """
    y = y.astype(np.float64)
    if not weight.any():
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    mean = np.average(y, axis=0, weights=weight)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight))
    # What is left of a constant target is the rounding of its mean.
    constant = deviation <= 4 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(constant, 1, deviation)


def _require_loss(estimator: Any, method: str, allowed: tuple[str, ...]) -> bool:
    head = getattr(estimator, "_head", None)
    loss = estimator.loss if head is None else head.loss
    if loss not in allowed:
        listed = " or ".join(f"loss={name!r}" for name in allowed)
        raise AttributeError(f"{method} is only available with {listed}; got loss={loss!r}.")
    return True
