"""Asks how much slower `fit` is with one checkpoint per second than without.

    python3 run.py benchmarks/checkpoint.py

Both train the same network over the same rows, in turns in one process; a run takes about
`--seconds`. A ratio is that of neighbouring runs, its spread the middle half. The files go to a
temporary folder; a slow disk shows as longer writes, which the run does not wait for, but for the
last one. "Last" is the time from the last step to that file on the disk.
"""

import argparse
import tempfile
import time
from pathlib import Path

import figures
import numpy as np
from machine import describe_machine
from networks import make_training, train
from workloads import WORKLOADS

import jaxmlp


def measure(key: str, *, rounds: int, seconds: float) -> figures.Figure:
    """Prints a row."""
    workload = WORKLOADS[key]
    training = make_training(workload)
    files = 0

    def run(epochs: int, *, with_checkpoints: bool) -> tuple[float, float]:
        nonlocal files
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = jaxmlp.Checkpoints(directory=folder, seconds=1.0, keep=1000)
            trained = 0.0

            def note(_: object, __: object) -> None:
                nonlocal trained
                trained = time.perf_counter()

            start = time.perf_counter()
            train(
                training,
                epochs,
                on_epoch=note,
                checkpoint=checkpoints if with_checkpoints else None,
            )
            end = time.perf_counter()
            files = len(list(Path(folder).glob("*.safetensors"))) or files
        return trained - start, end - trained

    run(1, with_checkpoints=True)
    epochs = max(1, round(seconds / run(1, with_checkpoints=False)[0]))
    epochs = max(1, round(epochs * seconds / run(epochs, with_checkpoints=False)[0]))
    ratios, last = [], []
    for index in range(rounds):
        order = (True, False) if index % 2 else (False, True)
        times = {kept: run(epochs, with_checkpoints=kept) for kept in order}
        ratios.append(times[True][0] / times[False][0])
        last.append(times[True][1])
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    size = 12 * sum(a * b + b for a, b in workload.layers) / 2**20
    print(
        f"| {workload.title} | {size:.2g} | {files} | {middle:.3f} ({low:.3f} to {high:.3f}) "
        f"| {np.median(last):.3f} |",
        flush=True,
    )
    return figures.from_ratios(key, "checkpoints", middle, "of the time without", ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=["W1", "W3", "W4"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="per run")
    figures.add_option(parser)
    arguments = parser.parse_args()
    print(f"## A checkpoint per second\n\n{describe_machine()}\n")
    print("| workload | MiB per file | files per run | time by that without | last, s |")
    print("|---|---|---|---|---|")
    found = [
        measure(key, rounds=arguments.rounds, seconds=arguments.seconds)
        for key in arguments.workloads
    ]
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
