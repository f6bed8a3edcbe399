"""Asks what predictions cost in jaxmlp and its peers: one row at a time, and a million rows.

    python3 run.py -m pip install --editable ".[benchmarks]"
    python3 run.py benchmarks/predict.py

All hold the same weights (of W1's network, of W2's and of 784-512-512-10) and were checked to give
the same outputs, from a NumPy array of rows to a NumPy array of raw outputs. Processes, rounds,
medians and ratios are those of `fit.py`. One row is predicted by `compile_predict`, a million by
`predict`; other contestants are given blocks of 4,096 rows where their author would choose so:
`predictors.py` shows each.
"""

import argparse

import figures
import numpy as np
from machine import describe_machine
from peers import ONE_THREAD, Peer
from predictors import Prediction
from workers import race

PEERS = {
    "jaxmlp": Peer("jaxmlp.compile_predict / predict", "predictors", "prepare_jaxmlp", {}),
    "jaxmlp-jit": Peer("jax.jit(jaxmlp.apply)", "predictors", "prepare_jaxmlp_jit", {}),
    "c": Peer("jaxmlp's exported C", "predictors", "prepare_c", {}),
    "torch-1": Peer("PyTorch eager, 1 thread", "predictors", "prepare_torch", ONE_THREAD),
    "torch": Peer("PyTorch eager, all threads", "predictors", "prepare_torch", {}),
    "torch-compile": Peer("torch.compile", "predictors", "prepare_torch_compiled", {}),
    "sklearn": Peer("scikit-learn", "predictors", "prepare_sklearn", {}),
    "onnx-1": Peer("ONNX Runtime, 1 thread", "predictors", "prepare_onnx", ONE_THREAD),
    "onnx": Peer("ONNX Runtime, all threads", "predictors", "prepare_onnx", {}),
}
NETWORKS = {"W1": (64, 64, 10), "W2": (8, 256, 256, 1), "wide": (784, 512, 512, 10)}


def measure(
    key: str, task: Prediction, names: list[str], rounds: int, seconds: float
) -> list[figures.Figure]:
    """Prints one table."""
    times = race({name: PEERS[name] for name in names}, task, rounds=rounds, seconds=seconds)
    print(f"\n### {task.title}\n")
    print("| contestant | us per call | rows per second | by jaxmlp's (middle half) |")
    print("|---|---|---|---|")
    for name, result in times.items():
        if not len(result.seconds):
            print(f"| {PEERS[name].title} | {result.problem} | | |")
            continue
        middle = np.median(result.seconds)
        ratio = ""
        if len(times["jaxmlp"].seconds):
            low, half, high = np.percentile(result.seconds / times["jaxmlp"].seconds, (25, 50, 75))
            ratio = f"{half:.2f} ({low:.2f} to {high:.2f})"
        print(f"| {PEERS[name].title} | {middle * 1e6:.4g} | {task.rows / middle:.3g} | {ratio} |")
    return figures.from_times(f"{key}, {task.rows} rows", times, "s/call")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.5, help="per contestant and round")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 1_000_000], help="per call")
    figures.add_option(parser)
    arguments = parser.parse_args()
    names = [name for name in PEERS if name in {"jaxmlp", *arguments.peers}]
    print(f"## Predictions\n\n{describe_machine()}\n\n{arguments.rounds} rounds")
    found = []
    for key in arguments.workloads:
        for rows in arguments.rows:
            widths = NETWORKS[key]
            title = f"{key}'s network {'-'.join(map(str, widths))}, {rows:,} rows per call"
            task = Prediction(title, widths, rows)
            found += measure(key, task, names, arguments.rounds, arguments.seconds)
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
