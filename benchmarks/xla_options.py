"""Asks what options of XLA would make of a step of `fit`: libraries for products, vector width.

    python3 run.py benchmarks/xla_options.py --workloads W1 W2 W3

Each option is a contestant: `fit` in a process of its own that has it in `XLA_FLAGS`; they take
turns as in `fit.py`. Before, each trains for two epochs, and a line says which end at the bits that
none ends at. An option that this XLA does not know, as those of YNNPACK before 0.11, has no row.
"""

import argparse
import hashlib
import itertools
import os
import subprocess
import sys

import figures
from fit import measure
from machine import describe_machine
from peers import PEAKS, PEERS, Peer
from workloads import WORKLOADS

YNN = "--xla_cpu_experimental_ynn_fusion_type="
# The first tells how far two processes of the same program lie apart.
OPTIONS = {
    "none": "",
    "eigen": YNN + "-INDIVIDUAL_DOT",
    "ynn-single": YNN + "INDIVIDUAL_DOT",
    "ynn-dot": YNN + "DOT",
    "ynn-dot-eltwise": YNN + "DOT,ELTWISE",
    "ynn-all": YNN + "DOT,ELTWISE,REDUCE",
    "width-512": "--xla_cpu_prefer_vector_width=512",
}


def digest(key: str) -> str:
    """Trains for two epochs; returns a hash of the parameters."""
    import jax
    import numpy as np
    from networks import make_training, train

    leaves = jax.tree.leaves(train(make_training(WORKLOADS[key]), 2).params)
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()


def ask(key: str, flags: str) -> str:
    """Returns the digest by a process of its own, "" where it fails."""
    command = [sys.executable, __file__, "--digest", key]
    environment = os.environ | {"XLA_FLAGS": flags}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.stdout.strip() if not done.returncode else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=["W1", "W2", "W3"])
    parser.add_argument("--options", nargs="+", choices=OPTIONS, default=list(OPTIONS))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=["scan"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.6, help="per contestant and round")
    parser.add_argument("--digest", choices=WORKLOADS, help=argparse.SUPPRESS)
    figures.add_option(parser)
    arguments = parser.parse_args()
    if arguments.digest:
        print(digest(arguments.digest))
        return
    print(f"## Options of XLA\n\n{describe_machine()}\n\n{arguments.rounds} rounds")
    found = []
    for key in arguments.workloads:
        plain = ask(key, "")
        bits = {name: ask(key, OPTIONS[name]) for name in arguments.options}
        fits = {
            name: Peer(
                f"fit, {flags or 'again'}", "peers_fit", "prepare_jaxmlp", {"XLA_FLAGS": flags}
            )
            for name, flags in OPTIONS.items()
            if bits.get(name)
        }
        peers = {name: PEERS[name] for name in ("jaxmlp", *arguments.peers)} | fits
        found.append(measure(key, peers, PEAKS, rounds=arguments.rounds, seconds=arguments.seconds))
        same = [name for name, value in bits.items() if value == plain]
        print(f"\nBits as without options: {', '.join(same) or 'none'}.")
    figures.write(arguments.json, itertools.chain(*found))


if __name__ == "__main__":
    main()
