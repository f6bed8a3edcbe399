"""What does a search by MLPSearchCV take, by what GridSearchCV over the same estimator takes?

    python3 run.py benchmarks/searches.py

Twelve candidates, five folds, the digits, without the last fit. Both find the same scores. Searches
are warm; they take turns in one process. A figure is the median over the rounds, of seconds and of
CPU seconds of all threads, which other programs change less.
"""

import argparse
import statistics
import time
import warnings
from typing import Any

import figures
import numpy as np
from machine import describe_machine
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from jaxmlp.sklearn import MLPClassifier, MLPSearchCV

SEARCHES = {
    "sklearn, 50 epochs": (
        {"preset": "sklearn", "max_iter": 50},
        {"alpha": [1e-5, 1e-3, 0.1, 1], "learning_rate_init": [1e-3, 3e-3, 1e-2]},
    ),
    "sklearn, 50 epochs of 16 units": (
        {"preset": "sklearn", "max_iter": 50, "hidden_layer_sizes": (16,)},
        {"alpha": [1e-5, 1e-3, 0.1, 1], "learning_rate_init": [1e-3, 3e-3, 1e-2]},
    ),
    "realmlp, 4 epochs": (
        {"preset": "realmlp", "max_iter": 4},
        {"dropout": np.linspace(0.05, 0.6, 12).tolist()},
    ),
}


def measure(search: Any, x: Any, y: Any) -> tuple[float, float]:
    """Returns seconds and CPU seconds of a search."""
    wall, cpu = time.perf_counter(), time.process_time()
    search.fit(x, y)
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    figures.add_option(parser)
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    options = parser.parse_args()
    found = []
    warnings.simplefilter("ignore")
    x, y = map(np.asarray, load_digits(return_X_y=True))
    print(f"{describe_machine()}\n")
    print(
        "| search | GridSearchCV, s | MLPSearchCV by it | CPU seconds by its |\n|---|---|---|---|"
    )
    for name in options.searches:
        settings, grid = SEARCHES[name]
        model = MLPClassifier(random_state=0, **settings)
        ours = MLPSearchCV(model, grid, cv=5, refit=False)
        theirs = GridSearchCV(model, grid, cv=5, refit=False)
        for search in (ours, theirs):
            search.fit(x / 16, y)
        rounds = [
            (measure(theirs, x / 16, y), measure(ours, x / 16, y)) for _ in range(options.rounds)
        ]
        seconds = statistics.median(a[0] for a, _ in rounds)
        wall, cpu = (
            statistics.median(b[place] / a[place] for a, b in rounds) for place in range(2)
        )
        print(f"| {name} | {seconds:.1f} | {wall:.2f} | {cpu:.2f} |", flush=True)
        ratios = [a[0] / b[0] for a, b in rounds]
        found.append(figures.Figure(name, "jaxmlp", seconds * wall, "s", 1.0))
        found.append(figures.from_ratios(name, "GridSearchCV", seconds, "s", ratios))
    figures.write(options.json, found)


if __name__ == "__main__":
    main()
