"""Another value for each parameter of the public rooms, and a call in which it acts."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from effects import BAD, DOUBLED, WEIGHT, In
from public_calls import CONFIG, X, Y
from public_calls_of_rooms import FILES, MEMBERS, OUTPUTS

from jaxmlp import ensembles, losses, metrics, sources

SCORES = np.random.default_rng(3).normal(size=(6, 2)).astype(np.float32)
NUMBERS = np.linspace(-3, 5, 12, dtype=np.float32).reshape(6, 2)
DIFFERENT = np.stack([SCORES, SCORES[::-1]])


def from_both(mean):
    """Of a mean that no single member meets: one part of the first, two of the second."""
    return jnp.sum((mean - DIFFERENT[0] / 3 - 2 * DIFFERENT[1] / 3) ** 2)


def from_second(mean):
    """Of a mean that the second member meets."""
    return jnp.sum((mean - DIFFERENT[1]) ** 2)


SHARES = np.array([1.0, 3.0])
CLASS_METRIC = {
    "outputs": SCORES,
    "targets": 0 * Y,
    "weight": In(WEIGHT, {"outputs": SCORES, "targets": np.array([0, 1, 1, 0, 1, 1])}),
}
NUMBER_METRIC = {
    "outputs": In(SCORES, {"targets": NUMBERS}),
    "targets": NUMBERS,
    "weight": In(WEIGHT, {"outputs": SCORES, "targets": NUMBERS}),
}
LOGITS = {"logits": DIFFERENT, "weights": In(SHARES, {"logits": DIFFERENT})}
TABLE = {"paths": "nowhere", "x": "b", "y": "a", "weight": "b", "chunk_rows": 2}
CSV = TABLE | {
    "column_types": {"a": "float32"},
    "folder": "nowhere",
    "delimiter": ";",
    "decimal_point": ",",
    "encoding": "utf16",
}
BOUNDS = {"low": 1, "high": 5}
EXAMPLES = [{"a": X[0], "b": X[1], "w": 2.0}]
BATCHES = [{"a": X[:2], "b": X[2:4], "w": np.array([1.0, 2.0])}]
DICTS = {"x": "a", "y": None}

OTHERS: dict[Any, dict[str, Any]] = {
    losses.absolute_error: {"predictions": NUMBERS, "targets": NUMBERS},
    losses.gaussian: {"outputs": NUMBERS, "targets": NUMBERS[:, :1], "min_scale": 1.0},
    losses.gaussian_parameters: {"outputs": NUMBERS, "min_scale": 1.0},
    losses.target_scaling: {"y": NUMBERS},
    losses.in_target_units: {
        "outputs": NUMBERS,
        "scaling": losses.target_scaling(NUMBERS),
        "criterion": losses.poisson,
    },
    losses.hinge: {"scores": NUMBERS, "targets": 0 * OUTPUTS},
    losses.huber: {
        "predictions": NUMBERS,
        "targets": NUMBERS,
        "delta": In(2.0, {"targets": NUMBERS}),
    },
    losses.poisson: {"log_rates": NUMBERS, "targets": 2 * OUTPUTS},
    losses.quantile: {
        "outputs": NUMBERS,
        "targets": NUMBERS[:, :1],
        "levels": In((0.2, 0.6), {"targets": NUMBERS[:, :1]}),
    },
    losses.sigmoid_binary_cross_entropy: {"logits": NUMBERS, "targets": 0 * OUTPUTS},
    losses.softmax_cross_entropy: {
        "logits": NUMBERS,
        "targets": In(1 - Y, {"logits": NUMBERS}),
        "label_smoothing": In(0.5, {"logits": NUMBERS}),
    },
    losses.squared_error: {"predictions": NUMBERS, "targets": NUMBERS},
    metrics.Metric: {
        "name": "other",
        "count": metrics.log_loss.count,
        "compute": lambda counts: counts[0],
    },
    metrics.calibration_error: {"bins": 1},
    metrics.confusion_matrix: CLASS_METRIC,
    **{f: {"average": "binary"} for f in (metrics.f1, metrics.precision, metrics.recall)},
    metrics.roc_auc: CLASS_METRIC
    | {"targets": In(1 - Y, {"outputs": SCORES}), "outputs": In(SCORES[::-1], {"outputs": SCORES})},
    metrics.top_k_accuracy: {"k": 1},
    **{
        metric: CLASS_METRIC | {"targets": In(1 - Y, {"outputs": SCORES})}
        for metric in (metrics.accuracy, metrics.balanced_accuracy, metrics.log_loss)
    },
    **dict.fromkeys((metrics.mae, metrics.r2, metrics.rmse), NUMBER_METRIC),
    sources.DatasetSource: {
        "dataset": [(X[2], 0)],
        "x": In("b", {"dataset": EXAMPLES, **DICTS}),
        "y": In("b", {"dataset": EXAMPLES, **DICTS}),
        "weight": In("w", {"dataset": EXAMPLES, **DICTS}),
        "batched": True,
    },
    sources.MemorySource: {
        "x": X + 1,
        "y": 1 - Y,
        "weight": WEIGHT,
        "check_finite": In(False, {"x": BAD}),
    },
    sources.batches: {
        "iterable": [(X + 1, Y)],
        "x": In("b", {"iterable": BATCHES, **DICTS}),
        "y": In("b", {"iterable": BATCHES, **DICTS}),
        "weight": In("w", {"iterable": BATCHES, **DICTS}),
        "check_finite": In(False, {"iterable": [(BAD, Y)]}),
    },
    sources.npy: {
        "x": FILES["bad.npy"],
        "y": FILES["npy"],
        "weight": FILES["npy"],
        "chunk_rows": 2,
        "check_finite": In(True, {"x": FILES["bad.npy"]}),
    },
    **{
        getattr(sources, kind): (CSV if kind == "csv" else TABLE)
        | {"check_finite": In(True, {"paths": FILES[f"bad.{kind}"]})}
        for kind in ("csv", "parquet", "arrow")
    },
    ensembles.Halving: {"first_epochs": 2, "factor": 3},
    ensembles.bootstrap_weights: {"rows": 5, "seeds": [2, 3]},
    ensembles.class_uncertainty: LOGITS,
    ensembles.crop_widths: {
        "params": DOUBLED,
        "config": dataclasses.replace(CONFIG, hidden_features=(2,)),
    },
    ensembles.draw_candidates: {
        "space": {"rate": [0.3, 0.4]},
        "candidates": 3,
        "seed": In(1, {"space": {"rate": ensembles.uniform(0.0, 1.0)}}),
    },
    ensembles.fold_weights: {"rows": 5, "folds": 3, "seed": 1, "stratify": np.array(Y)},
    ensembles.rows_of_weights: {"weights": np.array([[1, 0], [0, 1]])},
    ensembles.grid: {"values": {"rate": [0.3]}},
    ensembles.integers: BOUNDS,
    ensembles.log_uniform: BOUNDS,
    ensembles.uniform: BOUNDS,
    ensembles.majority_vote: {
        "logits": In(DIFFERENT, {"logits": -DIFFERENT}),
        "weights": In(SHARES, {"logits": DIFFERENT}),
    },
    ensembles.mean_probabilities: LOGITS,
    ensembles.member_quantiles: {"outputs": DIFFERENT, "quantiles": In(np.array([0.2]), {})},
    ensembles.mixture_moments: {
        "means": DIFFERENT,
        "variances": 2 * MEMBERS,
        "weights": In(SHARES, {"means": DIFFERENT}),
    },
    ensembles.pad_widths: {
        "params": DOUBLED,
        "config": dataclasses.replace(CONFIG, hidden_features=(2,)),
        "hidden_features": (5,),
    },
    ensembles.predict_members: {
        "params": jax.tree.map(lambda leaf: leaf[None], DOUBLED),
        "x": X + 1,
        "config": dataclasses.replace(CONFIG, activation="tanh"),
        # What it changes is the shape of the program: 0 is refused.
        "batch_size": 0,
    },
    ensembles.select_greedily: {
        "predictions": In(DIFFERENT[::-1], {"predictions": DIFFERENT, "loss": from_second}),
        "loss": In(from_second, {"predictions": DIFFERENT, "loss": lambda m: -from_second(m)}),
        "picks": In(3, {"predictions": DIFFERENT, "loss": from_both}),
        "start": In(2, {"predictions": DIFFERENT, "loss": from_second}),
    },
}
