"""What an ONNX model of an estimator gives for a table, as somebody would serve it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

_TYPES = {
    TensorProto.BOOL: np.bool_,
    TensorProto.DOUBLE: np.float64,
    TensorProto.FLOAT: np.float32,
    TensorProto.INT64: np.int64,
    TensorProto.STRING: np.object_,
}

# To the largest number: what is computed in float64 differs by the order of sums, and in float32 by
# a unit or two in the last place of each of some ten operations, on both sides.
BOUNDS = {"float64": 1e-13, "float32": 8e-6}

LEVELS = ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_ALL")


def model_of(estimator: Any, folder: Path, **settings: Any) -> onnx.ModelProto:
    """The model that an estimator writes, checked by onnx."""
    path = folder / "model.onnx"
    estimator.to_onnx(path, **settings)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def feeds_of(model: onnx.ModelProto, table: Any) -> dict[str, np.ndarray]:
    """A table as the inputs of a model want it."""
    inputs = {each.name: _TYPES[each.type.tensor_type.elem_type] for each in model.graph.input}
    if not isinstance(table, pd.DataFrame):
        ((name, dtype),) = inputs.items()
        return {name: np.asarray(table).astype(dtype)}
    return {name: cells_of(table[name], dtype)[:, None] for name, dtype in inputs.items()}


def cells_of(column: pd.Series, dtype: Any) -> np.ndarray:
    if dtype is np.object_:
        return column.astype(object).where(column.notna(), "").to_numpy(object)
    if column.dtype.kind == "M":
        seconds = (column - pd.Timestamp(0)) / pd.Timedelta(1, "s")
        return seconds.to_numpy(np.float64)
    if dtype is np.float64:
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.to_numpy(dtype)


def by_reference(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, Any]:
    """Outputs by name, as NumPy computes them operator by operator."""
    # Both branches of a case are computed.
    with np.errstate(all="ignore"):
        outputs = ReferenceEvaluator(model).run(None, feeds)
    return dict(zip([each.name for each in model.graph.output], outputs, strict=True))


def by_runtime(
    model: onnx.ModelProto, feeds: dict[str, np.ndarray], level: str = "ENABLE_ALL"
) -> dict[str, Any]:
    """Outputs by name, as onnxruntime computes them at a level of optimisation."""
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = getattr(levels, f"ORT_{level}")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def predicted(estimator: Any, table: Any) -> dict[str, np.ndarray]:
    """What the estimator itself says, under the names and in the shapes of its model's outputs."""
    if hasattr(estimator, "classes_"):
        labels = estimator.predict(table)
        labels = labels if labels.dtype.kind in "OU" else labels.astype(np.int64)
        return {"label": labels, "probabilities": estimator.predict_proba(table)}
    rows = len(table)
    named = {"variable": estimator.predict(table).reshape(rows, -1)}
    if estimator.loss == "gaussian":
        named["std"] = estimator.predict_dist(table).std().reshape(rows, -1)
    if estimator.loss == "quantile":
        named["quantiles"] = estimator.predict_quantiles(table)
    return named


def require_same(estimator: Any, model: onnx.ModelProto, table: Any) -> None:
    """Asserts that a model says of a table what its estimator does, whoever computes it."""
    wanted, feeds = predicted(estimator, table), feeds_of(model, table)
    bound = BOUNDS[estimator.coefs_[0].dtype.name]
    runs = [by_reference(model, feeds), *(by_runtime(model, feeds, level) for level in LEVELS)]
    for made in runs:
        assert made.keys() == wanted.keys()
        for name, expected in wanted.items():
            if name == "label":
                np.testing.assert_array_equal(made[name], expected)
                continue
            assert made[name].dtype == expected.dtype
            largest = np.abs(expected).max()
            np.testing.assert_allclose(made[name], expected, rtol=0, atol=bound * largest)
