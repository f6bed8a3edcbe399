"""What does a search of 100 candidates in five folds take beside scikit-learn's on all cores?

    python3 run.py benchmarks/search_peers.py [--rounds 1] [--tables digits friedman]

Scikit-learn's GridSearchCV over its own MLP, one process per core; MLPSearchCV over ours, which
trains the same networks for the same epochs; and `jaxmlp.search` with halving, which drops
candidates that are behind. All are called with nothing compiled before, and fit the best candidate
to all rows. Beside seconds stand the best score of the folds, as each search tells it, and that of
a fifth of the rows that no search has seen, accuracy or R^2: scores of `search` are each fold's
best epoch, and so too good. In further rounds ours has some of its programs already.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import figures
import jax
import numpy as np
import optax
from machine import describe_machine
from sklearn.datasets import load_digits, make_friedman1
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.preprocessing import StandardScaler

import jaxmlp
from jaxmlp.ensembles import Halving, Settings, grid
from jaxmlp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV

FOLDS, BATCH = 5, 200  # scikit-learn's defaults
WIDTHS = ((16,), (32,), (64,), (32, 32))
ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
TABLES = ("digits", "friedman")


class Table(NamedTuple):
    """Rows to search on, rows that are not seen, and whether targets are classes."""

    x: Any
    y: Any
    unseen: Any
    wanted: Any
    classes: bool


class Found(NamedTuple):
    """Seconds, the best score of the folds and that of the unseen rows."""

    seconds: float
    score: float
    unseen: float


def load(name: str) -> Table:
    classes = name == "digits"
    x, y = (
        load_digits(return_X_y=True) if classes else make_friedman1(1500, noise=1.0, random_state=0)
    )
    parts: Any = train_test_split(
        x, y, test_size=0.2, random_state=0, stratify=y if classes else None
    )
    x, unseen, y, wanted = parts
    scale = StandardScaler().fit(x)
    if not classes:
        wanted, y = (wanted - y.mean()) / y.std(), (y - y.mean()) / y.std()
    return Table(scale.transform(x), y, scale.transform(unseen), wanted, classes)


def search_theirs(table: Table, epochs: int) -> tuple[float, Any]:
    make = TheirClassifier if table.classes else TheirRegressor
    model = make(max_iter=epochs, random_state=0)
    return search_estimators(GridSearchCV(model, values(), cv=FOLDS, n_jobs=-1), table)


def search_ours(table: Table, epochs: int) -> tuple[float, Any]:
    make = MLPClassifier if table.classes else MLPRegressor
    model = make(preset="sklearn", max_iter=epochs, random_state=0)
    return search_estimators(MLPSearchCV(model, values(), cv=FOLDS), table)


def values() -> dict[str, Any]:
    return {"hidden_layer_sizes": WIDTHS, "alpha": ALPHAS, "learning_rate_init": RATES}


def search_estimators(search: Any, table: Table) -> tuple[float, Any]:
    search.fit(table.x, table.y)
    return search.best_score_, search.predict(table.unseen)


def search_functions(table: Table, epochs: int) -> tuple[float, Any]:
    """Searches the same candidates by `jaxmlp.search`: in float32, with batches as theirs."""
    outputs = 10 if table.classes else 1
    configs = [
        jaxmlp.MLPConfig(in_features=table.x.shape[1], hidden_features=w, out_features=outputs)
        for w in WIDTHS
    ]
    loss = jaxmlp.losses.softmax_cross_entropy if table.classes else jaxmlp.losses.squared_error
    metrics = {"accuracy": jaxmlp.metrics.accuracy} if table.classes else {}
    x, y = table.x.astype(np.float32), table.y if table.classes else table.y.astype(np.float32)

    def make_loss(h: Settings) -> jaxmlp.LossFn:
        return jaxmlp.make_loss(h["config"], loss, metrics=metrics)

    def make_optimizer(h: Settings) -> optax.GradientTransformation:
        # The gradient of alpha / 2 * |kernels|^2 by the rows of a batch, as scikit-learn has it;
        # its squared error is half of ours, which Adam does not see but for the penalty.
        decay = h["alpha"] / BATCH * (1 if table.classes else 2)
        penalty = optax.add_decayed_weights(decay, mask=jaxmlp.kernel_mask)
        return optax.chain(penalty, optax.adam(h["learning_rate"]))

    found = jaxmlp.search(
        make_loss,
        make_optimizer,
        lambda h, key: jaxmlp.init_params(h["config"], key=key),
        jaxmlp.DataLoader(x, y, batch_size=BATCH, shuffle=True),
        candidates=grid({"config": configs, "alpha": ALPHAS, "learning_rate": RATES}),
        folds=FOLDS,
        stratify=table.y if table.classes else None,
        halving=Halving(first_epochs=max(1, epochs // 40)),
        monitor="accuracy" if table.classes else "loss",
        mode="max" if table.classes else "min",
        epochs=epochs,
        key=jax.random.key(0),
    )
    score = float(found.table["score_mean"][found.best])
    assert found.params is not None
    out = jaxmlp.predict(found.params, table.unseen, config=found.best_settings["config"])
    # Targets have a variance of 1, so that R^2 is what the squared error leaves of it.
    return (score, out.argmax(axis=1)) if table.classes else (1 - score, out[:, 0])


CONTESTANTS: dict[str, Callable[[Table, int], tuple[float, Any]]] = {
    "jaxmlp": search_functions,
    "MLPSearchCV": search_ours,
    "GridSearchCV": search_theirs,
}


def measure(name: str, table: Table, epochs: int) -> Found:
    start = time.perf_counter()
    score, predictions = CONTESTANTS[name](table, epochs)
    seconds = time.perf_counter() - start
    judge = accuracy_score if table.classes else r2_score
    return Found(seconds, float(score), float(judge(table.wanted, predictions)))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--epochs", type=int, default=200, help="at most, as scikit-learn's default"
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    figures.add_option(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"  # of scikit-learn's processes
    written = []
    print(f"{describe_machine()}\n")
    print("| table | search | s | GridSearchCV's by it | best score | unseen rows |")
    print("|---|---|---|---|---|---|")
    for task in options.tables:
        table = load(task)
        found: dict[str, list[Found]] = {name: [] for name in CONTESTANTS}
        for _ in range(options.rounds):
            for name in CONTESTANTS:
                jax.clear_caches()
                found[name].append(measure(name, table, options.epochs))
        theirs = found["GridSearchCV"]
        their_seconds = statistics.median(r.seconds for r in theirs)
        errors = {name: 1 - statistics.median(r.unseen for r in found[name]) for name in found}
        for name, rounds in found.items():
            seconds, score = (statistics.median(c) for c in list(zip(*rounds, strict=True))[:2])
            ratios = [b.seconds / a.seconds for a, b in zip(rounds, theirs, strict=True)]
            print(
                f"| {task} | {name} | {seconds:.1f} | {statistics.median(ratios):.2f} "
                f"| {score:.4f} | {1 - errors[name]:.4f} |",
                flush=True,
            )
            ratio = errors[name] / errors["jaxmlp"]
            written.append(figures.Figure(f"{task}, unseen", name, errors[name], "", ratio))
            if rounds is not theirs:
                written += [
                    figures.Figure(f"{task}, {name}", name, seconds, "s", 1.0),
                    figures.from_ratios(
                        f"{task}, {name}", "GridSearchCV", their_seconds, "s", ratios
                    ),
                ]
    figures.write(options.json, written)


if __name__ == "__main__":
    main()
