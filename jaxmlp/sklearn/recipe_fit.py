"""Turns a table into an estimator trained by a recipe."""

import dataclasses
from typing import Any

import jax
import numpy as np
from scipy.special import logit
from sklearn.utils import _safe_indexing

from ..tabular import Recipe, for_few_rows
from ..types import Batch
from .drop_in import DropIn
from .preparation import Preparation, prepare_columns, prepare_rows
from .recipe_training import (
    Members,
    MembersRun,
    Task,
    TrainedMembers,
    compute_members,
    plan_members,
)
from .splitting import Rows
from .training_loop import NOT_FINITE

# Tables of no more rows are computed in float64, and a row of weight 2 is the same as two rows.
_TINY = 48


class RecipeFit(DropIn):
    """Trains by a recipe, and holds what it leaves."""

    recipe_: Recipe
    members_: Members
    preparation_: Preparation

    def _begin_recipe(
        self,
        recipe: Recipe,
        X: Any,
        y: np.ndarray,
        weight: np.ndarray,
        validation: Rows | None,
        random_state: np.random.RandomState,
    ) -> MembersRun:
        if not weight.any():
            raise ValueError("sample_weight must be above 0 for at least one row; got 0 for all.")
        if not weight.all():
            kept = np.flatnonzero(weight)
            X, y, weight = _safe_indexing(X, kept), y[kept], weight[kept]
        if len(weight) <= _TINY:
            recipe = for_few_rows(recipe)
        dtype = np.dtype(np.float64 if len(weight) <= _TINY else np.float32)
        self._head = self._choose_head()
        self.out_activation_ = self._head.out_activation
        self._options = self._choose_options()
        self.preparation_, rows = prepare_columns(
            *(X, weight), categorical_features=self.categorical_features, dtype=dtype
        )
        targets = self._as_recipe_targets(y, weight, dtype)
        with jax.enable_x64(dtype == np.float64):
            return plan_members(
                recipe,
                Task(
                    self.n_outputs_ * self._head.outputs_per_target,
                    _Told(self._head),
                    self._scaled_options(),
                ),
                rows,
                targets,
                weight,
                codes=self.preparation_.codes,
                random_state=random_state,
                labels=self._fold_labels(y),
                validation=self._as_held_out(validation, dtype),
                progress=self.progress,
            )

    def _end_recipe(self, run: MembersRun, trained: TrainedMembers) -> None:
        self.members_ = trained.members
        if not all(np.isfinite(a).all() for a in jax.tree.leaves(self.members_.params)):
            raise ValueError(NOT_FINITE)
        self.recipe_ = run.recipe
        self._keep_recipe(trained.history, len(run.loader.source))

    def _keep_recipe(self, history: dict[str, np.ndarray], rows: int) -> None:
        params = self.members_.params
        layers = (*params.hidden, params.output)
        self.coefs_ = [np.array(layer.kernel[0]) for layer in layers]
        self.intercepts_ = [np.array(layer.bias[0]) for layer in layers]
        self.norms_ = []
        losses = np.asarray(history["loss"], np.float64).mean(axis=0)
        self.loss_curve_ = losses.tolist()
        self.loss_, self.best_loss_ = self.loss_curve_[-1], min(self.loss_curve_)
        self.validation_scores_ = self.best_validation_score_ = self.validation_loss_curve_ = None
        if "validation_loss" in history:
            held_out = np.asarray(history["validation_loss"], np.float64).mean(axis=0)
            self.validation_loss_curve_ = held_out.tolist()
        self.n_iter_, self.n_layers_ = len(losses), len(layers) + 1
        self.t_ = rows * self.n_iter_
        if self.verbose:
            for number, loss in enumerate(self.loss_curve_, 1):
                print(f"Iteration {number}, loss = {loss:.8f}")

    def _as_held_out(self, rows: Rows | None, dtype: Any) -> Batch | None:
        if rows is None:
            return None
        x = prepare_rows(self.preparation_, rows.x, dtype=dtype)
        targets = self._scale_targets(rows.y, dtype)
        return Batch(x, targets, (rows.weight / rows.weight.mean()).astype(dtype))

    def _fold_labels(self, y: np.ndarray) -> np.ndarray | None:
        """Returns labels of which all folds are to have the same share."""
        del y
        return None

    def _scale_targets(self, y: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns targets of further rows as the loss takes them."""
        return self._as_targets(y, np.ones(len(y)), dtype)

    def _as_recipe_targets(self, y: np.ndarray, weight: np.ndarray, dtype: Any) -> np.ndarray:
        """Returns targets as the loss takes them."""
        return self._as_targets(y, weight, dtype)

    def _scaled_options(self) -> np.ndarray:
        """Returns the numbers of the head's loss, in units of the targets that it is given."""
        return self._options

    def _compute_recipe(self, X: Any) -> np.ndarray:
        """Computes what every member gives for rows, shape (members, rows, outputs)."""
        dtype = self.members_.params.output.kernel.dtype
        rows = prepare_rows(self.preparation_, X, dtype=dtype)
        with jax.enable_x64(dtype == np.float64):
            config = self.recipe_.network
            return compute_members(
                self.members_, rows, config=config, predict=_Activated(self._head)
            )

    def _average(self, outputs: np.ndarray) -> np.ndarray:
        """Averages over members, as a mixture of what they say; shape (rows, outputs)."""
        mean = outputs.mean(axis=0, dtype=np.float64)
        if self._head.loss == "gaussian":
            # Var = E[Var] + Var[E], of each target.
            center, spread = np.split(outputs.astype(np.float64), 2, axis=-1)
            mean[:, mean.shape[1] // 2 :] = np.sqrt((spread**2).mean(axis=0) + center.var(axis=0))
        return mean

    def _as_logits(self, probabilities: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            if self.out_activation_ == "softmax":
                return np.log(probabilities)
            return logit(probabilities)


@dataclasses.dataclass(frozen=True)
class _Told:
    """The loss of a head that is told; equal ones share programs."""

    head: Any

    def __call__(self, outputs: Any, targets: Any, options: Any) -> Any:
        """Computes the loss of each row."""
        return self.head.row_losses(outputs, targets, options).told


@dataclasses.dataclass(frozen=True)
class _Activated:
    """What the outputs of a head mean; equal ones share programs, as bound methods do not."""

    head: Any

    def __call__(self, outputs: Any) -> Any:
        """Computes predictions."""
        return self.head.activate(outputs)
