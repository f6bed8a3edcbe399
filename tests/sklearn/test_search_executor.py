"""Tests of MLPSearchCV by the workers of an executor, and of what it warns of."""

import warnings
from concurrent.futures import BrokenExecutor

import numpy as np
import pytest
from sklearn.base import clone
from sweeps import Deadly, Here

from jaxmlp.sklearn import MLPClassifier, MLPSearchCV

generator = np.random.default_rng(0)
X = generator.normal(size=(60, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
ESTIMATOR = MLPClassifier((4,), preset="sklearn", max_iter=5, random_state=0)


def search(**settings):
    # Too few epochs to converge, of which scikit-learn warns.
    with pytest.warns(Warning, match="Maximum iterations"):
        return MLPSearchCV(ESTIMATOR, {"alpha": [1e-4, 0.1, 10.0]}, cv=2, **settings).fit(X, Y)


def test_a_search_by_an_executor_finds_the_same():
    executor = Here()
    found, alone = search(executor=executor), search()
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(found.predict_proba(X), alone.predict_proba(X))
    # One by one, of both splits.
    assert sorted(executor.members) == [[0], [0], [1], [1], [2], [2]]


@pytest.mark.filterwarnings("ignore:1 of 3 members were given up")
def test_members_that_were_lost_are_fitted_alone():
    executor = Deadly(1)
    found, alone = search(executor=executor), search()
    assert executor.deaths > 2
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


def test_a_copy_of_a_search_has_the_same_executor():
    executor = Here()
    assert clone(MLPSearchCV(ESTIMATOR, {"alpha": [0.1]}, executor=executor)).executor is executor


def test_dead_workers_are_told():
    class Broken(Deadly):
        def submit(self, *_):
            raise BrokenExecutor("all died")

    with pytest.raises(BrokenExecutor, match="all died"):
        MLPSearchCV(ESTIMATOR, {"alpha": [0.1, 1.0]}, cv=2, executor=Broken()).fit(X, Y)


def test_threads_are_refused_with_an_executor():
    with pytest.raises(ValueError, match="n_jobs are threads of this process"):
        MLPSearchCV(ESTIMATOR, {"alpha": [0.1]}, executor=Here(), n_jobs=2).fit(X, Y)


@pytest.mark.bad_input  # a type-checking hook stands between the warning and the user's line
@pytest.mark.parametrize("preset", ["auto", "sklearn"])
def test_candidates_of_two_kinds_are_warned_of(preset):
    """The first is trained by a recipe, since "auto" goes by whether values are defaults."""
    model = MLPClassifier(preset=preset, max_iter=2, random_state=0)
    search = MLPSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2, refit=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, Y)
    told = [w for w in caught if "candidates with preset='auto'" in str(w.message)]
    assert len(told) == (preset == "auto")
    for warning in told:
        assert str(warning.message).startswith("1 of 2 candidates with preset='auto' are trained")
        assert warning.filename == __file__
