"""Asks what a batch costs: in memory, memory-mapped and from Parquet, shuffled, without a model.

    python3 run.py -m pip install --editable ".[benchmarks,parquet]" grain jax-dataloader
    python3 run.py benchmarks/data.py

Each contestant iterates over whole epochs of the same rows, 64 float32 and an integer each, and
gives NumPy batches, or its own arrays. Files are in the system's cache. Processes, rounds, medians
and ratios are those of `fit.py`. `loaders.py` shows how each contestant is set up, and how well it
shuffles: all over all rows in memory and memory-mapped; from Parquet, which has no cheap rows,
within windows of row groups (jaxmlp) or within one (by hand, PyTorch).

The last table has the time per step of `fit` over rows in memory and in files, on W3 of `fit.py`
unless another is named, in runs of several epochs: the first one waits for its first window, and
later ones are read ahead.
"""

import argparse
import tempfile
from pathlib import Path

import figures
import numpy as np
from file_fits import FileTask, write_rows
from loaders import LAYOUTS, Reading, write_data
from machine import describe_machine
from peers import Peer
from workers import Times, race
from workloads import WORKLOADS

PEERS = {
    "jaxmlp": Peer("jaxmlp", "loaders", "prepare_jaxmlp", {}),
    "hand": Peer("NumPy slices by hand", "loaders", "prepare_slices", {}),
    "torch-0": Peer("PyTorch's DataLoader", "loaders", "prepare_torch", {}),
    "torch-2": Peer("PyTorch's DataLoader, 2 workers", "loaders", "prepare_torch_workers", {}),
    "grain": Peer("Grain", "loaders", "prepare_grain", {}),
    "jax-dataloader": Peer("jax-dataloader", "loaders", "prepare_jax_dataloader", {}),
}
FITS = {
    "memory": Peer("in memory", "file_fits", "prepare_memory", {}),
    "npy": Peer("sources.npy", "file_fits", "prepare_npy", {}),
    "parquet": Peer("sources.parquet", "file_fits", "prepare_parquet", {}),
}


def measure(task: Reading, names: list[str], rounds: int, seconds: float) -> list[figures.Figure]:
    """Prints the table of a layout and a batch size."""
    times = race({name: PEERS[name] for name in names}, task, rounds=rounds, seconds=seconds)
    print(f"\n### {LAYOUTS[task.layout]}, {task.rows} rows, batch {task.batch_size}\n")
    print("| contestant | us per batch | rows per second | by jaxmlp's (middle half) |")
    print("|---|---|---|---|")
    for name, result in times.items():
        _print_row(PEERS[name], result, times["jaxmlp"], task.batch_size)
    return figures.from_times(f"{task.layout}, batch {task.batch_size}", times, "s/batch")


def measure_fits(task: FileTask, rounds: int, seconds: float) -> list[figures.Figure]:
    """Prints the table of training speeds."""
    times = race(FITS, task, rounds=rounds, seconds=seconds)
    workload = WORKLOADS[task.workload]
    print(f"\n### jaxmlp.fit, {workload.title}\n")
    print("| rows | us per step | rows per second | by memory's (middle half) |")
    print("|---|---|---|---|")
    for name, result in times.items():
        _print_row(FITS[name], result, times["memory"], workload.batch_size)
    return figures.from_times(f"fit of {task.workload}", times, "s/step", reference="memory")


def _print_row(peer: Peer, result: Times, reference: Times, batch_size: int) -> None:
    if not len(result.seconds):
        print(f"| {peer.title} | {result.problem} | | |")
        return
    middle = np.median(result.seconds)
    ratio = ""
    if len(reference.seconds):
        low, half, high = np.percentile(result.seconds / reference.seconds, (25, 50, 75))
        ratio = f"{half:.2f} ({low:.2f} to {high:.2f})"
    print(f"| {peer.title} | {middle * 1e6:.4g} | {batch_size / middle:.3g} | {ratio} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layouts", nargs="*", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 1024])
    parser.add_argument("--no-fit", action="store_true", help="leave the last table out")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="per contestant and round")
    parser.add_argument(
        "--fit-seconds", type=float, default=2.5, help="likewise, of the last table"
    )
    parser.add_argument("--fit-workload", choices=WORKLOADS, default="W3", help="likewise")
    figures.add_option(parser)
    arguments = parser.parse_args()
    found = []
    names = [name for name in PEERS if name in {"jaxmlp", *arguments.peers}]
    print(f"## Batches\n\n{describe_machine()}\n\n{arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), arguments.rows)
        for layout in arguments.layouts:
            for batch_size in arguments.batch_sizes:
                task = Reading(layout, folder, arguments.rows, batch_size)
                found += measure(task, names, arguments.rounds, arguments.seconds)
        if not arguments.no_fit:
            training = FileTask(arguments.fit_workload, folder)
            write_rows(training)
            found += measure_fits(training, arguments.rounds, arguments.fit_seconds)
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
