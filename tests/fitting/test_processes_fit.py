"""Tests that `fit` over several processes gives what one gives: the same bits of as many parts."""

import itertools

import pytest
from mesh_fits import CASES, DRIVERS, alone, assert_close, make_sharding, run_case, shown
from mesh_jobs import run_processes


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
    one = [
        shown(run_case(name, make_sharding(shape, kind), driver))
        for name, shape, kind, driver in jobs_of(MAIN, [2])
    ]
    assert one == two[0]


@pytest.mark.slow
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
