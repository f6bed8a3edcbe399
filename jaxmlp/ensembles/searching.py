"""Turns candidates for hyperparameters into a table of their scores and the best one's network."""

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Unpack

import numpy as np
from jaxtyping import Array, Key, PyTree

from ..checks import require_bool, suggests_settings
from ..data import DataLoader
from ..fitting import FIT_SETTINGS, as_frame, complete, make_plan, spelled_out
from .checks import dense_rows
from .halving import Halving, make_keep, plan_rungs
from .members import fit_members
from .results import MembersResult
from .scores import SCORE_COLUMNS, find_best, find_best_values, make_table, score_members
from .settings import SWEEP_SETTINGS, MemberSettings
from .trials import as_columns, make_folds, make_keys, repeat_rows, repeat_settings, require_init

# The settings of a sweep that the training of the best candidate on all rows has, too.
_KEPT_IN_REFIT = (
    *("ema_decay", "accumulate_steps", "nonfinite", "memory", "progress", "executor"),
)


class SearchResult(NamedTuple):
    """What a search found.

    `table` has one row per candidate, in the order in which they were given, as a dict of columns;
    `to_frame()` is the same as a `pandas.DataFrame`. Its columns are

    - the hyperparameters by name;
    - `score_mean` and `score_std` over the folds of a member's best monitored value, and
      `score_fold_0`, `score_fold_1`, ...: NaN where a step was not finite;
    - `rank`, 1 for the best; of equal ones the first is better, and NaN is last;
    - `best_epoch` and `epochs`, numbers of the best epoch and of epochs run, mean over the folds;
    - `stopped_by`: "lost", "nonfinite", "interrupt", "dropped", "epochs" or "patience", the first
      of these that is true of one of the folds.

    `best` is the row of the best candidate and `best_settings` its hyperparameters; `params` are
    the parameters to use, `None` without `refit`. `monitor` and `mode` say what the score is.
    `members` are the members of the sweep: `best * folds + f` is the best candidate in fold f.
    """

    table: dict[str, Any]
    best: int
    best_settings: dict[str, Any]
    params: PyTree | None
    monitor: str
    mode: Literal["min", "max"]
    members: MembersResult

    def __repr__(self) -> str:
        """Shows the best candidate and its score."""
        score = float(self.table["score_mean"][self.best])
        return (
            f"SearchResult({len(self.table['rank'])} candidates, best={self.best}, "
            f"best_settings={self.best_settings!r}, {self.monitor}={score:.4g} ({self.mode}))"
        )

    def to_frame(self) -> Any:
        """Returns the table as a `pandas.DataFrame`, one row per candidate.

        Returns:
            The columns of `table`, in its order. Every fold's curve by epoch is in
            `result.members.to_frame()`.

        Raises:
            ImportError: pandas is not installed.
        """
        return as_frame(self.table)


@suggests_settings("search")
@spelled_out(FIT_SETTINGS, SWEEP_SETTINGS)
def search(
    loss: Any,
    optimizer: Any,
    params: Any,
    data: DataLoader,
    *,
    candidates: Mapping[str, Any],
    epochs: int,
    key: Key[Array, ""],
    folds: Any = None,
    stratify: Any = None,
    validation: PyTree | None = None,
    halving: Halving | None = None,
    refit: bool = True,
    **settings: Unpack[MemberSettings],
) -> SearchResult:
    """Finds the best hyperparameters by cross-validation or on validation rows, as one sweep.

    Who knows scikit-learn's `GridSearchCV`, `RandomizedSearchCV` and `HalvingGridSearchCV`:
    `param_grid` is `candidates=grid(...)`, `param_distributions` is
    `candidates=draw_candidates(...)`, `factor` and `min_resources` are `halving=Halving(...)`, `cv`
    is `folds`, `scoring` is `monitor` with `mode`; `cv_results_` is `result.table`, `best_index_`
    `result.best`, `best_params_` `result.best_settings` and `best_estimator_` `result.params`.

    A candidate is trained once per fold, as a member of `fit_members`; its score is the mean over
    the folds of the best value that the monitored metric of the validation rows reached, each fold
    at an epoch of its own. This flatters all candidates, and most those whose metric leaps from
    epoch to epoch, as with high learning rates; `ema_decay` evens them. They share what is random:
    fold f draws from `fold_in(key, f)` and has the order of rows of `data`. So the difference of
    two is not one of luck, and the score of a candidate does not depend on which others there are,
    beyond rounding and where `halving` drops it. The best of many scores is too good: judge the
    result by rows that the search has not seen.

    The best candidate is then trained on all rows, from `fold_in(key, folds)`, for the mean over
    the folds of the number of epochs that was best, `best_epoch + 1`, rounded; an epoch has as many
    steps as in a fold. With `validation` its member has been trained on all rows of `data`, and its
    best parameters are taken.

    Args:
        loss: As for `fit_members`.
        optimizer: As for `fit_members`.
        params: `init(key)` or `init(hyperparameters, key)` that draws parameters.
        data: As for `fit_members`.
        candidates: One value per candidate by name, as `grid` and `draw_candidates` make them, or a
            list of your own: `hyperparameters` of `fit_members`. Numbers are traced; what decides
            shapes is given as configs, tuples or strings, each of which is compiled.
        epochs: Number of passes over the data, at least 1.
        key: One typed JAX random key.
        folds: Number of folds, at least 2, which `fold_weights` deals with seed 0; or row weights
            `(training, validation)`, shape (folds, rows) each, as it returns them: for other seeds,
            groups of rows, or repeated folds. Either `folds` or `validation` is given.
        stratify: Labels, shape (rows,), that are spread evenly over a number of folds.
        validation: As for `fit`: rows to validate on, with one member per candidate.
        halving: When to drop candidates that are behind; `None` trains all to the end.
        refit: Whether to return the parameters of the best candidate.

    Returns:
        The table of all candidates, the best one, and its parameters. An interrupt from the
        keyboard returns what was reached, with no parameters.

    Raises:
        BrokenExecutor: As for `fit_members`.
        CheckpointError: As for `fit_members`.
        ImportError: As for `fit_members`.
        KeyboardInterrupt: An interrupt came before any candidate had a score.
        OSError: As for `fit_members`.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range or has no effect, or no candidate has a finite
            score.

    References:
        Stone 1974 for cross-validation; Cawley & Talbot 2010 on scores that are too good.

    Example:
        >>> import jax, jaxmlp, optax
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
        >>> result = search(
        ...     jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
        ...     lambda h: optax.sgd(h["learning_rate"]),
        ...     lambda key: jaxmlp.init_params(config, key=key),
        ...     jaxmlp.DataLoader(x, x @ np.array([1, -2], np.float32), batch_size=16),
        ...     candidates=jaxmlp.ensembles.grid({"learning_rate": [0.001, 0.1, 0.3]}),
        ...     folds=4,
        ...     epochs=20,
        ...     key=jax.random.key(0),
        ... )
        >>> result.table["rank"].tolist(), result.best_settings
        ([3, 2, 1], {'learning_rate': 0.3})
    """
    chosen = complete("search", settings, FIT_SETTINGS, SWEEP_SETTINGS)
    require_bool("refit", refit)
    plan = make_plan(chosen, nonfinite=chosen["nonfinite"], epochs=epochs)
    columns = as_columns(candidates, SCORE_COLUMNS)
    count = len(next(iter(columns.values())))
    dense_rows(data)
    require_init(params)
    dealt = make_folds(folds, stratify, validation, data)
    keys = make_keys(key, dealt.number)
    repeated = repeat_settings(columns, dealt.number)
    train = functools.partial(fit_members, loss, optimizer, params, data)
    stages: list[int] = []
    keep = None
    if halving is not None:
        rungs = plan_rungs(halving, candidates=count, epochs=epochs)

        def score(history: Mapping[str, np.ndarray]) -> np.ndarray:
            best_value, is_bad = find_best_values(history, plan)
            return score_members(best_value, is_bad, dealt.number).mean(axis=1)

        stages = [rung.epoch for rung in rungs]
        keep = make_keep(rungs, score, mode=plan.mode, folds=dealt.number)
    members = train(
        epochs=epochs,
        # Candidate after candidate: member c * folds + f is fold f of candidate c.
        keys=keys[np.tile(np.arange(dealt.number), count)],
        hyperparameters=repeated,
        row_weights=repeat_rows(dealt.training, count),
        validation=dealt.validation,
        validation_weights=repeat_rows(dealt.weights, count),
        validation_rows=repeat_rows(dealt.rows, count),
        stages=stages,
        keep=keep,
        **chosen,
    )
    table = make_table(columns, members, dealt.number, plan.mode)
    best = find_best(table, members)
    best_params = None
    if refit and "interrupt" not in members.stopped_by:
        first = best * dealt.number
        if folds is None:
            best_params = members.member(best)
        else:
            best_epoch = members.best_epoch[first : first + dealt.number]
            best_epochs = int(np.mean(best_epoch + 1) + 0.5)
            averages = plan.swa_start is not None and plan.swa_start < best_epochs
            again = train(
                epochs=best_epochs,
                keys=keys[dealt.number :],
                hyperparameters={name: v[first : first + 1] for name, v in repeated.items()},
                # Where averaging began after the best epoch, its parameters were no average.
                swa_start=plan.swa_start if averages else None,
                **{name: chosen[name] for name in _KEPT_IN_REFIT},
            )
            best_params = None if "interrupt" in again.stopped_by else again.member(0)
    return SearchResult(
        table=table,
        best=best,
        best_settings={name: column[best] for name, column in columns.items()},
        params=best_params,
        monitor=plan.monitor,
        mode=plan.mode,
        members=members,
    )
