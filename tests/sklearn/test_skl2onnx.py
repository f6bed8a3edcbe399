"""skl2onnx converts the estimators, alone and at the end of pipelines, with nothing registered."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import skl2onnx
import sklearn.neural_network
from estimator_family import fitted, move, untrained
from messy import SMALL, messy_table
from onnx_served import BOUNDS, by_runtime
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

X = np.random.default_rng(0).normal(3, 2, size=(80, 4)).astype(np.float32)
NAMES = np.array(["Köln", "Rom", "Ulm"])[np.digitize(X[:, 0], [2, 4])]
NO_MAPS = {"zipmap": False}
QUICK = {"preset": "sklearn", "solver": "lbfgs", "random_state": 0, "hidden_layer_sizes": (5,)}


def fit(estimator, x=X, y=NAMES):
    with untrained(), warnings.catch_warnings(action="ignore"):
        estimator.fit(x, y)
    move(estimator[-1] if hasattr(estimator, "steps") else estimator, np.random.default_rng(1))
    return estimator


@pytest.fixture(scope="module")
def classifier():
    return fit(MLPClassifier(**QUICK))


def labels_and_probabilities(model, x=X):
    made = by_runtime(model, x if isinstance(x, dict) else {"X": x})
    return made["label"], made["probabilities"]


def require_same(estimator, model, x=X, feeds=None):
    labels, probabilities = labels_and_probabilities(model, x if feeds is None else feeds)
    np.testing.assert_array_equal(labels, estimator.predict(x))
    np.testing.assert_allclose(probabilities, estimator.predict_proba(x), rtol=0, atol=4e-6)


def test_a_classifier_is_converted(classifier):
    model = skl2onnx.to_onnx(classifier, X[:1], options=NO_MAPS)
    require_same(classifier, model)


@pytest.mark.long
@pytest.mark.parametrize("first", ["jaxmlp.sklearn", "skl2onnx"])
def test_a_new_process_converts_whatever_it_imports_first(first):
    second = {"jaxmlp.sklearn": "skl2onnx", "skl2onnx": "jaxmlp.sklearn"}[first]
    script = (
        f"import sys, {first}\n"
        f"assert ('skl2onnx' in sys.modules) == ({first!r} == 'skl2onnx')\n"
        f"import {second}, numpy as np, jaxmlp.sklearn\n"
        "x = np.eye(4, dtype=np.float32)\n"
        "estimator = jaxmlp.sklearn.MLPClassifier(preset='sklearn', solver='lbfgs')\n"
        "estimator.fit(x, [0, 1, 0, 1])\n"
        "for _ in range(2):\n"
        "    model = skl2onnx.to_onnx(estimator, x, options={'zipmap': False})\n"
        "    print(*[each.name for each in model.graph.output])\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["label probabilities"] * 2


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
def test_outputs_are_named_and_shaped_as_those_of_scikit_learn_s(zipmap, classifier):
    theirs = sklearn.neural_network.MLPClassifier((5,), max_iter=2)
    with warnings.catch_warnings(action="ignore"):
        theirs.fit(X, NAMES)
    ours_out, theirs_out = (
        by_runtime(skl2onnx.to_onnx(each, X[:1], options={"zipmap": zipmap}), {"X": X})
        for each in (classifier, theirs)
    )
    assert list(ours_out) == list(theirs_out)
    for ours, other in zip(ours_out.values(), theirs_out.values(), strict=True):
        assert type(ours) is type(other)
        if isinstance(ours, list):
            assert [list(each) for each in ours] == [list(each) for each in other]
        else:
            assert (ours.shape, ours.dtype) == (other.shape, other.dtype)


def test_maps_and_columns_hold_the_probabilities(classifier):
    wanted = classifier.predict_proba(X)
    maps = by_runtime(skl2onnx.to_onnx(classifier, X[:1]), {"X": X})["output_probability"]
    made = [[each[name] for name in classifier.classes_] for each in maps]
    np.testing.assert_allclose(made, wanted, atol=4e-6)
    by_column = skl2onnx.to_onnx(classifier, X[:1], options={"zipmap": "columns"})
    columns = by_runtime(by_column, {"X": X})
    made = np.stack([columns[f"s{name}"] for name in classifier.classes_], axis=1)
    np.testing.assert_allclose(made, wanted, atol=4e-6)


def test_maps_are_there_for_float64_rows_too():
    estimator = fit(MLPClassifier(**QUICK), X.astype(np.float64))
    made = by_runtime(skl2onnx.to_onnx(estimator, X[:1].astype(np.float64)), {"X": X.astype(float)})
    assert made["output_probability"][0].keys() == set(estimator.classes_)


@pytest.mark.parametrize("opset", [13, 15, 18, 21])
def test_the_model_has_the_opset_that_is_asked_for(opset, classifier):
    model = skl2onnx.to_onnx(classifier, X[:1], options=NO_MAPS, target_opset=opset)
    assert [each.version for each in model.opset_import if not each.domain] == [opset]
    require_same(classifier, model)


def test_an_opset_below_13_is_refused(classifier):
    with pytest.raises(ValueError, match=r"target_opset must be at least 13 .* got 12"):
        skl2onnx.to_onnx(classifier, X[:1], options=NO_MAPS, target_opset=12)


def test_an_option_that_there_is_not_is_refused(classifier):
    with pytest.raises(NameError, match="nocl"):
        skl2onnx.to_onnx(classifier, X[:1], options={"nocl": True})


@pytest.mark.parametrize("preset", ["sklearn", pytest.param(SMALL, marks=pytest.mark.long)])
def test_a_pipeline_behind_a_scaler_is_converted(preset):
    last = MLPClassifier(preset=preset, random_state=0)
    last.set_params(**QUICK if preset == "sklearn" else {})
    pipeline = fit(make_pipeline(StandardScaler(), last))
    model = skl2onnx.convert_sklearn(
        pipeline, initial_types=[("X", FloatTensorType([None, 4]))], options=NO_MAPS
    )
    require_same(pipeline, model)


def test_a_pipeline_behind_a_column_transformer_is_converted():
    table = pd.DataFrame({"town": NAMES, "x": X[:, 1], "y": X[:, 2]})
    transformer = make_column_transformer(
        (StandardScaler(), ["x", "y"]), (OneHotEncoder(sparse_output=False), ["town"])
    )
    pipeline = fit(make_pipeline(transformer, MLPClassifier(**QUICK)), table)
    kinds = [("town", StringTensorType([None, 1]))]
    kinds += [(name, FloatTensorType([None, 1])) for name in ("x", "y")]
    model = skl2onnx.convert_sklearn(pipeline, initial_types=kinds, options=NO_MAPS)
    require_same(pipeline, model, table, {name: table[[name]].to_numpy() for name in table})


def test_the_estimator_s_own_preparation_is_in_the_model():
    """Of columns in any order, which go by their names."""
    table, classes = messy_table(100)
    table = table.drop(columns=["since", "member"])
    estimator = fit(MLPClassifier(preset=SMALL, random_state=0), table, classes)
    kinds = skl2onnx.common.data_types
    types = {"age": kinds.DoubleTensorType, "count": kinds.Int64TensorType}
    initial = [(name, types.get(name, StringTensorType)([None, 1])) for name in sorted(table)]
    model = skl2onnx.convert_sklearn(estimator, initial_types=initial, options=NO_MAPS)
    text = table[["town", "kind"]].astype(object)
    filled = table.assign(**text.where(text.notna(), ""))
    feeds = {name: filled[[name]].to_numpy() for name in table}
    require_same(estimator, model, table, feeds)


@pytest.mark.parametrize("seed", [2, 9, 13, 16, 27, 38])
def test_a_regressor_is_converted(seed):
    """Of the family, with losses that have `std` and `quantiles` too."""
    estimator, rows = fitted(seed)
    feeds = {"X": rows} if isinstance(rows, np.ndarray) else {c: rows[[c]].to_numpy() for c in rows}
    made = by_runtime(skl2onnx.to_onnx(estimator, rows[:1]), feeds)
    wanted = estimator.predict(rows).reshape(len(rows), -1)
    bound = BOUNDS["float32"] * np.abs(wanted).max()
    np.testing.assert_allclose(made["variable"], wanted, rtol=0, atol=bound)
    others = {"gaussian": ["std"], "quantile": ["quantiles"]}.get(estimator.loss, [])
    assert list(made) == ["variable", *others]


@pytest.mark.long
def test_the_best_of_a_search_is_converted(classifier):
    search = GridSearchCV(clone(classifier).set_params(max_iter=2), {"alpha": [0.1, 1.0]}, cv=2)
    with warnings.catch_warnings(action="ignore"):
        search.fit(X, NAMES)
    require_same(search, skl2onnx.to_onnx(search, X[:1], options=NO_MAPS))
    with pytest.raises(ValueError, match=r"zipmap .* False or 'columns' inside another estimator"):
        skl2onnx.to_onnx(search, X[:1])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (FloatTensorType([None, 3]), "inputs of MLPClassifier must have 4 columns in all .* got 3"),
        (
            StringTensorType([None, 4]),
            "column 0 of X, input 'X' must have numbers .* initial_types",
        ),
    ],
)
def test_inputs_of_another_table_are_refused(kind, message, classifier):
    with pytest.raises(ValueError, match=message):
        skl2onnx.convert_sklearn(classifier, initial_types=[("X", kind)], options=NO_MAPS)


def test_cells_of_another_type_than_categories_are_refused():
    table = pd.DataFrame({"town": NAMES, "x": X[:, 1]})
    estimator = fit(MLPRegressor(preset=SMALL, random_state=0), table, X[:, 0])
    kinds = [(name, FloatTensorType([None, 1])) for name in table]
    with pytest.raises(ValueError, match="column 'town' of X must have cells of the type of its"):
        skl2onnx.convert_sklearn(estimator, initial_types=kinds)


def test_an_estimator_that_is_not_fitted_says_so(classifier):
    skl2onnx.to_onnx(classifier, X[:1])  # the next is of a class that is known
    with pytest.raises(ValueError, match="not fitted yet"):
        skl2onnx.to_onnx(MLPClassifier(), X[:1])
