"""Turns what a sweep's members reached into a table with one row per candidate."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ..fitting import Plan
from .results import MembersResult

# Beside the hyperparameters, and a column for each fold.
SCORE_COLUMNS = ("score_mean", "score_std", "rank", "best_epoch", "epochs", "stopped_by")
# Of a candidate's folds, the reason that tells most.
_REASONS = ("lost", "nonfinite", "interrupt", "dropped", "epochs", "patience")


def score_members(
    best_value: Float[np.ndarray, " members"], is_bad: Bool[np.ndarray, " members"], folds: int
) -> Float[np.ndarray, "candidates folds"]:
    """Returns the best monitored value of each fold, NaN if any step was not finite."""
    return np.where(is_bad, np.nan, best_value.astype(np.float64)).reshape(-1, folds)


def find_best_values(
    history: Mapping[str, np.ndarray], plan: Plan
) -> tuple[Float[np.ndarray, " members"], Bool[np.ndarray, " members"]]:
    """Returns each member's best value so far, or NaN, and whether it met NaN or infinity.

    The members have not been dropped: who ended early has no patience left, or is bad.
    """
    values = history[f"validation_{plan.monitor}"]
    cost = values if plan.mode == "min" else -values
    best, counted = np.full((2, len(cost)), np.inf, cost.dtype)
    counted_epoch = np.full(len(cost), -1)
    for epoch, now in enumerate(cost.T):
        best = np.where(np.isfinite(now) & (now < best), now, best)
        counts = np.isfinite(now) & (now < counted - cost.dtype.type(plan.min_delta))
        counted_epoch, counted = (
            np.where(counts, epoch, counted_epoch),
            np.where(counts, now, counted),
        )
    ran = count_epochs(history)
    is_bad = ran < values.shape[1]
    if plan.patience is not None:
        is_bad = is_bad & (ran - 1 - counted_epoch < plan.patience)
    best = np.where(np.isinf(best), np.nan, best)
    return best if plan.mode == "min" else -best, is_bad


def sort_scores(
    scores: Float[np.ndarray, " candidates"], mode: Literal["min", "max"]
) -> Int[np.ndarray, " candidates"]:
    """Returns the candidates from best to worst, the first of equal ones first, NaN last."""
    cost = scores if mode == "min" else -scores
    return np.argsort(np.where(np.isnan(cost), np.inf, cost), kind="stable")


def make_table(
    candidates: Mapping[str, Any],
    members: MembersResult,
    folds: int,
    mode: Literal["min", "max"],
) -> dict[str, Any]:
    """Gathers the columns of `SearchResult.table`; member c * folds + f is fold f of candidate c.

    The mean of a candidate with a NaN is NaN.
    """
    is_bad = (members.bad_step >= 0) | (members.stopped_by == "lost")
    scores = score_members(members.best_value, is_bad, folds)
    mean = scores.mean(axis=1)
    rank = np.empty(len(mean), np.int64)
    rank[sort_scores(mean, mode)] = np.arange(1, len(mean) + 1)
    best_epoch = np.where(members.best_epoch < 0, np.nan, members.best_epoch)
    reasons = members.stopped_by.reshape(-1, folds)
    return {
        **candidates,
        "score_mean": mean,
        "score_std": scores.std(axis=1),
        **{f"score_fold_{fold}": scores[:, fold] for fold in range(folds)},
        "rank": rank,
        "best_epoch": best_epoch.reshape(-1, folds).mean(axis=1),
        "epochs": count_epochs(members.history).reshape(-1, folds).mean(axis=1),
        "stopped_by": np.array(
            [next(reason for reason in _REASONS if reason in row) for row in reasons]
        ),
    }


def find_best(table: Mapping[str, Any], members: MembersResult) -> int:
    """Returns the row of the best candidate.

    Raises:
        KeyboardInterrupt: There is none yet, since the user wanted to stop.
        ValueError: No score is finite.
    """
    best = int(np.argmin(table["rank"]))
    if np.isfinite(table["score_mean"][best]):
        return best
    if "interrupt" in members.stopped_by:
        raise KeyboardInterrupt
    raise ValueError(
        f"at least one of {len(table['rank'])} candidates must have a finite score; got none: "
        f"{np.count_nonzero(members.bad_step >= 0)} of {len(members.bad_step)} members met NaN or "
        "infinity. Lower the learning rates, or train one candidate with fit, which names the "
        "step and the cause."
    )


def count_epochs(history: Mapping[str, np.ndarray]) -> Int[np.ndarray, " members"]:
    """Returns how many epochs each member ran: those with any metric."""
    return np.any([~np.isnan(values) for values in history.values()], axis=0).sum(axis=1)
