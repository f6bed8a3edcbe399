"""Turns a table into an estimator trained by a recipe."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy.special import logit
from sklearn.utils import _safe_indexing

from ...network import Batch
from ...tabular import Recipe, for_few_rows
from ..calibration import Logits, choose_rows
from ..solvers import NOT_FINITE, DropIn
from ..splitting import Rows
from ..tables import Preparation, prepare_columns, prepare_rows
from .member_predictions import Members, compute_members
from .presets import find_recipe, uses_recipe
from .recipe_plans import HeldOut, MembersRun, Task, plan_members
from .recipe_training import TrainedMembers

# Tables of no more rows are computed in float64, and a row of weight 2 is the same as two rows.
_TINY = 48
# Of float32, with some room.
_LEAST_WEIGHT = 1e-37

# What a fit leaves that one of the other kind does not.
_LEFT = ("recipe_", "members_", "preparation_", "coefs_", "_best", "_optimizer_state")


def has_spread(estimator: Any) -> bool:
    """Whether an estimator has `predict_std`.

    Raises:
        AttributeError: It has not.
    """
    if hasattr(estimator, "members_"):
        recipe, members = estimator.recipe_, len(estimator.members_.params.output.kernel)
        several = members * recipe.network.members > 1
    elif hasattr(estimator, "coefs_") or not uses_recipe(estimator):
        several = False
    else:
        try:
            recipe = find_recipe(estimator, 1, 1, regression=False)
        except (TypeError, ValueError):  # an argument that fit will refuse
            return True
        several = recipe.members * recipe.network.members > 1
    if not several:
        raise AttributeError(
            "predict_std is only available with several networks, whose predictions differ: train "
            "by a recipe, such as preset='auto' does with no other argument, and n_ensemble above "
            f"1; got preset={estimator.preset!r}, n_ensemble={estimator.n_ensemble!r}."
        )
    return True


class RecipeFit(DropIn):
    """Trains by a recipe, and holds what it leaves."""

    recipe_: Recipe
    members_: Members
    preparation_: Preparation | None = None

    def _forget(self) -> None:
        """Forgets what a fit of either kind has left."""
        for name in _LEFT:
            vars(self).pop(name, None)

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
        if weight.min() / weight.max() < _LEAST_WEIGHT:
            raise ValueError(
                f"sample_weight, times that of its class, must be 0 or at least {_LEAST_WEIGHT} "
                f"times the largest; got {weight.min()} beside {weight.max()}. Set it to 0 to "
                "leave a row out."
            )
        if len(weight) <= _TINY:
            recipe = for_few_rows(recipe)
        self._begin_calibration(validation is not None or 2 <= recipe.folds <= len(weight))
        dtype = np.dtype(np.float64 if len(weight) <= _TINY else np.float32)
        self._head = self._choose_head()
        self.out_activation_ = self._head.out_activation
        self._options = self._choose_options()
        self.preparation_, rows = prepare_columns(
            *(X, weight), categorical_features=self.categorical_features, dtype=dtype
        )
        targets = self._as_recipe_targets(y, weight, dtype)
        with jax.enable_x64(dtype == np.float64):
            run = plan_members(
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
        # Rows are kept for no other reason.
        return run if self.calibrate else run._replace(held_out=None)

    def _end_recipe(self, run: MembersRun, trained: TrainedMembers) -> None:
        self.members_ = trained.members
        if not all(np.isfinite(a).all() for a in jax.tree.leaves(self.members_.params)):
            raise ValueError(NOT_FINITE)
        self.recipe_ = trained.recipe
        self._keep_recipe(trained.history, len(run.loader.source))
        held_out = run.held_out
        if held_out is not None:
            self._use_held_out(lambda: self._held_out_logits(held_out))

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

    def _held_out_logits(self, held_out: HeldOut) -> Logits:
        """Computes what members give for rows that they were not trained on."""
        logits, entries = [], []
        chosen = choose_rows(held_out.weight)
        for place, weight in enumerate(held_out.weight):
            own = chosen[weight[chosen] > 0]
            if len(own):
                params = jax.tree.map(lambda a, place=place: a[[place]], self.members_.params)
                members = self.members_._replace(params=params)
                rows = type(held_out.rows)(*(part[own] for part in held_out.rows))
                logits.append(self._apply_members(members, rows, as_they_are, apart=True))
                entries.append(own)
        row = np.concatenate(entries)
        order = np.argsort(row, kind="stable")
        values = np.concatenate(logits, axis=1)[:, order]
        return Logits(values, row[order], held_out.targets, held_out.weight.max(axis=0))

    def _as_held_out(self, rows: Rows | None, dtype: Any) -> Batch | None:
        if rows is None:
            return None
        x = prepare_rows(self._known_columns(), rows.x, dtype=dtype)
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

    def _known_columns(self) -> Preparation:
        assert self.preparation_ is not None
        return self.preparation_

    def _compute_recipe(self, X: Any, *, apart: bool = False) -> np.ndarray:
        """Computes what every member predicts for rows, shape (members, rows, outputs)."""
        dtype = self.members_.params.output.kernel.dtype
        rows = prepare_rows(self._known_columns(), X, dtype=dtype)
        members = self.members_._replace(params=self._temper(self.members_.params))
        # Of normal distributions no mean is one.
        apart = apart or self._head.loss == "gaussian"
        return self._apply_members(members, rows, _Activated(self._head), apart=apart)

    def _apply_members(
        self, members: Members, rows: Any, predict: Callable[[Any], Any], *, apart: bool
    ) -> np.ndarray:
        config = self.recipe_.network
        with jax.enable_x64(members.params.output.kernel.dtype == np.float64):
            return compute_members(members, rows, config=config, predict=predict, apart=apart)

    def _average(self, outputs: np.ndarray) -> np.ndarray:
        """Averages over members, as a mixture of what they say; shape (rows, outputs)."""
        mean = outputs.mean(axis=0, dtype=np.float64)
        if self.out_activation_ == "softmax":
            # They sum to 1 in float32 alone, which scikit-learn's scores warn of.
            mean /= mean.sum(axis=1, keepdims=True)
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


def as_they_are(outputs: Any) -> Any:
    """Returns outputs, of classes logits."""
    return outputs


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
