"""Times sweeps by workers beside one machine's `fit_members`, per piece, and by the ideal.

The networks are tiny, 4-8-1 over 256 rows. Workers are processes of a pool that were started, and
had compiled, before the clock runs. Printed are

- throughput: seconds of `fit_members` in this process, on all of its cores, by those of the
  workers, in turns, the median over rounds;
- per piece: milliseconds that a piece takes beside its training: a tenth of the members in pieces
  of one member and one epoch, less what the same members take in few pieces, by their number;
- by the ideal: seconds for all members by the seconds that the workers would take if nothing but
  training cost anything, which is what one process needs in one thread in the same round, by their
  number. This process and the scheduler share the workers' cores.
"""

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import figures
import jax
import numpy as np
import optax

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


def measure(
    name: str, executor: Executor, *, members: int, epochs: int, workers: int, rounds: int
) -> list[figures.Figure]:
    """Prints a row per question, of an executor with workers that have one thread each."""
    sample = max(1, members // 10)
    task = f"{members:,} members of {epochs} epochs"
    for chosen in (None, executor):
        sweep(members, epochs, chosen)
    sweep(members, epochs, None, threads=1)
    here, there, alone = [], [], []
    for _ in range(rounds):
        here.append(sweep(members, epochs, None))
        there.append(sweep(members, epochs, executor))
        alone.append(sweep(members, epochs, None, threads=1) / workers)
    many = statistics.median(there)
    found = [figures.from_ratios(task, name, many, "s", np.divide(there, alone))]
    faster = np.divide(here, there)
    median = statistics.median(here)
    found.append(figures.from_ratios(task, f"one machine, by {name}", median, "s", faster))
    throughput = statistics.median(faster)
    few = {"members_at_once": 1, "members_per_piece": -(-sample // (8 * workers))}
    each = {"members_at_once": 1, "members_per_piece": 1}
    for settings in (few, each):
        sweep(sample, 1, executor, **settings)
    beside = sweep(sample, 1, executor, **each) - sweep(sample, 1, executor, **few)
    print(
        f"| {task} | {name} | {throughput:.2f} | {1000 * beside / sample:.2f} | {many:.1f} | "
        f"{found[0].ratio:.3f} |",
        flush=True,
    )
    return found


@contextlib.contextmanager
def pool_of(name: str, workers: int) -> Iterator[Executor]:
    """Starts workers of one thread each; they end with the `with` block."""
    # XLA has as many threads as NPROC says; those of several workers would wait for each other.
    if name == "processes":
        spawn = multiprocessing.get_context("spawn")
        start = {"mp_context": spawn, "initializer": os.putenv, "initargs": ("NPROC", "1")}
        with ProcessPoolExecutor(workers, **start) as pool:
            yield pool
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", env={"NPROC": "1"}
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()
