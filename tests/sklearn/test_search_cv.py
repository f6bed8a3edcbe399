"""`MLPSearchCV` finds what scikit-learn's searches find, with candidates trained together."""

import pickle

import numpy as np
import pytest
import scipy.stats
import sklearn
from compilations import compilations
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from jaxmlp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV, together
from jaxmlp.tabular import Recipe, TabularConfig

X, Y = load_iris(return_X_y=True)
GRID = {"alpha": [1e-5, 1.0], "learning_rate_init": [0.001, 0.03, 0.1]}
RECIPE = {
    "network": TabularConfig(hidden_features=(8,)),
    "members": 2,
    "folds": 2,
    "epochs": 4,
    "learning_rate": 0.04,
}

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def classifier(**settings):
    return MLPClassifier(
        **{"hidden_layer_sizes": (5,), "max_iter": 25, "random_state": 0, "preset": "sklearn"}
        | {"n_iter_no_change": 4, "tol": 1e-2}
        | settings
    )


@pytest.fixture
def together_count(monkeypatch):
    """Numbers of candidates that were trained together, in order."""
    counts = []

    def count(function):
        def train(runs, **settings):
            if len(runs) > 1:
                counts.append(len(runs))
            return function(runs, **settings)

        monkeypatch.setattr(together, function.__name__, train)

    count(together.train_members)
    count(together.train_solver_members)
    return counts


def assert_same_results(ours, theirs, rtol=1e-9):
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        if "time" in name:
            assert (ours[name] >= 0).all()
        elif name.startswith("param_"):
            assert ours[name].dtype == values.dtype
            np.testing.assert_array_equal(ours[name].mask, values.mask)
            np.testing.assert_array_equal(ours[name].compressed(), values.compressed())
        elif name == "params":
            assert ours[name] == values
        else:
            assert ours[name].dtype == values.dtype
            np.testing.assert_allclose(ours[name], values, rtol=rtol, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "grid"),
    [
        ({}, GRID),
        ({}, [{"alpha": [0, 1]}, {"beta_1": [0.5, 0.8], "tol": [1e-4, 0.05]}]),
        ({"solver": "sgd", "learning_rate": "invscaling"}, {"power_t": [0.1, 0.5]}),
        ({"dropout": 0.2}, {"dropout": [0.1, 0.5], "learning_rate_init": [0.01, 0.1]}),
        (
            {"shuffle": False, "batch_size": 20},
            {"hidden_layer_sizes": [(3,), (4,)], "alpha": [0, 1]},
        ),
    ],
)
def test_scores_are_those_of_a_grid_search(settings, grid, together_count):
    arguments = {"cv": 3, "scoring": "neg_log_loss", "return_train_score": True}
    ours = MLPSearchCV(classifier(**settings), grid, **arguments).fit(X, Y)
    theirs = GridSearchCV(classifier(**settings), grid, **arguments).fit(X, Y)
    candidates = len(theirs.cv_results_["params"])
    assert sum(together_count) == 3 * candidates
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert ours.n_splits_ == 3
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))
    assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y))


def test_fitted_candidates_are_as_if_fitted_alone():
    seen = []

    def note(estimator, x, y):
        seen.append((estimator.n_iter_, estimator.loss_curve_, estimator.coefs_, estimator.t_))
        return estimator.score(x, y)

    for search in (MLPSearchCV, GridSearchCV):
        search(classifier(max_iter=60), GRID, cv=2, scoring=note, refit=False).fit(X, Y)
    half = len(seen) // 2
    assert len({epochs for epochs, *_ in seen}) > 3  # they stop at epochs of their own
    for ours, theirs in zip(seen[:half], seen[half:], strict=True):
        assert ours[0] == theirs[0]
        assert ours[3] == theirs[3]
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9)
        for a, b in zip(ours[2], theirs[2], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12)


@pytest.mark.slow
def test_scores_of_recipes_are_those_of_a_grid_search(together_count):
    x, y = make_regression(90, 4, noise=5, random_state=0)
    recipes = [Recipe(**RECIPE | {"weight_decay": decay}) for decay in (0.0, 0.5)]
    model = MLPRegressor(preset=recipes[0], random_state=0)
    grid = {"preset": recipes, "dropout": [0.1, 0.3], "n_ensemble": [1, 2]}
    ours = MLPSearchCV(model, grid, cv=2, refit=False).fit(x, y)
    theirs = GridSearchCV(model, grid, cv=2, refit=False).fit(x, y)
    assert together_count == [8, 8]
    # In float32, over 4 epochs.
    assert_same_results(ours.cv_results_, theirs.cv_results_, rtol=1e-3)


def test_candidates_of_one_program_compile_it_once():
    x, y = make_classification(100, random_state=0)
    model = classifier(max_iter=6, hidden_layer_sizes=(6,))
    grids = [{"alpha": np.linspace(0.01, 1, many).tolist()} for many in (8, 13)]
    MLPSearchCV(model, grids[0], cv=3, refit=False).fit(x, y)
    with compilations() as compiled:
        MLPSearchCV(model, grids[1], cv=3, refit=False).fit(x, y)
    # Of the arrays of all members, whose shapes tell their number; it takes milliseconds.
    assert compiled.keys() <= {"stage"}


def test_draws_are_those_of_a_randomized_search():
    space = {"alpha": scipy.stats.loguniform(1e-5, 1), "learning_rate_init": [0.01, 0.1]}
    settings = {"n_iter": 4, "cv": 2, "random_state": 3, "refit": False}
    theirs = RandomizedSearchCV(classifier(max_iter=3), space, **settings).fit(X, Y)
    for given in ((space,), ()):
        named = {} if given else {"param_distributions": space}
        ours = MLPSearchCV(classifier(max_iter=3), *given, **settings, **named).fit(X, Y)
        assert_same_results(ours.cv_results_, theirs.cv_results_)


def test_distributions_are_drawn_ten_times_by_default():
    space = {"alpha": scipy.stats.uniform()}
    search = MLPSearchCV(classifier(max_iter=1), space, cv=2, refit=False).fit(X, Y)
    assert len(search.cv_results_["params"]) == 10


@pytest.mark.parametrize("given", [{}, {"param_grid": GRID, "param_distributions": GRID}])
def test_one_of_grid_and_distributions_is_needed(given):
    with pytest.raises(ValueError, match="Give param_grid or param_distributions, one of them"):
        MLPSearchCV(classifier(), **given).fit(X, Y)


def test_a_pipeline_is_refused_with_what_takes_it():
    with pytest.raises(TypeError, match=r"got a Pipeline\. GridSearchCV and"):
        MLPSearchCV(make_pipeline(classifier()), {"mlpclassifier__alpha": [1]}).fit(X, Y)


def test_several_scores_and_a_choice_of_ones_own():
    grid = {"alpha": [1e-4, 1.0]}
    scoring = {"a": "accuracy", "l": "neg_log_loss"}
    settings = {"cv": 2, "scoring": scoring, "refit": lambda _: 1}
    ours = MLPSearchCV(classifier(), grid, **settings).fit(X, Y)
    theirs = GridSearchCV(classifier(), grid, **settings).fit(X, Y)
    assert_same_results(ours.cv_results_, theirs.cv_results_)
    assert ours.best_params_ == {"alpha": 1.0}
    assert ours.scorer_.keys() == scoring.keys()
    assert ours.multimetric_
    assert not hasattr(ours, "best_score_")


def test_without_a_refit_there_is_nothing_to_predict_by():
    search = MLPSearchCV(classifier(max_iter=2), {"alpha": [0, 1]}, cv=2, refit=False).fit(X, Y)
    assert search.best_params_
    assert not hasattr(search, "predict")
    assert not hasattr(search, "predict_dist")
    assert not hasattr(search, "best_estimator_")


def test_a_candidate_that_fails_gets_the_error_score(together_count):
    grid = {"alpha": [-1.0, 1e-4, 1.0]}
    search = MLPSearchCV(classifier(), grid, cv=2, error_score=-5.0)
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 6"):
        search.fit(X, Y)
    assert together_count == [2, 2]
    assert search.cv_results_["mean_test_score"][0] == -5
    assert search.best_params_["alpha"] != -1
    with pytest.raises(ValueError, match="'alpha' parameter of MLPClassifier"):
        search.set_params(error_score="raise").fit(X, Y)


@pytest.mark.slow
def test_a_candidate_that_diverges_fails_alone():
    x, y = make_regression(60, 3, random_state=0)
    model = MLPRegressor(solver="sgd", preset="sklearn", random_state=0, max_iter=20)
    grid = {"learning_rate_init": [1e-4, 1e-3, 1e9]}
    for search in (MLPSearchCV, GridSearchCV):
        with (
            pytest.warns(UserWarning, match="scores are non-finite"),
            pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 6"),
        ):
            found = search(model, grid, cv=2, refit=False).fit(x, y)
        assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "lbfgs"},
        {"early_stopping": True},
        {"solver": "sgd", "learning_rate": "adaptive"},
        {"random_state": None},
        {"callbacks": print},
    ],
)
def test_what_cannot_be_trained_together_is_fitted_alone(settings, together_count):
    MLPSearchCV(classifier(max_iter=2, **settings), {"alpha": [0, 1]}, cv=2).fit(X, Y)
    assert not together_count


def test_weights_and_groups_go_where_they_belong(together_count):
    groups, weight = np.arange(150) % 5, np.linspace(0, 1, 150)
    grid = {"alpha": [1e-4, 1.0]}
    settings = {"cv": GroupKFold(5), "scoring": make_scorer(accuracy_score)}
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True)
        settings["scoring"].set_score_request(sample_weight=True)
        ours, theirs = (
            search(model, grid, **settings).fit(X, Y, sample_weight=weight, groups=groups)
            for search in (MLPSearchCV, GridSearchCV)
        )
    assert together_count == [2] * 5
    assert_same_results(ours.cv_results_, theirs.cv_results_)


@pytest.mark.slow
def test_one_thread_finds_the_same():
    one, all_cores = (
        MLPSearchCV(classifier(), GRID, cv=2, n_jobs=jobs, refit=False).fit(X, Y)
        for jobs in (1, -1)
    )
    assert_same_results(one.cv_results_, all_cores.cv_results_)


def test_a_regressors_own_methods_are_there():
    x, y = make_regression(60, 3, random_state=0)
    model = MLPRegressor("gaussian", hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    search = MLPSearchCV(model, {"alpha": [1e-3, 1.0]}, cv=2).fit(x, y)
    best = search.best_estimator_
    np.testing.assert_array_equal(search.predict_quantiles(x), best.predict_quantiles(x))
    np.testing.assert_array_equal(search.predict_dist(x).mean(), best.predict_dist(x).mean())


def test_a_search_is_cloned_and_pickled():
    search = MLPSearchCV(classifier(max_iter=2), {"alpha": [0, 1]}, cv=2).fit(X, Y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert not hasattr(clone(search), "best_estimator_")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [MLPClassifier, MLPRegressor])
def test_scikit_learns_checks_pass_as_for_its_own_search(model):
    def failing(search):
        settings = {"hidden_layer_sizes": (4,), "max_iter": 20, "random_state": 0}
        estimator = model(preset="sklearn", **settings)
        wrapped = search(estimator, {"alpha": [1e-4, 1e-2]}, cv=2, error_score="raise")
        results = check_estimator(wrapped, on_skip=None, on_fail=None)
        return {r["check_name"] for r in results if r["status"] == "failed"}

    assert failing(MLPSearchCV) <= failing(GridSearchCV)
