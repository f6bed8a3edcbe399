"""With the same random state the estimators learn what scikit-learn's own learn, step for step."""

import numpy as np
import pytest
import sklearn.neural_network
from scipy.sparse import csr_array
from sklearn.datasets import (
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_multilabel_classification,
)

import jaxmlp.sklearn

X, Y = load_iris(return_X_y=True)
DIGITS, DIGIT = load_digits(return_X_y=True)
DIGITS, DIGIT = DIGITS[:500] / 16, DIGIT[:500]
LABELLED, LABELS = make_multilabel_classification(100, random_state=0)
NUMBERS = X @ np.array([1.0, -2.0, 0.5, 1.0]) / 5
SEVERAL = np.stack([NUMBERS, np.sin(X[:, 0]), X[:, 3]], axis=1)
WEIGHT = np.random.default_rng(0).uniform(0, 3, len(X))
SGD = {"solver": "sgd", "learning_rate_init": 0.1}

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")


def fit_both(kind, x, y, sample_weight=None, **arguments):
    pair = []
    for module in (sklearn.neural_network, jaxmlp.sklearn):
        estimator = getattr(module, kind)(**{"random_state": 3, "max_iter": 40} | arguments)
        if module is jaxmlp.sklearn:
            estimator.set_params(preset="sklearn")
        pair.append(estimator.fit(x, y, sample_weight=sample_weight))
    return pair


def assert_alike(theirs, ours, rtol=1e-9):
    """Rounding errors of 1e-16 grow over some hundred steps of training."""
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=rtol)
    scalars = ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_")
    for name in scalars:
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("loss_", "best_loss_", "best_validation_score_", "validation_scores_"):
        a, b = getattr(theirs, name), getattr(ours, name)
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(b, a, rtol=rtol)


CLASSIFIERS = {
    "adam": (X, Y, {}),
    "two classes": (X, Y == 1, {"batch_size": 32}),
    "labels": (LABELLED, LABELS, {}),
    "texts": (X, np.array(["a", "b", "c"])[Y], {}),
    "early stopping": (X, Y, {"early_stopping": True, "max_iter": 60}),
    "two classes, early stopping": (X, Y == 1, {"early_stopping": True}),
    "labels, early stopping": (LABELLED, LABELS, {"early_stopping": True}),
    "deep": (DIGITS, DIGIT, {"hidden_layer_sizes": (20, 10), "activation": "tanh"}),
    "no hidden layer": (X, Y, {"hidden_layer_sizes": ()}),
    "sparse": (csr_array(DIGITS), DIGIT, {"max_iter": 5}),
    "sgd": (X, Y, SGD),
    "plain momentum": (X, Y, {**SGD, "nesterovs_momentum": False}),
    "inverse scaling": (X, Y, {**SGD, "learning_rate": "invscaling", "batch_size": 40}),
    "adaptive": (X, Y, {**SGD, "learning_rate": "adaptive", "tol": 1e-2, "max_iter": 90}),
    # Whose losses they bound by the smallest probability; near it, theirs round 1 - p.
    "unscaled": (1e3 * X, Y, {"solver": "sgd", "max_iter": 5}),
    "unscaled, two classes": (1e6 * X, Y == 1, {"solver": "sgd", "max_iter": 5}),
    "unscaled labels": (1e6 * LABELLED, LABELS, {"solver": "sgd", "max_iter": 5}),
    "in order": (X, Y, {"shuffle": False, "activation": "logistic"}),
    "patience": (X, Y, {"tol": 0.01, "n_iter_no_change": 2, "max_iter": 200}),
    "numbers": (X, Y, {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "alpha": 0.1}),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_learns_what_theirs_learns(name):
    x, y, arguments = CLASSIFIERS[name]
    theirs, ours = fit_both("MLPClassifier", x, y, **arguments)
    assert_alike(theirs, ours)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-8)
    assert ours.score(x, y) == theirs.score(x, y)


REGRESSORS = {
    "one target": (X, NUMBERS, {}),
    "several targets": (X, SEVERAL, {"activation": "tanh", "batch_size": 32}),
    "early stopping": (X, NUMBERS, {"early_stopping": True}),
    "counts": (X, Y, {"loss": "poisson"}),
    "identity": (X, NUMBERS, {"activation": "identity", "alpha": 0.0}),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_learns_what_theirs_learns(name):
    x, y, arguments = REGRESSORS[name]
    theirs, ours = fit_both("MLPRegressor", x, y, **arguments)
    assert_alike(theirs, ours)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_sample_weights_count_as_theirs(early_stopping):
    settings = {"early_stopping": early_stopping, "batch_size": 32}
    theirs, ours = fit_both("MLPClassifier", X, Y, sample_weight=WEIGHT, **settings)
    assert_alike(theirs, ours)


def test_float32_tables_are_computed_in_float32():
    theirs, ours = fit_both("MLPClassifier", DIGITS.astype(np.float32), DIGIT, max_iter=10)
    assert {a.dtype.name for a in (*ours.coefs_, *ours.intercepts_)} == {"float32"}
    # 1e-7 per step grows over 30 of them.
    assert_alike(theirs, ours, rtol=1e-4)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fits_go_on_as_theirs(solver):
    pair = [
        module.MLPClassifier(solver=solver, random_state=0, learning_rate="invscaling")
        for module in (sklearn.neural_network, jaxmlp.sklearn)
    ]
    for _ in range(4):
        for estimator in pair:
            estimator.partial_fit(X, Y, classes=[0, 1, 2])
    assert_alike(*pair)


def test_warm_starts_go_on_as_theirs():
    theirs, ours = fit_both("MLPClassifier", X, Y, warm_start=True, max_iter=5)
    for estimator in (theirs, ours):
        estimator.set_params(max_iter=8).fit(X, Y)
    assert_alike(theirs, ours)


def test_a_shared_generator_is_left_where_theirs_leaves_it():
    """Orders are drawn ahead of their use."""
    states = [np.random.RandomState(0) for _ in range(2)]
    modules = (sklearn.neural_network, jaxmlp.sklearn)
    for module, state in zip(modules, states, strict=True):
        settings = {**SGD, "learning_rate": "adaptive", "tol": 0.02, "max_iter": 40}
        module.MLPClassifier(random_state=state, **settings).fit(X, Y)
    assert states[0].randint(2**31) == states[1].randint(2**31)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_l_bfgs_reaches_a_loss_as_low_as_theirs(kind):
    """Line searches differ, so that the weights do; convex problems end alike."""
    y = Y if kind == "MLPClassifier" else NUMBERS
    convex = {"hidden_layer_sizes": (), "alpha": 10.0, "max_iter": 500, "tol": 1e-7}
    theirs, ours = fit_both(kind, X, y, solver="lbfgs", **convex)
    # Both end where an iteration lowers the loss by 2e-9 of it, so weights agree to its root.
    for a, b in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "load", "settings"),
    [
        ("MLPClassifier", load_wine, {"alpha": 0.01}),
        ("MLPRegressor", load_diabetes, {"alpha": 10.0, "hidden_layer_sizes": (20,)}),
    ],
)
def test_l_bfgs_ends_near_theirs_with_hidden_layers(kind, load, settings, seed):
    """Of these networks minima lie near one another: of eight seeds all ended within 0.4 %.

    Where they do not, as on iris, each ends in others; benchmarks/NOTES.md has the losses.
    """
    x, y = load(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = y if kind == "MLPClassifier" else (y - y.mean()) / y.std()
    settings = {"solver": "lbfgs", "max_iter": 1000, "random_state": seed} | settings
    theirs, ours = fit_both(kind, x, y, **settings)
    assert ours.loss_ < 1.01 * theirs.loss_
