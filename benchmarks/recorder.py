"""Asks how much slower `fit` is with a `Recorder` than without, and with a plain callback.

    python3 run.py benchmarks/recorder.py

All train the digits network of the workloads for so many epochs, in turns in one process. A ratio
is that of neighbouring runs, the median over rounds with the middle half. A plain callback, which
does nothing, ends a compiled call at every epoch; the recorder ends one at the epochs that it
keeps.
"""

import argparse
import time
from typing import Any

import figures
import numpy as np
from machine import describe_machine
from networks import Training, make_training, train
from workloads import WORKLOADS

import jaxmlp


def measure(training: Training, epochs: int, *, rounds: int) -> list[figures.Figure]:
    """Prints a row."""
    recorders = list[jaxmlp.Recorder]()

    def run(kind: str) -> float:
        recorders.append(jaxmlp.Recorder())
        callbacks: dict[str, Any] = {"recorder": recorders[-1], "callback": lambda *_: None}
        on_epoch = callbacks.get(kind)
        start = time.perf_counter()
        train(training, epochs, on_epoch=on_epoch)
        return time.perf_counter() - start

    kinds = ("plain", "recorder", "callback")
    for kind in kinds:  # compiles
        run(kind)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for index in range(rounds):
        for kind in kinds[index % 3 :] + kinds[: index % 3]:
            times[kind].append(run(kind))
    shown = [
        f"{1e3 * np.median(times['plain']):.0f}",
        str(max(len(recorder.records) for recorder in recorders)),
    ]
    found = []
    for kind in kinds[1:]:
        ratios = np.divide(times[kind], times["plain"])
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        shown.append(f"{middle:.3f} ({low:.3f} to {high:.3f})")
        value = float(np.median(times[kind]))
        found.append(figures.from_ratios(f"{epochs} epochs", kind, value, "s", ratios))
    print(f"| {epochs} | {' | '.join(shown)} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", nargs="+", type=int, default=[100, 300, 1000])
    parser.add_argument("--rounds", type=int, default=15)
    figures.add_option(parser)
    arguments = parser.parse_args()
    print(f"## A recorder beside none\n\n{describe_machine()}\n")
    print("| epochs | plain, ms | recorded epochs | recorder | callback each epoch |")
    print("|---|---|---|---|---|")
    training = make_training(WORKLOADS["W1"])
    found = []
    for epochs in arguments.epochs:
        found += measure(training, epochs, rounds=arguments.rounds)
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
