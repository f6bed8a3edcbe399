"""A sweep by workers of Dask, what tells which of them began which member, and who is killed."""

import collections
import contextlib
import hashlib
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dask
import distributed
import jax
import numpy as np
import sweeps

import jaxmlp

MEMBERS, WORKERS = 24, 3
# A member, which is a piece, takes one or two seconds in as many.
EPOCHS = 20_000


def fit_members(executor=None, log=None, *, first=0, epochs=EPOCHS, **settings):
    """Trains members with consecutive numbers; workers write down which they begin."""

    def init(h, key):
        number = int(h["number"])
        # This process draws one, too, to see shapes.
        with contextlib.suppress(ValueError):
            distributed.get_worker()
            with open(log, "a") as file:
                file.write(f"{number} {os.getpid()}\n")
        return sweeps.init(key)

    return sweeps.fit_members(
        executor,
        params=init,
        keys=jax.random.split(jax.random.key(2), MEMBERS),
        seeds=np.arange(MEMBERS),
        hyperparameters={
            "learning_rate": np.geomspace(0.001, 1.0, MEMBERS).astype(np.float32),
            "number": first + np.arange(MEMBERS),
        },
        epochs=epochs,
        **settings,
    )


def digest(result):
    """A hash of every byte of the members' parameters, histories and how their runs went."""
    params = [group.params for group in result.groups]
    held = params, result.history, result.best_epoch, result.best_value, result.bad_step
    content = hashlib.blake2b()
    for leaf in jax.tree.leaves(held):
        content.update(f"{leaf.dtype}{leaf.shape}".encode() + np.asarray(leaf).tobytes())
    return content.hexdigest()


def begun(log):
    """Of each member, the numbers of the processes that began to train it, in order."""
    processes = collections.defaultdict(list)
    if log.exists():
        for line in log.read_text().splitlines():
            number, process = line.split()
            processes[int(number)].append(int(process))
    return processes


def fresh_generator():
    """Returns one that a failed test tells how to make again."""
    seed = secrets.randbits(32)
    sys.stdout.write(f"generator = random.Random({seed})\n")
    return random.Random(seed)


@contextlib.contextmanager
def local_cluster():
    """A cluster of Dask on this machine, and its executor."""
    # It gives up a worker that is away 15 s after a death, also if it was there and died again.
    patient = {"distributed.deploy.lost-worker-timeout": "1 hour"}
    with (
        dask.config.set(patient),
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=60,
        ) as local,
        local.get_client() as client,
    ):
        yield local, client.get_executor(retries=3)


class Killer:
    """Kills workers of a local cluster that train, at random instants, so often.

    `dead` are the numbers of their processes.
    """

    def __init__(self, local, log, kills, generator):
        self.dead, self.kills = set(), kills
        self._local, self._log, self._generator = local, log, generator
        self._over, self._thread = threading.Event(), threading.Thread(target=self._kill)

    def trains(self):
        """The processes that have begun a member and live."""
        pids = {nanny.pid for nanny in self._local.workers.values()}
        known = {pid for processes in begun(self._log).values() for pid in processes}
        return sorted((pids & known) - self.dead)

    def _kill(self):
        while len(self.dead) < self.kills:
            if self._over.wait(self._generator.uniform(0.0, 6.0)):
                return
            if candidates := self.trains():
                pid = self._generator.choice(candidates)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.dead.add(pid)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def start(log, *arguments):
    """Starts a Python process, with this jaxmlp and the modules here, that prints into a file."""
    paths = [str(Path(jaxmlp.__file__).parents[1]), str(Path(__file__).parent)]
    with open(log, "a") as file:
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=file,
            stderr=file,
        )


@contextlib.contextmanager
def cluster_of_processes(folder):
    """A scheduler and workers that outlive who uses them; yields the scheduler and its file."""
    folder.mkdir()
    file = folder / "scheduler.json"
    common = "--scheduler-file", file, "--no-dashboard"
    scheduler = ("-m", "distributed.cli.dask_scheduler", "--port", 0)
    worker = ("-m", "distributed.cli.dask_worker", "--nthreads", 1, "--death-timeout", 20)
    local = "--local-directory", folder
    processes = [start(folder / "scheduler.log", *scheduler, *common)]
    processes += [start(folder / "workers.log", *worker, *common, *local) for _ in range(WORKERS)]
    try:
        yield processes[0], file
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


# Arguments: checkpoints, log of what is begun, file for the digest, and the scheduler's if any.
DRIVER = """
import sys
import distributed, jax
jax.config.update("jax_numpy_dtype_promotion", "strict")
from pathlib import Path
from clusters import digest, fit_members, local_cluster

def run(executor):
    checkpoint, log, told = sys.argv[1:4]
    result = fit_members(executor, Path(log), checkpoint=checkpoint, resume=True)
    Path(told).write_text(digest(result))

if __name__ == "__main__":
    if len(sys.argv) > 4:
        with distributed.Client(scheduler_file=sys.argv[4]) as client:
            run(client.get_executor(retries=3))
    else:
        with local_cluster() as (_, executor):
            run(executor)
"""
