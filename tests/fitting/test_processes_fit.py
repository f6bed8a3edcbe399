"""Tests that `fit` over several processes gives what one gives: the same bits of as many parts."""

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mesh_fits import CASES, DRIVERS, alone, assert_close

SCRIPT = Path(__file__).parents[1] / "mesh_process.py"


def run_processes(count, devices, jobs, *, connected=True):
    """What each of `count` processes with `devices` devices got of each job."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}" if connected else "none"
    running = [
        subprocess.Popen(
            [sys.executable, SCRIPT, address]
            + [json.dumps(argument) for argument in (number, count, devices, jobs)],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        printed = [process.communicate(timeout=600) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (_, error) in zip(running, printed, strict=True):
        assert process.returncode == 0, error
    return [json.loads(out.splitlines()[-1]) for out, _ in printed]


def jobs_of(names, shape):
    kinds, drivers = itertools.cycle(("Explicit", "Auto")), itertools.cycle(DRIVERS)
    return [
        [name, shape, kind, driver]
        for name, kind, driver in zip(names, kinds, drivers, strict=False)
    ]


def check(given, names):
    for of_process in given:
        assert of_process == given[0]
        for name, ours in zip(names, of_process, strict=True):
            assert_close(ours, alone(name))


# By "auto", step by step, and by blocks of a file.
MAIN = ("validation", "skipped steps", "files")


@pytest.fixture(scope="module")
def two():
    return run_processes(2, 1, jobs_of(MAIN, [2]))


def test_two_processes_give_what_one_device_gives(two):
    check(two, MAIN)


def test_two_processes_give_the_bits_of_one_with_two_devices(two):
    (one,) = run_processes(1, 2, jobs_of(MAIN, [2]), connected=False)
    assert one == two[0]


@pytest.mark.long
def test_eight_devices_of_one_process_give_what_one_gives():
    names = [*CASES]
    check(run_processes(1, 8, jobs_of(names, [8]), connected=False), names)


@pytest.mark.slow
def test_two_processes_give_what_one_device_gives_in_every_case():
    names = [*CASES]
    check(run_processes(2, 1, jobs_of(names, [2])), names)


@pytest.mark.slow
def test_as_many_parts_give_the_same_bits_in_one_two_and_four_processes():
    # Four parts are summed in an order of its own by a process that is connected to none.
    one, two, four = (run_processes(n, 4 // n, jobs_of(MAIN, [4])) for n in (1, 2, 4))
    check(four, MAIN)
    assert one[0] == two[0] == four[0]


@pytest.mark.slow
def test_rows_may_be_held_by_pairs_of_processes():
    check(run_processes(4, 1, jobs_of(MAIN, [2, 2])), MAIN)
