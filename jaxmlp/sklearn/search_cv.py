"""Turns an estimator and candidates of its arguments into the best of them, by cross-validation."""

import copy
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import jax
import joblib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import _safe_split, available_if
from sklearn.utils.validation import _check_method_params

from .base import BaseMLP
from .together import handing_out, train_candidates, warn_of_two_kinds

# What scikit-learn's own clone takes along, beside arguments.
_ROUTED = ("_metadata_request", "_sklearn_output_config")
# That of RandomizedSearchCV.
_DRAWN = 10


def _best_has(method: str) -> Callable[[Any], bool]:
    def check(search: Any) -> bool:
        if not search.refit:
            raise AttributeError(f"{method} is only available with refit=True.")
        getattr(getattr(search, "best_estimator_", search.estimator), method)
        return True

    return check


class MLPSearchCV(BaseSearchCV):
    """Searches for arguments of `MLPClassifier` or `MLPRegressor` by cross-validation.

    It is scikit-learn's GridSearchCV and RandomizedSearchCV: the same methods, the same fitted
    attributes, and the scores that they find. But of each fold all candidates that differ in
    numbers alone are trained as members of one program, in threads on a CPU and at once on other
    devices. These are, with `preset="sklearn"` and the solvers "adam" and "sgd", `alpha`,
    `learning_rate_init`, `power_t`, `momentum`, `beta_1`, `beta_2`, `epsilon`, `tol`,
    `n_iter_no_change`, `dropout` above 0 and a loss's numbers; with a recipe `dropout`,
    `n_ensemble`, `random_state`, `class_weight` of no row's 0, and all numbers of a `Recipe` but
    its epochs and batch size. Other arguments make groups, in each of which it is so. Alone, one
    after the other, are fitted: candidates without their like, of `solver="lbfgs"`, with
    `early_stopping`, rows to validate on, `learning_rate="adaptive"`, `callbacks`, `progress` or
    `verbose`, without a `random_state`, of more than 65,536 epochs or 67 million rows in all of
    them, or on sparse tables, of scikit-learn's solvers each.

    Args:
        estimator: The classifier or regressor.
        param_grid: Values to try, by the name of the argument, or a list of such dicts. All
            combinations are tried, unless `n_iter` is given or a value is a distribution: then it
            is taken for `param_distributions`, so that either may stand in second place.
        param_distributions: Lists or distributions (that have `rvs`) to draw candidates from, by
            the name of the argument, or a list of such dicts.
        n_iter: How many candidates are drawn; `None` for 10.
        scoring: As GridSearchCV's.
        n_jobs: How many threads train members on a CPU, -1 for all cores; `None` for as many. Other
            devices take all members at once. There are no further processes.
        refit: As GridSearchCV's.
        cv: As GridSearchCV's.
        verbose: As GridSearchCV's.
        random_state: Where candidates are drawn from.
        error_score: As GridSearchCV's.
        return_train_score: As GridSearchCV's.
        executor: Where candidates that are trained together are trained: as `fit_members` takes it.
            Their pieces go to its workers, which compute on their own devices; what is fitted
            alone, and the last fit, stays here.

    Attributes:
        cv_results_: As GridSearchCV's. The time of candidates that were trained together is that of
            all, divided by how many there were.
        best_estimator_: The estimator with the best arguments, fitted to all rows.
        best_score_: Mean score of the best candidate.
        best_params_: Its arguments.
        best_index_: Its number.
        scorer_: What scored.
        n_splits_: Number of folds.
        refit_time_: Seconds that the last fit took.
        multimetric_: Whether there are several scores.
    """

    # Scikit-learn's has no ClassVar.
    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **BaseSearchCV._parameter_constraints,
        "param_grid": [dict, list, None],
        "param_distributions": [dict, list, None],
        "n_iter": [int, None],
        "random_state": ["random_state"],
        "executor": [Executor, callable, None],
    }
    pre_dispatch = "2*n_jobs"

    def __init__(
        self,
        estimator: Any,
        param_grid: Any = None,
        *,
        param_distributions: Any = None,
        n_iter: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        executor: Any = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.random_state = random_state
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.executor = executor

    def __sklearn_clone__(self) -> "MLPSearchCV":
        """Returns an unfitted copy with the same executor, of which there is no copy."""
        settings = self.get_params(deep=False)
        executor = settings.pop("executor")
        copied: Any = {name: clone(value, safe=False) for name, value in settings.items()}
        search = type(self)(**copied, executor=executor)
        vars(search).update(copy.deepcopy({k: v for k, v in vars(self).items() if k in _ROUTED}))
        return search

    def fit(self, X: Any, y: Any = None, **params: Any) -> "MLPSearchCV":
        """Searches, and fits the best candidate to all rows.

        Args:
            X: Rows, as the estimator takes them.
            y: Targets.
            params: What else `fit` of the estimator, scorers and `cv` take, as `sample_weight` and
                `groups`; what has a value per row is split as the rows are.

        Returns:
            The search itself.

        Raises:
            TypeError: `estimator` is none of jaxmlp's, or an argument has the wrong type.
            ValueError: An argument or the table is not as it must be.
        """
        if not isinstance(self.estimator, BaseMLP):
            raise TypeError(
                "estimator must be an MLPClassifier or MLPRegressor of jaxmlp.sklearn; got a "
                f"{type(self.estimator).__name__}. GridSearchCV and RandomizedSearchCV take any, a "
                "Pipeline too, and do not compile anew for further candidates of ours either."
            )
        if self.executor is not None and self.n_jobs is not None:
            raise ValueError(
                "n_jobs are threads of this process, and have no effect with executor: start more "
                f"workers; got n_jobs={self.n_jobs!r}."
            )
        try:
            # Fits do not go to other processes, where what was trained together is not.
            with joblib.parallel_config("sequential"):
                return super().fit(X, y, **params)
        finally:
            for name in ("_fit_params", "_joint"):
                vars(self).pop(name, None)

    # Without scikit-learn's callbacks, which its own searches take in addition.
    def _run_search(self, evaluate_candidates: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        candidates = list(self._choose_candidates())
        self._joint = joint = _Joint(self, candidates, self._fit_params)
        with handing_out(joint.trained):
            evaluate_candidates(candidates, cv=joint)

    def _choose_candidates(self) -> Any:
        """Returns the arguments of every candidate.

        Raises:
            ValueError: There is nothing to choose from, or there are two things.
        """
        given = [s for s in (self.param_grid, self.param_distributions) if s is not None]
        if len(given) != 1:
            raise ValueError(
                "Give param_grid or param_distributions, one of them; got "
                f"param_grid={self.param_grid!r}, param_distributions={self.param_distributions!r}."
            )
        draws = self.param_grid is None or self.n_iter is not None
        if draws or any(map(_has_distribution, _as_dicts(given[0]))):
            n_iter = _DRAWN if self.n_iter is None else self.n_iter
            return ParameterSampler(given[0], n_iter, random_state=self.random_state)
        return ParameterGrid(given[0])

    def _get_routed_params_for_fit(self, params: Any) -> Any:
        routed = super()._get_routed_params_for_fit(params)
        self._fit_params = routed.estimator.fit
        return routed

    def _format_results(
        self, candidate_params: Any, n_splits: int, out: Any, more_results: Any = None
    ) -> Any:
        out = list(out)
        for (number, split), seconds in self._joint.seconds.items():
            place = number * n_splits + split
            out[place] = {**out[place], "fit_time": out[place]["fit_time"] + seconds}
        return super()._format_results(candidate_params, n_splits, out, more_results)

    @available_if(_best_has("predict_quantiles"))
    def predict_quantiles(self, X: Any, quantiles: Any = None) -> np.ndarray:
        """Returns `best_estimator_.predict_quantiles`."""
        return self.best_estimator_.predict_quantiles(X, quantiles)

    @available_if(_best_has("predict_dist"))
    def predict_dist(self, X: Any) -> Any:
        """Returns `best_estimator_.predict_dist`."""
        return self.best_estimator_.predict_dist(X)

    def __sklearn_tags__(self) -> Any:
        """Says what tables the estimator takes."""
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags.allow_nan = own.input_tags.allow_nan
        tags.input_tags.string = own.input_tags.string
        tags.input_tags.categorical = own.input_tags.categorical
        return tags


class _Joint:
    """A splitter that trains the candidates of a search on the rows of every split that it makes.

    `seconds` are by number of a candidate and number of a split.
    """

    def __init__(
        self, search: MLPSearchCV, candidates: list[dict[str, Any]], fit_params: Any
    ) -> None:
        self._search, self._candidates, self._fit_params = search, candidates, fit_params
        self.trained: dict[tuple[str, str], Any] = {}
        self.seconds: dict[tuple[int, int], float] = {}

    def split(self, X: Any, y: Any = None, **params: Any) -> list[tuple[Any, Any]]:
        """Returns the rows to train on and to score of every split."""
        splitter: Any = self._search._checked_cv_orig
        splits = list(splitter.split(X, y, **params))
        estimator = self._search.estimator
        warn_of_two_kinds([_candidate(estimator, own) for own in self._candidates], X)
        for number, (train, _) in enumerate(splits):
            if y is not None:
                self._train(X, y, train, number)
        return splits

    def _train(self, X: Any, y: Any, train: Any, split: int) -> None:
        """Trains on some of the rows, as each candidate's own fit will ask for."""
        estimator, settings = self._search.estimator, {}
        rows, targets = _safe_split(estimator, X, y, train)
        given: Any = _check_method_params(X, params=self._fit_params, indices=train)
        try:
            called = inspect.signature(estimator.fit).bind(rows, targets, **given)
        except TypeError:
            return  # Every fit will tell.
        values = called.arguments
        validation = tuple(values.get(name) for name in ("X_val", "y_val", "sample_weight_val"))
        if self._search.executor is not None:
            settings["executor"] = self._search.executor
        elif self._search.n_jobs is not None and jax.default_backend() == "cpu":
            settings["threads"] = joblib.effective_n_jobs(self._search.n_jobs)
        trained, seconds = train_candidates(
            [_candidate(estimator, own) for own in self._candidates],
            (rows, targets, values.get("sample_weight"), validation),
            settings=settings,
        )
        self.trained |= trained
        self.seconds |= {(number, split): own for number, own in seconds.items()}


def _candidate(estimator: Any, settings: dict[str, Any]) -> Any:
    copied: Any = clone(estimator)
    own: Any = clone(settings, safe=False)  # type: ignore[arg-type]
    return copied.set_params(**own)


def _as_dicts(space: Any) -> list[Any]:
    return [space] if isinstance(space, Mapping) else list(space)


def _has_distribution(space: Any) -> bool:
    return isinstance(space, Mapping) and any(hasattr(v, "rvs") for v in space.values())
