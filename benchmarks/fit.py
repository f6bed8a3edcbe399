"""Asks what a training step costs in jaxmlp and its peers, and how near that is to the hardware.

    python3 run.py -m pip install --editable ".[benchmarks]"
    python3 run.py benchmarks/fit.py --workloads W1 W2 W3 W4 --output output

All train the same network with the same batch size and Adam, in shuffled epochs, data access
included; see `peers.py` for who they are. Each contestant lives in a process of its own, compiled
and warm; they run one after the other, in rounds of about `--seconds` each, while the others sleep.
A time is the median over rounds; a ratio is the median, over rounds, of a peer's time by jaxmlp's
in the same round, its spread the middle half. The fraction of peak is the arithmetic of the matrix
products that a step cannot do without, by its time and the machine's rate for a square float32
product with all threads in the same round: the best of NumPy, JAX and PyTorch.
"""

import argparse
import itertools
from pathlib import Path

import figures
import numpy as np
from machine import describe_machine
from matmul import FLOPS
from matplotlib.figure import Figure
from peers import PEAKS, PEERS, Peer
from workers import Times, race
from workloads import WORKLOADS, Workload


def measure(
    key: str,
    peers: dict[str, Peer],
    peaks: dict[str, Peer],
    *,
    rounds: int,
    seconds: float,
) -> list[figures.Figure]:
    """Prints one table; returns the figures of a task that has the key's name."""
    workload = WORKLOADS[key]
    times = race({**peers, **peaks}, workload, rounds=rounds, seconds=seconds)
    most, waster = max((result.waiting, name) for name, result in times.items())
    products = [times.pop(name).seconds for name in peaks]
    fastest = np.min([product for product in products if len(product)], axis=0)
    print(f"\n### {workload.title}\n")
    print("| contestant | us/step | by jaxmlp's (middle half) | of peak |")
    print("|---|---|---|---|")
    for name, result in times.items():
        print(_row(peers[name].title, result, times["jaxmlp"], workload, FLOPS / fastest))
    print(
        f"\nPeak {np.median(FLOPS / fastest) / 1e9:.0f} GFLOP/s, {workload.step_flops / 1e6:.4g} "
        f"MFLOP per step. A waiting process took at most {most:.1%} of a core ({waster})."
    )
    return figures.from_times(key, times, "s/step")


def _row(title: str, result: Times, reference: Times, workload: Workload, peak: np.ndarray) -> str:
    if not len(result.seconds):
        return f"| {title} | {result.problem} | | |"
    ratio = "" if not len(reference.seconds) else _spread(result.seconds / reference.seconds)
    fraction = np.median(workload.step_flops / result.seconds / peak)
    return f"| {title} | {np.median(result.seconds) * 1e6:.4g} | {ratio} | {fraction:.0%} |"


def _spread(ratio: np.ndarray) -> str:
    low, middle, high = np.percentile(ratio, (25, 50, 75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def draw(results: dict[str, dict[str, float]], path: Path, *, unit: str = "us per step") -> None:
    """Draws bars of times in us, one panel per title, jaxmlp's in colour."""
    figure = Figure(
        figsize=(11, 1 + 2.6 * ((len(results) + 1) // 2)), dpi=120, layout="constrained"
    )
    panels = figure.subplots((len(results) + 1) // 2, min(2, len(results)), squeeze=False).flat
    for axis, (headline, medians) in zip(panels, results.items(), strict=False):
        titles = sorted(medians, key=lambda title: medians[title], reverse=True)
        micros = [medians[title] * 1e6 for title in titles]
        colors = ["C0" if "jaxmlp" in title else "0.7" for title in titles]
        bars = axis.barh(titles, micros, color=colors)
        axis.bar_label(bars, [f" {value:.4g}" for value in micros], size=8)
        axis.set(xscale="log", title=headline, xlabel=unit)
        axis.margins(x=0.15)
        axis.tick_params(axis="y", labelsize=8)
    for axis in list(panels):
        axis.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=1.0, help="per contestant and round")
    parser.add_argument("--output", type=Path, help="folder for the picture")
    figures.add_option(parser)
    arguments = parser.parse_args()
    peers = {name: peer for name, peer in PEERS.items() if name in {"jaxmlp", *arguments.peers}}
    print(f"## Time per training step\n\n{describe_machine()}\n\n{arguments.rounds} rounds")
    results = {
        key: measure(key, peers, PEAKS, rounds=arguments.rounds, seconds=arguments.seconds)
        for key in arguments.workloads
    }
    figures.write(arguments.json, itertools.chain(*results.values()))
    if arguments.output is not None:
        panels = {
            f"{key}: {WORKLOADS[key].title}": {peers[f.contestant].title: f.value for f in found}
            for key, found in results.items()
        }
        draw(panels, arguments.output / "fit.png")


if __name__ == "__main__":
    main()
