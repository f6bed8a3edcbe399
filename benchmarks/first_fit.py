"""Asks what the first fit of an estimator costs in a new process, with and without kept programs.

    python3 run.py benchmarks/first_fit.py

`MLPClassifier(preset="sklearn", max_iter=20).fit` on the digits, timed after the imports in a
process of its own: with the cache off, with an empty one, and with one that an earlier process
filled. "Again" is a fit of the same kind after it, which compiles nothing. The three take turns.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import figures
from machine import describe_machine

SCRIPT = """
import time, warnings
from sklearn.datasets import load_digits
from jaxmlp.sklearn import MLPClassifier
warnings.simplefilter("ignore")
x, y = load_digits(return_X_y=True)
seconds = []
for _ in range(6):
    begin = time.perf_counter()
    MLPClassifier(preset="sklearn", max_iter=20, random_state=0).fit(x, y)
    seconds.append(time.perf_counter() - begin)
print(seconds[0], sorted(seconds[1:])[2])
"""


def run_once(cache: str) -> tuple[float, float]:
    """Returns the seconds of the first fit and of a later one."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "JAXMLP_COMPILATION_CACHE": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    first, again = map(float, done.stdout.split())
    return first, again


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    figures.add_option(parser)
    arguments = parser.parse_args()
    rounds = arguments.rounds
    print(describe_machine())
    times: dict[str, list[tuple[float, float]]] = {"off": [], "empty": [], "filled": []}
    with tempfile.TemporaryDirectory() as kept:
        run_once(kept)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as fresh:
                for name, cache in (("off", "off"), ("empty", fresh), ("filled", kept)):
                    times[name].append(run_once(cache))
    found = []
    base = [first for first, _ in times["off"]]
    for name, seconds in times.items():
        firsts, agains = zip(*seconds, strict=True)
        print(
            f"{name:7} first {statistics.median(firsts):.2f} s "
            f"({min(firsts):.2f} to {max(firsts):.2f}), "
            f"again {1000 * statistics.median(agains):.1f} ms"
        )
        ratios = [own / off for own, off in zip(firsts, base, strict=True)]
        value = statistics.median(firsts)
        found.append(figures.from_ratios("first fit", name, value, "s", ratios))
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
