"""What do the recipes for tables reach untuned, beside others' networks and gradient boosting?

    python3 run.py benchmarks/recipes.py [--data FOLDER] [--seeds 5] [--sets diabetes/digits]
        [--only auto,gaussian]

Test RMSE of regressions and log loss of classes, mean over seeds with its standard error, each with
a split of its own; the mean log loss of a normal distribution where one is predicted; and seconds
of a fit, of which the first compiles. `--data` names a folder of `california.npz` and of UCI's
sets, with arrays X, y, train and test (row numbers, by split); without it, sets are those of
scikit-learn. Scikit-learn's MLP is given standardised columns, the others the columns as they are.
pytabkit's RealMLP and TabM and CatBoost take part where they are installed, which the project does
not do: pytabkit wants PyTorch.
"""

import argparse
import dataclasses
import importlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import figures
import numpy as np
from machine import describe_machine
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp.sklearn import MLPClassifier, MLPRegressor
from jaxmlp.tabular import choose_recipe

SHIPPED = ("diabetes", "friedman", "breast cancer", "wine", "digits", "noisy")
SPLIT = ("train", "test")
FILES = ("california", "concrete", "energy", "kin8nm", "power-plant")


def load(name: str, seed: int, folder: Path | None) -> tuple[Any, ...]:
    """Returns rows and targets to train on and to test, and whether these are numbers."""
    if folder is not None and name in FILES:
        file = np.load(folder / f"{name}.npz")
        train, test = (file[part] if file[part].ndim == 1 else file[part][seed] for part in SPLIT)
        return file["X"][train], file["y"][train], file["X"][test], file["y"][test], True
    made: Any = {
        "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
        "friedman": lambda: datasets.make_friedman1(1500, noise=1.0, random_state=0),
        "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
        "wine": lambda: datasets.load_wine(return_X_y=True),
        "digits": lambda: datasets.load_digits(return_X_y=True),
        "noisy": lambda: datasets.make_classification(
            2000, 20, n_informative=6, flip_y=0.2, class_sep=0.7, random_state=0
        ),
        "20,000 x 10": lambda: datasets.make_friedman1(25_000, 10, noise=1.0, random_state=0),
    }[name]()
    x, y = made
    regression = name in ("diabetes", "friedman", "20,000 x 10")
    # 20,000 of 25,000 rows to train on.
    share = 0.2 if name == "20,000 x 10" else 0.25
    x, x_test, y, y_test = train_test_split(
        x, y, random_state=seed, test_size=share, stratify=None if regression else y
    )
    return x, y, x_test, y_test, regression


def contestants(
    seed: int, *, rows: int, features: int, regression: bool
) -> dict[str, Callable[[], Any]]:
    """Returns makers of estimators by name."""
    ours: Any = MLPRegressor if regression else MLPClassifier
    theirs: Any = TheirRegressor if regression else TheirClassifier
    boosting: Any = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    kind = "Regressor" if regression else "Classifier"
    recipe = choose_recipe(rows, features, regression=regression)
    periodic = dataclasses.replace(recipe.network, embedding="periodic", embedded=3)

    def by(**changes: Any) -> Any:
        return ours(preset=dataclasses.replace(recipe, **changes), random_state=seed)

    def from_package(module: str, name: str, **settings: Any) -> Any:
        return getattr(importlib.import_module(module), name + kind)(random_state=seed, **settings)

    logs: dict[str, Any] = {} if regression else {"val_metric_name": "cross_entropy"}
    smooth: dict[str, Any] = {} if regression else {"use_ls": False}
    return {
        "auto": lambda: ours(random_state=seed),
        "gaussian": lambda: ours("gaussian", random_state=seed),
        "periodic": lambda: by(network=periodic),
        "no folds": lambda: by(folds=0),
        "realmlp": lambda: ours(preset="realmlp", random_state=seed),
        "tabm": lambda: ours(preset="tabm", random_state=seed),
        "scikit-learn": lambda: make_pipeline(StandardScaler(), theirs(random_state=seed)),
        "boosting": lambda: boosting(random_state=seed),
        "CatBoost": lambda: from_package("catboost", "CatBoost", verbose=0, thread_count=2),
        "pytabkit RealMLP": lambda: from_package("pytabkit", "RealMLP_TD_", **logs, **smooth),
        "pytabkit TabM": lambda: from_package("pytabkit", "TabM_D_", **logs),
    }


def mean(values: list[float], form: str = ".4f") -> str:
    """Returns the mean of values with its standard error."""
    if not values:
        return ""
    return f"{np.mean(values):{form}} ({np.std(values) / len(values) ** 0.5:{form}})"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=None, help="names, with slashes between them")
    parser.add_argument("--only", default=None, help="contestants, with commas between them")
    figures.add_option(parser)
    options = parser.parse_args()
    found = []
    only = options.only.split(",") if options.only else None
    warnings.simplefilter("ignore")
    print(f"{describe_machine()}\n")
    print("| set | contestant | error | likelihood | fit, s | first fit, s |")
    print("|---|---|---|---|---|---|")
    names = (*SHIPPED, *(FILES if options.data else ()))
    for name in options.sets.split("/") if options.sets else names:
        errors: dict[str, list[float]] = {}
        likelihoods: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            x, y, x_test, y_test, regression = load(name, seed, options.data)
            sizes = {"rows": len(x), "features": x.shape[1], "regression": regression}
            for kind, make in contestants(seed, **sizes).items():
                if (kind == "gaussian" and not regression) or (only and kind not in only):
                    continue
                try:
                    model = make()
                except ImportError:
                    continue
                begin = time.perf_counter()
                model.fit(x, y)
                seconds.setdefault(kind, []).append(time.perf_counter() - begin)
                if regression:
                    error = root_mean_squared_error(y_test, model.predict(x_test))
                else:
                    error = log_loss(y_test, model.predict_proba(x_test), labels=model.classes_)
                errors.setdefault(kind, []).append(error)
                if kind == "gaussian":
                    told = -model.predict_dist(x_test).logpdf(y_test).mean()
                    likelihoods.setdefault(kind, []).append(told)
        base = errors.get("auto")
        for kind, own in errors.items():
            first, *later = seconds[kind]
            warm = f"{np.median(later):.1f}" if later else ""
            told = mean(likelihoods.get(kind, []))
            print(f"| {name} | {kind} | {mean(own)} | {told} | {warm} | {first:.1f} |", flush=True)
            if base:
                ratio = float(np.mean(own) / np.mean(base))
                found.append(figures.Figure(name, kind, float(np.mean(own)), "error", ratio))
    figures.write(options.json, found)


if __name__ == "__main__":
    main()
