"""What do the recipes for tables reach untuned, beside scikit-learn's MLP and gradient boosting?

    python3 run.py benchmarks/recipes.py [--data FOLDER] [--seeds 5] [--sets diabetes,digits]

Test RMSE of regressions and log loss of classes, mean over seeds, each with a split of its own, and
seconds of a fit, of which the first compiles. `--data` names a folder of `california.npz` and of
UCI's sets, with arrays X, y, train and test (row numbers, by split); without it, sets are those of
scikit-learn. Scikit-learn's MLP is given standardised columns, boosting the columns as they are.
"""

import argparse
import dataclasses
import time
import warnings
from pathlib import Path
from typing import Any

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
    }[name]()
    x, y = made
    regression = name in ("diabetes", "friedman")
    x, x_test, y, y_test = train_test_split(
        x, y, random_state=seed, stratify=None if regression else y
    )
    return x, y, x_test, y_test, regression


def contestants(seed: int, *, rows: int, features: int, regression: bool) -> dict[str, Any]:
    """Returns estimators by name."""
    ours: Any = MLPRegressor if regression else MLPClassifier
    theirs: Any = TheirRegressor if regression else TheirClassifier
    boosting: Any = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    recipe = choose_recipe(rows, features, regression=regression)
    periodic = dataclasses.replace(recipe.network, embedding="periodic", embedded=3)
    return {
        "auto": ours(random_state=seed),
        "auto, periodic": ours(
            preset=dataclasses.replace(recipe, network=periodic), random_state=seed
        ),
        "auto, no folds": ours(preset=dataclasses.replace(recipe, folds=0), random_state=seed),
        "scikit-learn's MLP": make_pipeline(StandardScaler(), theirs(random_state=seed)),
        "gradient boosting": boosting(random_state=seed),
    }


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=None, help="names, with commas between them")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{describe_machine()}\n\n| set | contestant | error | fit, s | first fit, s |")
    print("|---|---|---|---|---|")
    names = (*SHIPPED, *(FILES if options.data else ()))
    for name in options.sets.split(",") if options.sets else names:
        errors: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            x, y, x_test, y_test, regression = load(name, seed, options.data)
            sizes = {"rows": len(x), "features": x.shape[1], "regression": regression}
            for kind, model in contestants(seed, **sizes).items():
                begin = time.perf_counter()
                model.fit(x, y)
                seconds.setdefault(kind, []).append(time.perf_counter() - begin)
                if regression:
                    error = root_mean_squared_error(y_test, model.predict(x_test))
                else:
                    error = log_loss(y_test, model.predict_proba(x_test), labels=model.classes_)
                errors.setdefault(kind, []).append(error)
        for kind, own in errors.items():
            spread = np.std(own) / len(own) ** 0.5
            first, *later = seconds[kind]
            warm = f"{np.median(later):.1f}" if later else ""
            print(
                f"| {name} | {kind} | {np.mean(own):.4f} ({spread:.4f}) | {warm} | {first:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
