"""ONNX models of estimators take tables as they come, or are refused by the name of a column."""

import dataclasses
import subprocess
import sys

import jax
import numpy as np
import onnx
import pandas as pd
import pytest
from estimator_family import move, untrained
from messy import SMALL as RECIPE
from messy import messy_table
from onnx_served import by_runtime, feeds_of, model_of, require_same

import jaxmlp
from jaxmlp.sklearn import MLPClassifier, MLPRegressor

# Starts that are fitted to rows take long to compile.
QUICK = dataclasses.replace(RECIPE.network, fit_start=False)
SMALL = dataclasses.replace(RECIPE, network=QUICK, folds=0)
FRAME, CLASSES = messy_table(100)
FLOATS = np.random.default_rng(0).normal(size=(60, 3))


def fit(estimator, x, y):
    with untrained():
        estimator.fit(x, y)
    move(estimator, np.random.default_rng(0))
    return estimator


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A classifier of messy tables, and its model."""
    estimator = fit(MLPClassifier(preset=SMALL, random_state=0), FRAME, CLASSES)
    return estimator, model_of(estimator, tmp_path_factory.mktemp("served"))


def types_of(model):
    names = {number: name for name, number in onnx.TensorProto.DataType.items()}
    return {each.name: names[each.type.tensor_type.elem_type] for each in model.graph.input}


def test_a_frame_s_columns_are_inputs_by_name_in_the_order_of_the_fit(served):
    assert types_of(served[1]) == {
        "age": "DOUBLE",
        "town": "STRING",
        "member": "DOUBLE",
        "since": "DOUBLE",
        "kind": "STRING",
        "count": "DOUBLE",
    }
    assert list(types_of(served[1])) == list(FRAME.columns)


@pytest.mark.parametrize("change", ["unseen", "missing", "large", "before_1970", "far"])
def test_values_that_training_did_not_see_mean_the_same(change, served):
    table = FRAME[:20].copy()
    match change:
        case "unseen":
            table["town"] = table["kind"] = "Oslo"
        case "missing":
            for name in table:
                table[name] = None if table[name].dtype == object else table[name].iloc[:0]
        case "large":
            table["age"] = [1e308, -1e308] * 10
        case "before_1970":
            table["since"] = pd.Timestamp("1903-12-24 17:35:08.25")
        case "far":
            table["count"] = 10**15
    require_same(*served, table)


def test_one_row_and_no_row_are_tables_too(served):
    estimator, model = served
    require_same(estimator, model, FRAME[:1])
    none = by_runtime(model, feeds_of(model, FRAME[:0]))
    assert none["label"].shape == (0,)
    assert none["probabilities"].shape == (0, 2)


def test_a_matrix_of_numbers_is_one_input_of_the_network_s_type(tmp_path):
    for dtype, name in ((np.float32, "FLOAT"), (np.float64, "DOUBLE")):
        x = FLOATS.astype(dtype)
        estimator = fit(MLPRegressor(preset="sklearn", solver="lbfgs"), x, x[:, 0])
        assert types_of(model_of(estimator, tmp_path)) == {"X": name}


def test_whole_numbers_and_bools_that_are_categories_keep_their_types(tmp_path):
    table = pd.DataFrame(
        {"a": np.arange(60) % 3, "b": np.arange(60) % 2 == 0, "c": np.arange(60) % 7 / 2}
    )
    table["d"] = table["a"].astype(float).where(table["c"] > 0)
    settings = {"categorical_features": ["a", "b", "c", "d"], "random_state": 0}
    estimator = fit(MLPRegressor(preset=SMALL, **settings), table, np.arange(60))
    model = model_of(estimator, tmp_path)
    assert types_of(model) == {"a": "INT64", "b": "BOOL", "c": "DOUBLE", "d": "DOUBLE"}
    require_same(estimator, model, table)
    require_same(estimator, model, table.assign(a=2**60, c=0.25))


def test_an_array_with_strings_has_inputs_by_position(tmp_path):
    cells = np.array([[f"k{n % 3}", n % 5, "1.5" if n % 2 else 2] for n in range(60)], object)
    estimator = fit(MLPRegressor(preset=SMALL, random_state=0), cells, np.arange(60))
    model = model_of(estimator, tmp_path)
    assert types_of(model) == {"x0": "STRING", "x1": "DOUBLE", "x2": "DOUBLE"}
    feeds = {
        "x0": cells[:, :1],
        "x1": cells[:, 1:2].astype(float),
        "x2": cells[:, 2:].astype(float),
    }
    made = by_runtime(model, feeds)["variable"][:, 0]
    np.testing.assert_allclose(made, estimator.predict(cells), rtol=1e-5)


def test_a_column_that_is_all_different_is_taken_and_changes_nothing(tmp_path):
    table = pd.DataFrame({"id": [f"row {n}" for n in range(60)], "x": FLOATS[:, 0]})
    estimator = fit(MLPRegressor(preset=SMALL, random_state=0), table, FLOATS[:, 1])
    require_same(estimator, model_of(estimator, tmp_path), table)


def test_one_class_alone_is_the_label_of_all_rows(tmp_path):
    settings = {"preset": "sklearn", "solver": "lbfgs", "random_state": 0}
    estimator = fit(MLPClassifier(**settings), FLOATS, np.full(60, "only"))
    require_same(estimator, model_of(estimator, tmp_path), FLOATS)


def test_predictions_stay_within_the_targets_where_the_recipe_says_so(tmp_path):
    estimator = fit(MLPRegressor(preset=SMALL, random_state=0), FLOATS, FLOATS[:, 0])
    estimator.target_scale_ = np.array([1e3])
    model = model_of(estimator, tmp_path)
    made = by_runtime(model, {"X": FLOATS})["variable"]
    assert made.min() == FLOATS[:, 0].min()
    assert made.max() == FLOATS[:, 0].max()


@pytest.mark.long
def test_a_trained_estimator_says_the_same_after_loading_too(tmp_path):
    """Without anything taken out of its fit; and equal estimators give equal bytes."""
    estimator = MLPClassifier(preset=RECIPE, random_state=0, calibrate=True).fit(FRAME, CLASSES)
    assert estimator.temperature_ != 1
    model = model_of(estimator, tmp_path)
    require_same(estimator, model, FRAME)
    estimator.save(tmp_path / "estimator.safetensors")
    again = MLPClassifier.load(tmp_path / "estimator.safetensors")
    assert model_of(again, tmp_path).SerializeToString() == model.SerializeToString()


def test_the_file_is_served_without_jax(served, tmp_path):
    estimator, model = served
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    feeds = feeds_of(model, FRAME)
    # No cell of them needs pickle.
    texts = {name: cells.astype(str) for name, cells in feeds.items() if cells.dtype == object}
    np.savez(tmp_path / "table.npz", **feeds | texts)
    script = (
        "import sys, numpy as np, onnxruntime\n"
        "session = onnxruntime.InferenceSession('model.onnx', providers=['CPUExecutionProvider'])\n"
        "table = np.load('table.npz')\n"
        "feeds = {each.name: table[each.name] for each in session.get_inputs()}\n"
        "print(*session.run(['label'], feeds)[0])\n"
        "assert not {'jax', 'jaxmlp', 'onnx', 'sklearn'} & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == estimator.predict(FRAME).tolist()


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("a", [1, "one"] * 30, "column 'a' of X must have categories of one type .* numbers and s"),
        ("a", [True, "one"] * 30, "column 'a' of X must have categories of one type .*bools and"),
        ("variable", FLOATS[:, 0], "column 'variable' of X must have another name .* Rename"),
        ("", FLOATS[:, 0], "column '' of X must have a name .* Name it"),
        ("a", pd.Categorical([2**60, None] * 30), "column 'a' of X must .* float64 can tell apart"),
        ("a", pd.Categorical([2**63] * 60), "column 'a' of X must have categories that int64"),
    ],
)
def test_a_column_that_onnx_cannot_express_is_named(column, cells, message, tmp_path):
    table = pd.DataFrame({column: cells, "number": FLOATS[:, 1]})
    estimator = fit(MLPRegressor(preset=SMALL, random_state=0), table, FLOATS[:, 2])
    with pytest.raises(ValueError, match=message):
        estimator.to_onnx(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_an_activation_of_one_s_own_is_refused_by_name(tmp_path):
    own = jaxmlp.Activation("snake", jax.numpy.sin)
    settings = {"preset": "sklearn", "solver": "lbfgs", "activation": own}
    estimator = fit(MLPRegressor(**settings), FLOATS, FLOATS[:, 0])
    with pytest.raises(ValueError, match=r"activation of ours to be written .* 'snake', a func"):
        estimator.to_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("settings", [{"preset": SMALL}, {"solver": "lbfgs"}])
def test_a_table_that_tells_no_row_from_another_is_refused(settings, tmp_path):
    table = pd.DataFrame({"id": [f"row {n}" for n in range(60)], "constant": 1.0})
    estimator = fit(MLPRegressor(**settings), table, FLOATS[:, 0])
    with pytest.raises(ValueError, match="must have a column that tells rows apart"):
        estimator.to_onnx(tmp_path / "model.onnx")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": 3}, TypeError, "path must be"),
        ({"opset": 12}, ValueError, "opset must be .*13"),
        ({"opset": 26}, ValueError, "opset must be .*26"),
        ({"opset": "18"}, TypeError, "opset must be"),
    ],
)
def test_arguments_are_checked(settings, error, message, served, tmp_path):
    with pytest.raises(error, match=message):
        served[0].to_onnx(**{"path": tmp_path / "model.onnx"} | settings)


def test_an_estimator_that_is_not_fitted_says_so(tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        MLPClassifier().to_onnx(tmp_path / "model.onnx")


def test_the_extra_is_named_where_onnx_is_missing(served, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxmlp\[onnx\]'"):
        served[0].to_onnx(tmp_path / "model.onnx")
