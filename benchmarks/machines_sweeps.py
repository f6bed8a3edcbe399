"""What do a sweep's workers cost: by one machine's fit_members, per piece, and by the ideal?

    python3 run.py benchmarks/machines_sweeps.py --members 10000 --workers 2

The networks are tiny, 4-8-1 over 256 rows. Workers are processes of a pool that were started, and
had compiled, before the clock runs. Printed are

- one machine: seconds of `fit_members` in this process, on all of its cores, and of as many members
  by the workers, in turns; of both the median of so many rounds;
- per piece: what a piece takes beside its training: a tenth of the members in pieces of one member
  and one epoch, less what the same members take in few pieces, by the number of pieces;
- end to end: seconds for all members by the seconds that the workers would take if nothing but
  training cost anything, which is what one process needs in one thread for a sample of the members.
"""

import argparse
import multiprocessing
import statistics
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import jax
import numpy as np
import optax
from machine import describe_machine

import jaxmlp

CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=1)
LOSS = jaxmlp.make_loss(CONFIG, jaxmlp.losses.squared_error)
X = np.random.default_rng(0).normal(size=(256, 4)).astype(np.float32)


def init(key: jax.Array) -> Any:
    """Draws a member's parameters."""
    return jaxmlp.init_params(CONFIG, key=key)


def make_optimizer(h: Any) -> Any:
    """Makes a member's optimizer."""
    return optax.adam(h["learning_rate"])


def sweep(members: int, epochs: int, executor: Executor | None, **settings: Any) -> float:
    """Returns the seconds that a sweep takes."""
    begin = time.perf_counter()
    result = jaxmlp.fit_members(
        *(LOSS, make_optimizer, init),
        jaxmlp.DataLoader(X, np.sin(X).sum(axis=1), batch_size=32, shuffle=True),
        epochs=epochs,
        keys=jax.random.split(jax.random.key(0), members),
        hyperparameters={"learning_rate": np.geomspace(1e-4, 1e-1, members)},
        executor=executor,
        **settings,
    )
    jax.block_until_ready(result.params)
    return time.perf_counter() - begin


def main() -> None:
    """Prints a row per question."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    members, epochs, workers = arguments.members, arguments.epochs, arguments.workers
    print(describe_machine())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        sample = max(1, members // 10)
        for executor in (None, pool):
            sweep(members, epochs, executor)
        here, there = [], []
        for _ in range(arguments.rounds):
            here.append(sweep(members, epochs, None))
            there.append(sweep(members, epochs, pool))
        one, many = statistics.median(here), statistics.median(there)
        print(
            f"one machine   {one:8.2f} s here, {many:8.2f} s by {workers} workers: {one / many:.2f}"
        )
        few = {"members_at_once": 1, "members_per_piece": -(-sample // (8 * workers))}
        each = {"members_at_once": 1, "members_per_piece": 1}
        for settings in (few, each):
            sweep(sample, 1, pool, **settings)
        beside = sweep(sample, 1, pool, **each) - sweep(sample, 1, pool, **few)
        print(f"per piece     {1000 * beside / sample:8.2f} ms")
        sweep(sample, epochs, None, threads=1)
        ideal = sweep(sample, epochs, None, threads=1) * members / sample / workers
        print(f"end to end    {many:8.2f} s of an ideal {ideal:.2f}: {many / ideal:.3f}")


if __name__ == "__main__":
    main()
