"""Early stopping by any of scikit-learn's scores."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.metrics import balanced_accuracy_score, get_scorer, make_scorer, mean_pinball_loss

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
SEEN, UNSEEN = slice(0, None, 2), slice(1, None, 2)
SETTINGS = {"preset": "sklearn", "max_iter": 6, "random_state": 0}
LABELLED, LABELS = make_multilabel_classification(100, random_state=0)

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def fit(kind, scoring, y=Y, x=X, weight=None, **settings):
    estimator = kind(scoring=scoring, **SETTINGS, **settings)
    rows = {"X_val": x[UNSEEN], "y_val": y[UNSEEN], "sample_weight_val": weight}
    return estimator.fit(x[SEEN], y[SEEN], **rows)


@pytest.mark.parametrize(
    ("kind", "scoring", "y"),
    [
        (MLPClassifier, "neg_log_loss", Y),
        (MLPClassifier, "balanced_accuracy", NAMES),
        (MLPClassifier, "roc_auc", Y == 0),
        (MLPClassifier, "roc_auc_ovr", NAMES),
        (MLPRegressor, "neg_mean_absolute_error", Y),
        (MLPRegressor, "neg_root_mean_squared_error", np.stack([Y, Y + 1], axis=1)),
    ],
)
def test_the_score_of_an_epoch_is_what_the_scorer_gives_for_its_weights(kind, scoring, y):
    estimator = fit(kind, scoring, y)
    assert len(estimator.validation_scores_) == 6
    expected = get_scorer(scoring)(estimator, X[UNSEEN], y[UNSEEN])
    assert estimator.validation_scores_[-1] == expected
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)


def test_a_score_of_several_labels():
    estimator = fit(MLPClassifier, "f1_micro", LABELS, LABELLED)
    expected = get_scorer("f1_micro")(estimator, LABELLED[UNSEEN], LABELS[UNSEEN])
    assert estimator.validation_scores_[-1] == expected


@pytest.mark.parametrize(
    "scoring",
    [
        get_scorer("neg_log_loss"),
        make_scorer(balanced_accuracy_score),
        lambda estimator, x, y: -np.abs(estimator.predict_proba(x)[:, 0] - (y == 0)).sum(),
    ],
)
def test_functions_are_scorers(scoring):
    estimator = fit(MLPClassifier, scoring)
    assert estimator.validation_scores_[-1] == scoring(estimator, X[UNSEEN], Y[UNSEEN])


def test_training_stops_by_the_score_and_keeps_the_best_weights():
    estimator = MLPRegressor(
        scoring=make_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.9),
        early_stopping=True,
        max_iter=400,
        n_iter_no_change=5,
        learning_rate_init=0.01,
        random_state=0,
    ).fit(X[SEEN], Y[SEEN], X_val=X[UNSEEN], y_val=Y[UNSEEN])
    assert estimator.n_iter_ < 400
    loss = mean_pinball_loss(Y[UNSEEN], estimator.predict(X[UNSEEN]), alpha=0.9)
    assert -loss == estimator.best_validation_score_ == max(estimator.validation_scores_)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_usual_score_by_its_name_is_the_usual_score(kind):
    named = "accuracy" if kind is MLPClassifier else "r2"
    fits = [
        kind(scoring=scoring, early_stopping=True, **SETTINGS).fit(X, Y)
        for scoring in (None, named)
    ]
    np.testing.assert_allclose(*(one.validation_scores_ for one in fits), rtol=1e-12)
    for a, b in zip(*(one.coefs_ for one in fits), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_rows_are_handed_on():
    weight = np.arange(1.0, 1 + len(X[UNSEEN]))
    estimator = fit(MLPClassifier, "neg_log_loss", weight=weight)
    expected = get_scorer("neg_log_loss")(estimator, X[UNSEEN], Y[UNSEEN], sample_weight=weight)
    assert estimator.validation_scores_[-1] == expected


@pytest.mark.parametrize("as_table", [pd.DataFrame, scipy.sparse.csr_array, np.float32])
def test_rows_of_any_kind_are_scored(as_table):
    x = as_table(X)
    x = x.set_axis(list("abcd"), axis=1) if as_table is pd.DataFrame else x
    estimator = MLPClassifier(scoring="neg_log_loss", early_stopping=True, **SETTINGS).fit(x, Y)
    assert len(estimator.validation_scores_) == 6
    assert hasattr(estimator, "feature_names_in_") == (as_table is pd.DataFrame)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_score_that_has_no_effect_is_warned_about(solver):
    estimator = MLPClassifier(scoring="roc_auc_ovr", solver=solver, max_iter=5)
    with pytest.warns(UserWarning, match="scoring has no effect without rows to validate"):
        estimator.fit(X, Y)


def test_with_rows_to_validate_on_nothing_is_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        fit(MLPClassifier, "neg_log_loss")


def test_unknown_scores_are_refused():
    with pytest.raises(ValueError, match=r"The 'scoring' parameter of MLPClassifier must be"):
        fit(MLPClassifier, "acuracy")
