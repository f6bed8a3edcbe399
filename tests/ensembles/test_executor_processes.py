"""Tests of sweeps by other processes: pools, loky."""

import functools
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

import loky
import pytest
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
