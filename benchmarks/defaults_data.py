"""Turns a name into a data set: rows and targets, and which of them train, validate and test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets


class Split(NamedTuple):
    """Inputs standardised by the training rows, and targets: standardised, or int32 classes."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


class DataSet(NamedTuple):
    """All rows, before any split; `classes` is 0 for a regression."""

    x: np.ndarray
    y: np.ndarray
    classes: int


def _heavy_tails(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-normal inputs, as sizes and counts are, and a smooth target of their logarithms."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=(rows, 8))
    y = np.sin(2 * z[:, 0]) + z[:, 1] * z[:, 2] + z[:, 3] + 0.3 * generator.normal(size=rows)
    return np.exp(1.5 * z), y


def _sine(rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.uniform(-3, 3, size=(rows, 1))
    return x, np.sin(3 * x[:, 0]) + 0.2 * generator.normal(size=rows)


def _labelled(loader: Callable[..., Any], **options) -> DataSet:
    x, y = loader(**options)
    classes, y = np.unique(y, return_inverse=True)
    return DataSet(x, y, len(classes))


REGRESSION: dict[str, Callable[[], Any]] = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman1": lambda: datasets.make_friedman1(1500, n_features=20, noise=1, random_state=0),
    "friedman2": lambda: datasets.make_friedman2(1500, noise=50, random_state=0),
    "friedman3": lambda: datasets.make_friedman3(1500, noise=0.1, random_state=0),
    "linear": lambda: datasets.make_regression(
        800, n_features=30, n_informative=10, noise=50, random_state=0
    ),
    "sine": lambda: _sine(800),
    "heavy tails": lambda: _heavy_tails(3000),
}
CLASSIFICATION: dict[str, Callable[[], DataSet]] = {
    "iris": lambda: _labelled(datasets.load_iris, return_X_y=True),
    "wine": lambda: _labelled(datasets.load_wine, return_X_y=True),
    "breast cancer": lambda: _labelled(datasets.load_breast_cancer, return_X_y=True),
    "digits": lambda: _labelled(datasets.load_digits, return_X_y=True),
    "moons": lambda: _labelled(datasets.make_moons, n_samples=1500, noise=0.25, random_state=0),
    "hastie": lambda: _labelled(datasets.make_hastie_10_2, n_samples=5000, random_state=0),
    "clusters": lambda: _labelled(
        datasets.make_classification, n_samples=20_000, n_features=30, n_informative=12,
        n_redundant=6, n_classes=5, n_clusters_per_class=3, random_state=0,
    ),
}  # fmt: skip


def load_all(folder: Path | None) -> dict[str, DataSet]:
    """Returns the data sets by name, with those of the `.npz` files in a folder.

    A file holds `X` and real `y`, or images `x_train` and classes `y_train`.
    """
    found, images = {}, {}
    for name, load in REGRESSION.items():
        x, y = load()
        found[name] = DataSet(x, y, 0)
    for path in sorted(folder.glob("*.npz")) if folder is not None else ():
        with np.load(path) as arrays:
            if "X" in arrays:
                found[path.stem] = DataSet(arrays["X"], arrays["y"], 0)
            elif "x_train" in arrays:
                x, y = arrays["x_train"][:6000], arrays["y_train"][:6000].astype(np.int64)
                images[path.stem] = DataSet(x.reshape(len(x), -1), y, int(y.max()) + 1)
    return found | {name: load() for name, load in CLASSIFICATION.items()} | images


def split_rows(data: DataSet, seed: int, most_rows: int) -> Split:
    """Draws 60 % of the rows for training, 15 % for validation and the rest for the test.

    At most `most_rows` train, a third as many validate, and twice as many test.
    """
    rows = len(data.x)
    order = np.random.default_rng(seed).permutation(rows)
    sizes = [min(int(0.6 * rows), most_rows), min(int(0.15 * rows), most_rows // 3)]
    train, validation, test = np.split(order, np.cumsum(sizes))
    x, y = np.asarray(data.x, np.float64), np.asarray(data.y)
    std = x[train].std(axis=0)
    x = (x - x[train].mean(axis=0)) / np.where(std > 0, std, 1)
    if data.classes:
        y = y.astype(np.int32)
    else:
        y = ((y.squeeze() - y[train].mean()) / y[train].std()).astype(np.float32)
    x = x.astype(np.float32)
    chosen = train, validation, test[: 2 * most_rows]
    return Split(*((x[numbers], y[numbers]) for numbers in chosen))
