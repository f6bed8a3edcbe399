"""Turns the losses and scores of epochs into whether to go on, as scikit-learn decides it."""

import dataclasses
import math
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .stochastic import Model

# Where "adaptive" stops to divide by 5.
_SMALLEST_RATE = 1e-6


@dataclasses.dataclass
class History:
    """What is remembered from epoch to epoch, and from fit to fit with `warm_start`.

    `best_loss` is `None` with early stopping; what is validated is without rows for it.
    """

    loss_curve: list[float]
    best_loss: float | None
    validation_scores: list[float] | None
    best_validation_score: float | None
    no_improvement_count: int
    validation_losses: list[float] | None

    def copy(self) -> "History":
        """Returns one that stays as it is when training goes on."""
        copied: dict[str, Any] = {
            name: value.copy() if isinstance(value, list) else value
            for name, value in vars(self).items()
        }
        return History(**copied)


class Validation(NamedTuple):
    """What rows to validate on tell after an epoch; the loss is without the penalty."""

    score: float
    loss: float


@dataclasses.dataclass(kw_only=True)
class Stopping:
    """Watches over the epochs of one fit.

    `dtype` is that of the losses, `learning_rate` the one at present.
    """

    history: History
    tol: float
    n_iter_no_change: float
    adaptive: bool
    by_score: bool
    verbose: bool
    dtype: np.dtype
    learning_rate: float

    def __post_init__(self) -> None:
        self._before = len(self.history.loss_curve)

    @property
    def epochs(self) -> int:
        """Epochs of this fit."""
        return len(self.history.loss_curve) - self._before

    def numbers(self) -> dict[str, Any]:
        """Returns those of `Settings` that `LossRule` goes by, and the learning rate."""
        best = self.history.best_loss
        numbers = {
            "learning_rate": self.learning_rate,
            "tol": self.tol,
            "n_iter_no_change": self.n_iter_no_change,
            "best_loss": np.inf if best is None else best,
            "no_improvement_count": float(self.history.no_improvement_count),
        }
        return {name: self._typed(number) for name, number in numbers.items()}

    def after_epoch(
        self, loss: float, validation: Validation | None
    ) -> Literal["go on", "lower", "stop"]:
        """Takes note of an epoch, and decides; "lower" has divided the learning rate by 5."""
        history = self.history
        history.loss_curve.append(loss)
        if self.verbose:
            print(f"Iteration {self.epochs}, loss = {loss:.8f}")
        improved_loss = self._note_loss(loss)
        improved_score = validation is not None and self._note_validation(validation)
        improved = improved_score if self.by_score else improved_loss
        history.no_improvement_count = 0 if improved else history.no_improvement_count + 1
        if history.no_improvement_count <= self.n_iter_no_change:
            return "go on"
        what = "Validation score" if self.by_score else "Training loss"
        reason = (
            f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change:.0f} "
            "consecutive epochs."
        )
        if not self.adaptive:
            self._tell(f"{reason} Stopping.")
            return "stop"
        if self.learning_rate <= _SMALLEST_RATE:
            self._tell(f"{reason} Learning rate too small. Stopping.")
            return "stop"
        self.learning_rate /= 5
        history.no_improvement_count = 0
        self._tell(f"{reason} Setting learning rate to {self.learning_rate:f}")
        return "lower"

    def is_best(self, score: float) -> bool:
        """Whether a score is above all before it."""
        best = self.history.best_validation_score
        return best is not None and score > best

    def _note_loss(self, loss: float) -> bool:
        best = self.history.best_loss
        if best is None:
            return False
        self.history.best_loss = min(best, loss)
        # As `LossRule` does, rounding included.
        return math.isinf(best) or not self._typed(loss) > self._typed(best) - self._typed(self.tol)

    def _typed(self, number: float) -> Any:
        # Parameters, among which the numbers are, must be finite.
        return self.dtype.type(min(number, float(np.finfo(self.dtype).max)))

    def _note_validation(self, validation: Validation) -> bool:
        history, score = self.history, validation.score
        scores, best = history.validation_scores, history.best_validation_score
        losses = history.validation_losses
        assert scores is not None
        assert losses is not None
        assert best is not None
        if self.verbose:
            print(f"Validation score: {score:f}")
        scores.append(score)
        losses.append(validation.loss)
        if self.is_best(score):
            history.best_validation_score = score
        return not score < best + self.tol

    def _tell(self, message: str) -> None:
        if self.verbose:
            print(message)


@dataclasses.dataclass(frozen=True)
class LossRule:
    """What `Stopping` decides by the training loss, within the program: a `StopRule`."""

    def init(self, params: Model) -> tuple[Array, Array]:
        """Returns the best loss, and the number of epochs without an improvement."""
        return params.settings.best_loss, params.settings.no_improvement_count

    def update(
        self, state: tuple[Array, Array], params: Model, value: Float[Array, ""]
    ) -> tuple[tuple[Array, Array], Bool[Array, ""]]:
        """Takes note of an epoch's loss; stops after more than `n_iter_no_change` epochs."""
        best, count = state
        # The largest number stands for infinity.
        is_worse = (best < jnp.finfo(best.dtype).max) & (value > best - params.settings.tol)
        count = jnp.where(is_worse, count + 1, 0)
        return (jnp.minimum(best, value), count), count > params.settings.n_iter_no_change
