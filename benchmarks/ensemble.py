"""Asks what a step of one member costs when many networks are trained at once, here and elsewhere.

    python3 run.py benchmarks/ensemble.py --tasks W1x8 W1x128 W2x32

Each member has its own parameters and, but for scikit-learn's, which draws it itself, its own
order of rows; orders are drawn within the measured time. Contestants run as in `fit.py`: each in
a process of its own, compiled and warm, in interleaved rounds; a ratio is the median, over rounds,
of a peer's time by jaxmlp's in the same round, its spread the middle half.
"""

import argparse

import figures
import numpy as np
from machine import describe_machine
from peers import ALL, ONE_THREAD, Peer
from peers_ensemble import EnsembleTask
from workers import race
from workloads import WORKLOADS


def _peer(title: str, function: str, environment: dict[str, str] | None = None) -> Peer:
    return Peer(title, "peers_ensemble", function, environment or {})


def _strategy(name: str) -> dict[str, str]:
    return {"JAXMLP_STRATEGY": name}


PEERS = {
    "jaxmlp": _peer("jaxmlp.fit_members", "prepare_jaxmlp"),
    "jaxmlp-vmap": _peer("the same, all at once", "prepare_jaxmlp", _strategy("vmap")),
    "jaxmlp-1": _peer("the same, 1 at once", "prepare_jaxmlp", _strategy("1")),
    "jaxmlp-8": _peer("the same, 8 at once", "prepare_jaxmlp", _strategy("8")),
    "vmap": _peer("JAX by hand, vmap", "prepare_vmap"),
    "torch": _peer(f"torch.func, {ALL} threads", "prepare_torch"),
    "torch-1": _peer("torch.func, 1 thread", "prepare_torch", ONE_THREAD),
    "processes": _peer(f"PyTorch loops, {ALL} processes", "prepare_processes", ONE_THREAD),
    "sklearn": _peer(f"scikit-learn, {ALL} processes", "prepare_sklearn"),
}


def measure(
    name: str, task: EnsembleTask, peers: dict[str, Peer], rounds: int, seconds: float
) -> list[figures.Figure]:
    """Prints one table."""
    times = race(peers, task, rounds=rounds, seconds=seconds)
    print(f"\n### {task.members} members of {task.workload.title}\n")
    print("| contestant | us/member-step | by jaxmlp's (middle half) | GFLOP/s |")
    print("|---|---|---|---|")
    for contestant, result in times.items():
        title = peers[contestant].title
        if not len(result.seconds):
            print(f"| {title} | {result.problem} | | |")
            continue
        ratio = result.seconds / times["jaxmlp"].seconds
        low, middle, high = np.percentile(ratio, (25, 50, 75))
        rate = np.median(task.workload.step_flops / result.seconds) / 1e9
        print(
            f"| {title} | {np.median(result.seconds) * 1e6:.4g} | "
            f"{middle:.2f} ({low:.2f} to {high:.2f}) | {rate:.0f} |",
            flush=True,
        )
    return figures.from_times(name, times, "s/member-step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = [*(f"W1x{members}" for members in (1, 8, 32, 128, 1024)), "W2x32"]
    parser.add_argument("--tasks", nargs="+", default=default, help="workload x members")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per contestant and round")
    figures.add_option(parser)
    arguments = parser.parse_args()
    peers = {name: peer for name, peer in PEERS.items() if name in {"jaxmlp", *arguments.peers}}
    print(f"## Time per step of a member\n\n{describe_machine()}\n\n{arguments.rounds} rounds")
    found = []
    for text in arguments.tasks:
        name, members = text.split("x")
        task = EnsembleTask(WORKLOADS[name], int(members))
        found += measure(text, task, peers, arguments.rounds, arguments.seconds)
    figures.write(arguments.json, found)


if __name__ == "__main__":
    main()
