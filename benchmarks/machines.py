"""Asks what training over several devices, processes and workers costs beside one process.

    python3 run.py benchmarks/machines.py
    python3 run.py benchmarks/machines.py --only sweeps --executors dask --epochs 40 1000

`machines_steps.py` and `machines_sweeps.py` say how each is measured. The sweeps of Dask need
`pip install "jaxmlp[cluster]"`.
"""

import argparse

import figures
import machines_steps
import machines_sweeps
from machine import describe_machine
from workloads import WORKLOADS


def main() -> None:
    """Prints a Markdown table for steps, and one for sweeps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("steps", "sweeps"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=["W1", "W2", "W3"], choices=WORKLOADS)
    parser.add_argument("--step-epochs", type=int, default=5, help="of 64 steps, in a round")
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[40, 1000], help="of a sweep")
    parser.add_argument("--workers", type=int, default=2)
    kinds = ("processes", "dask")
    parser.add_argument("--executors", nargs="+", default=list(kinds), choices=kinds)
    figures.add_option(parser)
    arguments = parser.parse_args()
    found: list[figures.Figure] = []
    print(describe_machine() + "\n")
    if arguments.only != "sweeps":
        print("| workload | contestant | us/step | by one process (middle half) |")
        print("|---|---|---|---|")
        for name in arguments.workloads:
            found += machines_steps.measure(name, arguments.rounds, arguments.step_epochs)
        print()
    if arguments.only != "steps":
        print("| sweep | workers | throughput | ms per piece | seconds | by the ideal |")
        print("|---|---|---|---|---|---|")
        for kind in arguments.executors:
            with machines_sweeps.pool_of(kind, arguments.workers) as pool:
                for epochs in arguments.epochs:
                    found += machines_sweeps.measure(
                        kind,
                        pool,
                        members=arguments.members,
                        epochs=epochs,
                        workers=arguments.workers,
                        rounds=arguments.rounds,
                    )
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
