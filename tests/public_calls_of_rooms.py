"""A valid call of every name of the public rooms, with what each of its arguments may be."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from public_calls import CONFIG, PARAMS, X, Y

from jaxmlp import ensembles, losses, metrics, sources

OUTPUTS = np.ones((6, 2), np.float32)
MEMBERS = np.ones((2, 6, 2), np.float32)
LABELS = (Y, set())
WEIGHT = (np.ones(6, np.float32), {"none"})
MEMBER_WEIGHTS = (np.ones(2), {"none", "list"})

_folder = tempfile.mkdtemp()
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
FILES = {kind: Path(_folder) / f"rows.{kind}" for kind in ("npy", "csv", "parquet", "arrow")}
FILES |= {f"bad.{kind}": Path(_folder) / f"bad.{kind}" for kind in FILES}
np.save(FILES["npy"], X)
np.save(FILES["bad.npy"], np.where(X == 5, np.nan, X))
for prefix, number in (("", 2.0), ("bad.", np.inf)):
    table = pyarrow.table({"a": [1.0, number], "b": [0, 1]})
    pyarrow.csv.write_csv(table, FILES[f"{prefix}csv"])
    pyarrow.parquet.write_table(table, FILES[f"{prefix}parquet"], row_group_size=1)
    pyarrow.feather.write_feather(table, str(FILES[f"{prefix}arrow"]), compression="uncompressed")

CALLS: dict[Any, dict[str, tuple[Any, set[str]]]] = {
    losses.absolute_error: {"predictions": (OUTPUTS, set()), "targets": (OUTPUTS, set())},
    losses.gaussian: {
        "outputs": (OUTPUTS, set()),
        "targets": (OUTPUTS[:, :1], set()),
        "min_scale": (0.1, {"float", "int"}),
    },
    losses.gaussian_parameters: {
        "outputs": (OUTPUTS, set()),
        "min_scale": (0.1, {"float", "int"}),
    },
    losses.hinge: {"scores": (OUTPUTS, set()), "targets": (OUTPUTS, set())},
    losses.target_scaling: {"y": (OUTPUTS, {"list"})},
    losses.in_target_units: {
        "outputs": (OUTPUTS, {"list"}),
        "scaling": (losses.target_scaling(np.array([[1.0, 2.0], [3.0, 5.0]])), set()),
        "criterion": (losses.squared_error, set()),
    },
    losses.huber: {
        "predictions": (OUTPUTS, set()),
        "targets": (OUTPUTS, set()),
        "delta": (0.5, {"float", "int"}),
    },
    losses.poisson: {"log_rates": (OUTPUTS, set()), "targets": (OUTPUTS, set())},
    losses.quantile: {
        "outputs": (OUTPUTS, set()),
        "targets": (OUTPUTS[:, :1], set()),
        "levels": ((0.1, 0.9), set()),
    },
    losses.sigmoid_binary_cross_entropy: {
        "logits": (OUTPUTS, set()),
        "targets": (OUTPUTS, set()),
    },
    losses.softmax_cross_entropy: {
        "logits": (OUTPUTS, set()),
        "targets": LABELS,
        "label_smoothing": (0.1, set()),
    },
    losses.squared_error: {"predictions": (OUTPUTS, set()), "targets": (OUTPUTS, set())},
    metrics.Metric: {
        "name": ("error", {"text"}),
        "count": (metrics.accuracy.count, {"function"}),
        "compute": (metrics.accuracy.compute, {"function"}),
    },
    metrics.calibration_error: {"bins": (5, {"int"})},
    metrics.confusion_matrix: {"outputs": (OUTPUTS, set()), "targets": LABELS, "weight": WEIGHT},
    metrics.f1: {"average": ("macro", set())},
    metrics.precision: {"average": ("macro", set())},
    metrics.recall: {"average": ("macro", set())},
    metrics.roc_auc: {"outputs": (OUTPUTS, set()), "targets": LABELS, "weight": WEIGHT},
    metrics.top_k_accuracy: {"k": (2, {"int"})},
    **{
        metric: {"outputs": (OUTPUTS, set()), "targets": targets, "weight": WEIGHT}
        for metric, targets in (
            (metrics.accuracy, LABELS),
            (metrics.balanced_accuracy, LABELS),
            (metrics.log_loss, LABELS),
            (metrics.mae, (OUTPUTS, set())),
            (metrics.r2, (OUTPUTS, set())),
            (metrics.rmse, (OUTPUTS, set())),
        )
    },
    sources.DatasetSource: {
        "dataset": ([(X[0], 0), (X[1], 1)], {"list", "text"}),
        "x": (None, {"none", "text", "list", "dict"}),
        "y": (None, {"none", "text", "list", "dict"}),
        "weight": (None, {"none", "text"}),
        "batched": (False, {"bool"}),
    },
    sources.MemorySource: {
        "x": (X, {"list", "dict"}),
        "y": (Y, {"none"}),
        "weight": (np.ones(6), {"none"}),
        "check_finite": (True, {"bool"}),
    },
    sources.batches: {
        "iterable": ([(X, Y)], {"list", "text", "dict"}),
        "x": (None, {"none", "text", "list"}),
        "y": (None, {"none", "text", "list"}),
        "weight": (None, {"none", "text"}),
        "check_finite": (True, {"bool"}),
    },
    ensembles.Halving: {"first_epochs": (1, {"int"}), "factor": (2, {"int"})},
    ensembles.bootstrap_weights: {"rows": (6, {"int"}), "seeds": ([0, 1], {"list"})},
    ensembles.class_uncertainty: {"logits": (MEMBERS, set()), "weights": MEMBER_WEIGHTS},
    ensembles.crop_widths: {"params": (PARAMS, set()), "config": (CONFIG, set())},
    ensembles.draw_candidates: {
        "space": ({"rate": [0.1, 0.2]}, set()),
        "candidates": (2, {"int"}),
        "seed": (0, {"int"}),
    },
    ensembles.fold_weights: {
        "rows": (6, {"int"}),
        "folds": (2, {"int"}),
        "seed": (0, {"int"}),
        "stratify": (None, {"none"}),
    },
    ensembles.rows_of_weights: {"weights": (np.array([[0, 1], [1, 1]]), set())},
    ensembles.grid: {"values": ({"rate": [0.1, 0.2]}, set())},
    ensembles.integers: {"low": (0, {"int"}), "high": (9, {"int"})},
    ensembles.log_uniform: {"low": (0.1, {"int", "float"}), "high": (9.0, {"float", "int"})},
    ensembles.majority_vote: {"logits": (MEMBERS, set()), "weights": MEMBER_WEIGHTS},
    ensembles.mean_probabilities: {"logits": (MEMBERS, set()), "weights": MEMBER_WEIGHTS},
    ensembles.member_quantiles: {"outputs": (MEMBERS, set()), "quantiles": (np.ones(2), set())},
    ensembles.mixture_moments: {
        "means": (MEMBERS, set()),
        "variances": (MEMBERS, {"none"}),
        "weights": MEMBER_WEIGHTS,
    },
    ensembles.pad_widths: {
        "params": (PARAMS, set()),
        "config": (CONFIG, set()),
        "hidden_features": ((4,), set()),
    },
    ensembles.predict_members: {
        "params": (jax.tree.map(lambda leaf: leaf[None], PARAMS), set()),
        "x": (X, set()),
        "config": (CONFIG, set()),
        "batch_size": (4, {"none", "int"}),
    },
    ensembles.select_greedily: {
        "predictions": (MEMBERS, set()),
        "loss": (jnp.mean, set()),
        "picks": (2, {"int"}),
        "start": (0, {"int"}),
    },
    ensembles.uniform: {"low": (0.0, {"float", "int"}), "high": (9.0, {"float", "int"})},
    sources.npy: {
        "x": (FILES["npy"], {"text", "path", "list"}),
        "y": (None, {"none", "text", "path", "list"}),
        "weight": (None, {"none", "text", "path", "list"}),
        "chunk_rows": (1, {"none", "int"}),
        "check_finite": (False, {"bool"}),
    },
    **{
        getattr(sources, kind): {
            "paths": (FILES[kind], {"text", "path"}),
            "x": ("a", {"none", "text"}),
            "y": ("b", {"none", "text"}),
            "weight": (None, {"none", "text"}),
            "chunk_rows": (1, {"none", "int"}),
            "check_finite": (False, {"bool"}),
        }
        for kind in ("csv", "parquet", "arrow")
    },
}
CALLS[sources.csv] |= {
    "column_types": (None, {"none", "dict"}),
    "folder": (None, {"none", "text", "path"}),
    "delimiter": (",", set()),
    "decimal_point": (".", set()),
    "encoding": ("utf8", set()),
}
