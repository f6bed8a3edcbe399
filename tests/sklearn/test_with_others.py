"""The estimators work inside what scikit-learn and others build on estimators, compiled once."""

import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from compilations import compilations
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.ensemble import StackingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")]


def classifier(**settings):
    return MLPClassifier(
        **{"preset": "sklearn", "max_iter": 60, "learning_rate_init": 0.01, "random_state": 0}
        | settings
    )


def test_folds_of_unequal_length_and_other_numbers_share_one_program():
    x, y = make_classification(803, random_state=0)
    model = classifier(max_iter=3, hidden_layer_sizes=(13,))
    model.fit(x[:640], y[:640]).predict(x[640:])
    with compilations() as counts:
        cross_val_score(model, x, y, cv=5)
        grid = {"learning_rate_init": [1e-3, 1e-2], "alpha": [0, 0.1], "epsilon": [1e-8, 1e-6]}
        GridSearchCV(model, grid, cv=3).fit(x, y)
        classifier(max_iter=5, tol=0.1, hidden_layer_sizes=(13,), beta_1=0.8).fit(x[:700], y[:700])
    # Predictions: of few rows, and of more than a block.
    assert counts.keys() <= {"_compute", "_run"}
    assert max(counts.values()) <= 2


def test_small_tables_of_any_length_share_one_program():
    x, y = make_regression(127, random_state=0)
    model = MLPRegressor(max_iter=3, hidden_layer_sizes=(11,), random_state=0).fit(x, y)
    with compilations() as counts:
        for rows in (65, 80, 99, 128 - 2):
            clone(model).fit(x[:rows], y[:rows])
    assert not counts


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_searches_run_in_processes_and_threads(backend):
    model = make_pipeline(StandardScaler(), classifier())
    grid = {"mlpclassifier__alpha": [1e-4, 10.0]}
    with joblib.parallel_backend(backend, n_jobs=2):
        search = GridSearchCV(model, grid, cv=2).fit(X, Y)
    alone = GridSearchCV(model, grid, cv=2).fit(X, Y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


def test_it_can_be_calibrated_stacked_and_multiplied():
    calibrated = CalibratedClassifierCV(classifier(), cv=2).fit(X, Y)
    assert calibrated.score(X, Y) > 0.9
    stacked = StackingClassifier([("mlp", classifier())], LogisticRegression(), cv=2).fit(X, Y)
    assert stacked.score(X, Y) > 0.9
    several = MultiOutputClassifier(classifier(max_iter=5)).fit(X, np.stack([Y, Y == 1], axis=1))
    assert several.predict(X).shape == (150, 2)


def test_the_feature_that_tells_the_class_is_the_important_one():
    x, y = make_classification(
        200,
        4,
        n_informative=1,
        n_redundant=0,
        n_clusters_per_class=1,
        shuffle=False,
        random_state=0,
    )
    model = classifier().fit(x, y)
    found = permutation_importance(model, x, y, n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 0


def test_frames_give_names_which_are_checked():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    model = classifier(max_iter=3).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"a": "z"}))


def through_joblib(value):
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "joblib": through_joblib,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_predict_the_same_and_train_on_alike(name):
    model = classifier(max_iter=5).fit(X, Y)
    copied = COPIES[name](model)
    np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))
    for each in (model, copied):
        each.partial_fit(X, Y)
    np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))


def test_files_hold_no_rows_and_nothing_of_a_device():
    x, y = make_classification(20_000, random_state=0)
    model = classifier(max_iter=1, early_stopping=True, hidden_layer_sizes=(4,)).fit(x, y)
    stored = pickle.dumps(model)
    assert len(stored) < 20_000
    assert b"jaxlib" not in stored
