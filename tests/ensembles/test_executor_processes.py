"""Tests of sweeps by other processes: pools, loky, Dask, kills of workers and drivers."""

import contextlib
import functools
import multiprocessing
import os
import random
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import distributed
import loky
import numpy as np
import pytest
from interruptions import start_python
from sweeps import Here, assert_same_members, fit_members

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

PIECES = {"members_at_once": 1, "epochs": 1000}


@functools.cache
def expected():
    return fit_members(Here(), **PIECES)


def test_processes_of_a_pool_train_the_same_members():
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as pool:
        assert_same_members(fit_members(pool, **PIECES), expected())


@pytest.mark.long
def test_a_pool_of_loky_is_started_anew_when_a_process_dies():
    make = functools.partial(loky.get_reusable_executor, max_workers=2)
    assert_same_members(fit_members(make, **PIECES), expected())
    (process, *_) = make()._processes.values()
    os.kill(process.pid, signal.SIGKILL)
    assert_same_members(fit_members(make, **PIECES), expected())
    make().shutdown(kill_workers=True)


@contextlib.contextmanager
def cluster(workers=3):
    """A cluster of Dask on this machine, and its executor."""
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=60,
        ) as local,
        local.get_client() as client,
    ):
        yield local, client.get_executor(retries=3)


def pids(local):
    """Of the workers that run now."""
    return [nanny.pid for nanny in local.workers.values() if nanny.pid]


@contextlib.contextmanager
def killing(local, most):
    """Kills a random worker whenever all of them run, up to so many times; yields the count."""
    over, count, generator = threading.Event(), [0], random.Random(0)

    def kill():
        while count[0] < most and not over.wait(generator.uniform(0.2, 2.0)):
            if len(local.scheduler.workers) == len(local.workers) and len(pids(local)) == 3:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(generator.choice(pids(local)), signal.SIGKILL)
                    count[0] += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


# Dask warns of workers that restart and of what they leave; how it ends is what is looked at.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kills",
    [pytest.param(3, marks=pytest.mark.long), pytest.param(50, marks=pytest.mark.slow)],
)
def test_kills_of_random_workers_change_nothing(kills):
    with cluster() as (local, executor), killing(local, kills) as count:
        rounds = 0
        while count[0] < kills or not rounds:
            assert_same_members(fit_members(executor, **PIECES), expected())
            rounds += 1
    assert count[0] == kills


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_is_stopped_and_goes_on_changes_nothing():
    with cluster() as (local, executor):
        pid = pids(local)[0]
        os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(5.0, os.kill, (pid, signal.SIGCONT))
        timer.start()
        assert_same_members(fit_members(executor, **PIECES), expected())
        timer.join()


DRIVER = """
import sys
sys.path[:0] = sys.argv[2:]
import distributed, jax
jax.config.update("jax_numpy_dtype_promotion", "strict")
from sweeps import fit_members
import numpy as np
if __name__ == "__main__":
    settings = {"n_workers": 3, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as local, local.get_client() as client:
        result = fit_members(
            client.get_executor(retries=3), members_at_once=1, epochs=5000,
            checkpoint=sys.argv[1], resume=True,
        )
    np.savez(sys.argv[1] + "/result.npz", **result.history)
"""


@pytest.mark.slow
def test_a_killed_driver_and_scheduler_resume_from_the_pieces_that_came_back(tmp_path):
    folders = [os.path.dirname(__import__(name).__file__) for name in ("fits", "sweeps")]
    seen = set()
    for pieces in (1, 3):
        process = start_python(DRIVER, tmp_path, *folders)
        while process.poll() is None and len(seen) < pieces:
            time.sleep(0.01)
            seen = {path.name for path in tmp_path.glob("piece_*")}
        # Its workers end by themselves when their scheduler is gone.
        process.kill()
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("piece_*")}
    assert len(before) >= 3
    process = start_python(DRIVER, tmp_path, *folders)
    times = dict(before)
    while process.poll() is None:
        for path in before:
            with contextlib.suppress(FileNotFoundError):
                times[path] = path.stat().st_mtime_ns
        time.sleep(0.01)
    assert process.returncode == 0, process.communicate()[1]
    # None was written a second time.
    assert times == before
    found, whole = (
        np.load(tmp_path / "result.npz"),
        fit_members(Here(), epochs=5000, members_at_once=1),
    )
    for name, values in whole.history.items():
        np.testing.assert_array_equal(found[name], values)
