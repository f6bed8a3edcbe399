"""What do fit and predict of the estimators take, by what scikit-learn's own MLP takes?

    python3 run.py benchmarks/estimators.py

Both have the same settings, ours `preset="sklearn"`, and learn the same weights. Fits are warm: the
first one of each table, which compiles, is told apart. Contestants take turns in one process; a
figure is the median over the rounds of the ratio within a round, with the middle half.
Scikit-learn's products run in as many threads as its BLAS takes.
"""

import argparse
import functools
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import figures
import numpy as np
import sklearn.neural_network
from machine import describe_machine
from sklearn.datasets import load_digits, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

import jaxmlp.sklearn

THEIRS, OURS = sklearn.neural_network, jaxmlp.sklearn


def make_tables() -> dict[str, Any]:
    """Returns kind of estimator, rows, targets and arguments by name."""
    digits, digit = map(np.asarray, load_digits(return_X_y=True))
    small = make_classification(200, 10, random_state=0)
    middle = make_classification(1000, 20, random_state=0)
    large: Any = make_regression(20000, 10, noise=10, random_state=0)
    scaled = large[1] / large[1].std()
    return {
        "200 x 10": ("MLPClassifier", *small, {}),
        "1,000 x 20": ("MLPClassifier", *middle, {"max_iter": 100}),
        "digits 1,797 x 64": ("MLPClassifier", digits / 16, digit, {"max_iter": 50}),
        "digits, early stopping": (
            *("MLPClassifier", digits / 16, digit),
            {"max_iter": 50, "early_stopping": True},
        ),
        "20,000 x 10": ("MLPRegressor", large[0], scaled, {"max_iter": 10}),
        "20,000 x 10, float32": (
            *("MLPRegressor", large[0].astype(np.float32), scaled.astype(np.float32)),
            {"max_iter": 10},
        ),
    }


def seconds(work: Callable[[], Any]) -> float:
    """Returns how long something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def race(
    task: str, theirs: Callable[[], Any], ours: Callable[[], Any], rounds: int
) -> tuple[str, list[figures.Figure]]:
    """Returns their median in milliseconds, and ours by theirs; and the figures."""
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(rounds)]
    ratios = [b / a for a, b in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    their_seconds = statistics.median(a for a, _ in pairs)
    our_seconds = statistics.median(b for _, b in pairs)
    found = [
        figures.Figure(task, "jaxmlp", our_seconds, "s", 1.0),
        figures.from_ratios(task, "sklearn", their_seconds, "s", [a / b for a, b in pairs]),
    ]
    return f"{their_seconds * 1e3:.3g} | {middle:.2f} ({low:.2f}-{high:.2f})", found


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="at least 2")
    parser.add_argument("--quick", action="store_true", help="the smallest table only")
    figures.add_option(parser)
    options = parser.parse_args()
    found = []
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{describe_machine()}\n")
    print("| fit | theirs, ms | ours by theirs | our first, s |\n|---|---|---|---|")
    tables = list(make_tables().items())[: 1 if options.quick else None]
    for name, table in tables:
        found += fit_both(name, *table, rounds=options.rounds)
    x, y = map(np.asarray, make_regression(1000, 10, random_state=0)[:2])
    theirs = THEIRS.MLPRegressor(max_iter=5, random_state=0).fit(x, y)
    ours = OURS.MLPRegressor(preset="sklearn", max_iter=5, random_state=0).fit(x, y)
    print("\n| predict, 10-100-1 | theirs, ms | ours by theirs |\n|---|---|---|")
    for rows in (1, 100, 100_000):
        some = np.resize(x, (rows, x.shape[1]))
        ours.predict(some)
        works = functools.partial(theirs.predict, some), functools.partial(ours.predict, some)
        told, own = race(f"predict, {rows:,} rows", *works, 10 * options.rounds)
        print(f"| {rows:,} rows | {told} |", flush=True)
        found += own
    figures.write(options.json, found)


def fit_both(
    name: str, kind: str, x: Any, y: Any, arguments: dict[str, Any], rounds: int
) -> list[figures.Figure]:
    """Prints a row of the first table."""
    theirs = getattr(THEIRS, kind)(random_state=0, **arguments)
    ours = getattr(OURS, kind)(preset="sklearn", random_state=0, **arguments)
    first = seconds(lambda: ours.fit(x, y))
    told, found = race(name, lambda: theirs.fit(x, y), lambda: ours.fit(x, y), rounds)
    print(f"| {name} | {told} | {first:.2f} |", flush=True)
    return found


if __name__ == "__main__":
    main()
