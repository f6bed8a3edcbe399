"""Tables as they come: all kinds of columns, and cells that are missing, huge or new."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn.neural_network
from copying import WAYS
from messy import SMALL, messy_table
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.utils import get_tags

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

X, Y = messy_table()
NUMBERS = np.random.default_rng(1).normal(size=100)
# What "auto" takes for a wish to train as scikit-learn does.
LIKE_SKLEARN = {"hidden_layer_sizes": (8,), "max_iter": 8, "random_state": 0}

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")]


FITTED = {
    "classifier": lambda: MLPClassifier(preset=SMALL, random_state=0).fit(X, Y),
    "regressor": lambda: MLPRegressor(preset=SMALL, random_state=0).fit(X, NUMBERS),
    "gaussian": lambda: MLPRegressor("gaussian", preset=SMALL, random_state=0).fit(X, NUMBERS),
    "as scikit-learn": lambda: MLPClassifier(**LIKE_SKLEARN).fit(X, Y),
    "calibrated": lambda: MLPClassifier(preset=SMALL, calibrate=True, random_state=0).fit(X, Y),
}


def predict(estimator, x=X):
    return getattr(estimator, "predict_proba", estimator.predict)(x)


@pytest.mark.parametrize("name", FITTED)
def test_estimators_of_messy_tables_come_back_and_hold_no_rows(name, tmp_path):
    estimator = FITTED[name]()
    for way in WAYS.values():
        back = way(estimator, tmp_path)
        np.testing.assert_array_equal(predict(back), predict(estimator))
        assert back.get_params() == estimator.get_params()
        assert vars(back).keys() == vars(estimator).keys()
        assert repr(back.preparation_.columns) == repr(estimator.preparation_.columns)


def test_another_process_predicts_the_same_bits(tmp_path):
    script = (
        "import sys, numpy as np, pickle; from jaxmlp.sklearn import load; "
        "x = pickle.load(open(sys.argv[1], 'rb')); "
        "np.save(sys.argv[2], [load(path).predict_proba(x) for path in sys.argv[3:]])"
    )
    estimators = [FITTED[name]() for name in ("calibrated", "as scikit-learn")]
    files = [str(tmp_path / f"{number}.safetensors") for number in range(2)]
    for estimator, file in zip(estimators, files, strict=True):
        estimator.save(file)
    X.to_pickle(tmp_path / "x.pickle")
    paths = [str(tmp_path / "x.pickle"), str(tmp_path / "out.npy"), *files]
    subprocess.run([sys.executable, "-c", script, *paths], check=True)
    np.testing.assert_array_equal(np.load(paths[1]), [predict(one) for one in estimators])


@pytest.mark.parametrize("settings", [{"preset": SMALL}, LIKE_SKLEARN], ids=["recipe", "sklearn"])
def test_files_are_as_large_for_many_rows(settings, tmp_path):
    sizes = []
    for times in (1, 20):
        x = pd.concat([X] * times, ignore_index=True)
        estimator = MLPClassifier(**settings).fit(x, np.tile(Y, times))
        estimator.save(tmp_path / "model.safetensors")
        stored = (tmp_path / "model.safetensors").stat().st_size
        sizes.append((stored, len(pickle.dumps(estimator))))
    np.testing.assert_allclose(*sizes, atol=200)


def test_a_recipe_is_an_argument_as_any_other(tmp_path):
    estimator = MLPClassifier(preset=SMALL, n_ensemble=3)
    assert clone(estimator).preset == estimator.get_params()["preset"] == SMALL
    assert WAYS["file"](estimator, tmp_path).preset == SMALL


def test_the_same_table_of_any_package_predicts_the_same():
    estimator = FITTED["classifier"]()
    expected = predict(estimator)
    for other in (pl.from_pandas(X), pa.Table.from_pandas(X)):
        np.testing.assert_array_equal(predict(estimator, other), expected)
        again = MLPClassifier(preset=SMALL, random_state=0).fit(other, Y)
        np.testing.assert_array_equal(predict(again, other), expected)


class TestLikeScikitLearn:
    """An argument of scikit-learn's is set, so that "auto" trains as it does."""

    @pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
    def test_strings_dates_and_missing_values_are_made_numbers(self, kind):
        estimator = kind(**LIKE_SKLEARN | {"max_iter": 150, "learning_rate_init": 0.01})
        estimator.fit(X, Y if kind is MLPClassifier else (Y == "yes").astype(float))
        assert estimator.preset_ == "sklearn"
        assert estimator.n_features_in_ == X.shape[1]
        assert estimator.score(X, Y if kind is MLPClassifier else Y == "yes") > 0.7

    @pytest.mark.parametrize(
        "table", [NUMBERS.reshape(25, 4), pd.DataFrame(NUMBERS.reshape(25, 4) > 0)]
    )
    def test_numbers_and_bools_train_the_network_that_scikit_learn_trains(self, table):
        ours = MLPClassifier(**LIKE_SKLEARN).fit(table, Y[:25])
        theirs = sklearn.neural_network.MLPClassifier(**LIKE_SKLEARN).fit(table, Y[:25])
        for mine, other in zip(ours.coefs_, theirs.coefs_, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)

    def test_missing_numbers_alone_are_made_numbers(self):
        x = np.where(np.arange(100).reshape(25, 4) % 7 == 0, np.nan, NUMBERS.reshape(25, 4))
        estimator = MLPClassifier(**LIKE_SKLEARN).fit(x, Y[:25])
        assert np.isfinite(estimator.predict_proba(x)).all()
        # Four numbers, and for each whether it is missing.
        assert len(estimator.coefs_[0]) == 8

    def test_chosen_columns_are_categories(self):
        settings = {"categorical_features": [0], **LIKE_SKLEARN}
        estimator = MLPClassifier(**settings).fit(X[["count", "age"]], Y)
        assert estimator.preparation_.columns[0].kind == "category"

    def test_rows_to_validate_on_scores_and_callbacks_take_such_tables(self):
        seen = []

        def look(estimator, metrics):
            seen.append((estimator.predict(X[:3]), metrics["validation_score"]))

        named = {"scoring": "neg_log_loss", "callbacks": look, "early_stopping": True}
        MLPClassifier(**LIKE_SKLEARN, **named).fit(X, Y)
        MLPClassifier(**LIKE_SKLEARN, **named).fit(X[20:], Y[20:], X_val=X[:20], y_val=Y[:20])
        assert len(seen) == 16

    def test_training_goes_on_with_the_columns_of_the_first_fit(self):
        estimator = MLPClassifier(warm_start=True, **LIKE_SKLEARN).fit(X, Y)
        before = estimator.preparation_
        estimator.fit(X[:40], Y[:40])
        assert estimator.preparation_ is before
        estimator.partial_fit(X[:40], Y[:40])

    def test_partial_fit_begins_with_numbers_alone(self):
        with pytest.raises(ValueError, match=r"could not convert|NaN"):
            MLPClassifier(**LIKE_SKLEARN).partial_fit(X, Y, classes=["no", "yes"])

    @pytest.mark.parametrize(
        ("table", "message"), [(X, "could not convert"), (X[["age"]], "Input X contains NaN")]
    )
    def test_the_preset_of_that_name_refuses_as_scikit_learn_does(self, table, message):
        for estimator in (MLPClassifier(preset="sklearn"), sklearn.neural_network.MLPClassifier()):
            with pytest.raises(ValueError, match=message):
                estimator.fit(table.drop(columns="since", errors="ignore"), Y)


@pytest.mark.parametrize(
    ("settings", "takes_all"),
    [({}, True), ({"alpha": 1}, True), ({"preset": "tabm"}, True), ({"preset": "sklearn"}, False)],
    ids=str,
)
def test_tags_say_what_is_taken(settings, takes_all):
    tags = get_tags(MLPRegressor(**settings)).input_tags
    assert (tags.allow_nan, tags.string) == (takes_all,) * 2
    assert tags.sparse


class TestOddColumns:
    def test_new_categories_and_missing_cells_are_predicted(self):
        fitted = FITTED["classifier"]()
        new = X.astype({"kind": object, "town": object})
        new.loc[:5, "kind"], new.loc[:5, "town"] = "unknown", "Oslo"
        assert np.isfinite(predict(fitted, new)).all()
        for name in X.columns:
            none = (
                X.assign(**{name: pd.Series([None] * len(X), dtype=X[name].dtype.name)})
                if (name != "count")
                else X.assign(count=np.nan)
            )
            assert np.isfinite(predict(fitted, none)).all()

    def test_other_orders_and_numbers_of_columns_are_refused(self):
        fitted = FITTED["classifier"]()
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(X[X.columns[::-1]])
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(X.drop(columns="age"))
        with pytest.raises(ValueError, match=r"column 'age' of X must hold numbers"):
            fitted.predict(X.assign(age="old"))

    @pytest.mark.parametrize("settings", [{"preset": SMALL}, LIKE_SKLEARN], ids=["recipe", "like"])
    def test_constant_empty_huge_and_tiny_columns_are_taken(self, settings):
        own = X["age"].fillna(40)
        odd = pd.DataFrame(
            {
                "age": own,
                "same": own,
                "constant": 3.0,
                "one word": "x",
                "nothing": np.nan,
                "none": None,
                "huge": np.where(own > 40, 1e300, -1e300),
                "tiny": own * 1e-300,
                "outlier": [1e300, *np.zeros(99)],
                "own": [f"id {n}" for n in range(100)],
            }
        )
        for kind, y in ((MLPClassifier, Y), (MLPRegressor, NUMBERS)):
            estimator = kind(**settings).fit(odd, y)
            assert np.isfinite(predict(estimator, odd).astype(float)).all()

    @pytest.mark.parametrize("settings", [{"preset": SMALL}, LIKE_SKLEARN], ids=["recipe", "like"])
    @pytest.mark.parametrize("column", [np.nan, "x", None])
    def test_a_table_that_tells_nothing_predicts_the_shares(self, settings, column):
        table = pd.DataFrame({"a": [column] * 100})
        estimator = MLPClassifier(**settings).fit(table, Y)
        assert np.ptp(predict(estimator, table)[:, 0]) == 0

    def test_sparse_rows_of_a_named_preset_are_those_of_the_array(self):
        dense = np.where(np.arange(400).reshape(100, 4) % 3 == 0, 1.5, 0) * NUMBERS[:, None]
        settings = {"preset": SMALL, "random_state": 0}
        one = MLPClassifier(**settings).fit(dense, Y)
        other = MLPClassifier(**settings).fit(
            csr_array(dense), Y, X_val=csr_array(dense[:5]), y_val=Y[:5]
        )
        assert other.preset_ == SMALL
        np.testing.assert_array_equal(predict(one, csr_array(dense)), predict(one, dense))
        assert MLPClassifier(max_iter=3).fit(csr_array(dense), Y).preset_ == "sklearn"
