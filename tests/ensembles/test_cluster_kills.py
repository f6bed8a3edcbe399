"""Workers, drivers and schedulers of Dask that die: the result is one process's, byte for byte."""

import collections
import functools
import os
import random
import signal
import subprocess
import threading
import time

import clusters
import dask
import pytest
from clusters import (
    DRIVER,
    EPOCHS,
    MEMBERS,
    WORKERS,
    Killer,
    begun,
    digest,
    fit_members,
    local_cluster,
)
from sweeps import assert_same_members

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"),
    # Dask warns of workers that restart and of what they leave.
    pytest.mark.filterwarnings("ignore"),
]


@functools.cache
def alone(epochs):
    """What one process trains."""
    return fit_members(epochs=epochs)


def assert_same_bytes(found, epochs):
    assert_same_members(found, alone(epochs))
    assert digest(found) == digest(alone(epochs))


def assert_begun_again_only_if_died(processes, dead):
    """Of a member, each process that began it has died, but the last one, which may have."""
    again = {member: pids for member, pids in processes.items() if not set(pids[:-1]) <= dead}
    assert not again, f"{again} of which {dead} died"


@pytest.mark.parametrize(
    ("kills", "epochs"),
    [
        pytest.param(3, EPOCHS // 4, marks=pytest.mark.long),
        pytest.param(50, EPOCHS, marks=pytest.mark.slow),
    ],
)
def test_kills_of_random_workers_change_nothing(tmp_path, kills, epochs):
    log, sweeps = tmp_path / "begun", 0
    with (
        local_cluster() as (local, executor),
        Killer(local, log, kills, clusters.fresh_generator()) as killer,
    ):
        while len(killer.dead) < kills:
            found = fit_members(executor, log, first=sweeps * MEMBERS, epochs=epochs)
            assert_same_bytes(found, epochs)
            sweeps += 1
    processes = begun(log)
    assert sorted(processes) == list(range(sweeps * MEMBERS))
    assert_begun_again_only_if_died(processes, killer.dead)
    # One that a worker trains, and one that it has trained and was not asked for yet.
    again = sum(map(len, processes.values())) - sweeps * MEMBERS
    print(f"{kills} kills, {sweeps} sweeps of {MEMBERS} members, {again} begun again")
    assert again <= 2 * kills


@pytest.mark.parametrize(
    ("seconds", "patience", "epochs"),
    [
        pytest.param(5, "5 minutes", EPOCHS // 4, marks=pytest.mark.long),
        # Dask takes a worker that has been silent for 5 s for dead, whatever less is asked for.
        pytest.param(20, "2 s", EPOCHS, marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_is_stopped_and_goes_on_changes_nothing(tmp_path, seconds, patience, epochs):
    log, stopped = tmp_path / "begun", []
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": patience}),
        local_cluster() as (local, executor),
    ):
        killer = Killer(local, log, 0, random.Random())

        def stop():
            while not killer.trains():
                time.sleep(0.01)
            pid = killer.trains()[0]
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)

        thread = threading.Thread(target=stop)
        thread.start()
        assert_same_bytes(fit_members(executor, log, epochs=epochs), epochs)
        thread.join()
    processes = begun(log)
    assert sorted(processes) == list(range(MEMBERS))
    # One that is taken for dead has its member trained elsewhere, and trains it for nothing.
    given_up = set(stopped) if patience == "2 s" else set()
    assert_begun_again_only_if_died(processes, given_up)
    again = [member for member, pids in processes.items() if len(pids) > 1]
    assert bool(again) == bool(given_up)


class Drivers:
    """Drivers of one sweep, one after the other, and what each that died had on the disk."""

    def __init__(self, folder):
        self._folder, self._log, self._told = folder, folder / "begun", folder / "digest"
        self._may_begin = collections.Counter(range(MEMBERS))
        self.kills = 0

    def start(self, *scheduler_file):
        arguments = self._folder / "checkpoints", self._log, self._told, *scheduler_file
        return clusters.start(self.output, "-c", DRIVER, *arguments)

    @property
    def output(self):
        return self._folder / "drivers.log"

    def pieces(self):
        """The members that have come back."""
        paths = (self._folder / "checkpoints").glob("piece_*.safetensors")
        return {int(path.stem.split("_")[-1]) for path in paths}

    def wait_for_pieces(self, process, more):
        before = len(self.pieces())
        while len(self.pieces()) < before + more:
            assert process.poll() is None, self.output.read_text()
            time.sleep(0.01)

    def died(self):
        """What has not come back when one dies is trained again, and nothing else."""
        self.kills += 1
        self._may_begin.update(set(range(MEMBERS)) - self.pieces())

    def finish(self, process):
        assert process.wait(timeout=300) == 0, self.output.read_text()
        assert self._told.read_text() == digest(alone(EPOCHS))
        counts = {member: len(pids) for member, pids in begun(self._log).items()}
        assert sorted(counts) == list(range(MEMBERS))
        assert all(counts[member] <= self._may_begin[member] for member in counts), counts
        again = sum(counts.values()) - MEMBERS
        print(f"{self.kills} kills, {again} of {MEMBERS} members begun again")
        # One that each worker trains, and one that waits there.
        assert again <= self.kills * 2 * WORKERS


@pytest.mark.slow
def test_drivers_killed_with_their_schedulers_resume_from_what_came_back(tmp_path):
    drivers, generator = Drivers(tmp_path), clusters.fresh_generator()
    while drivers.kills < 6 and len(drivers.pieces()) < MEMBERS - WORKERS:
        process = drivers.start()
        # Any instant of a driver's life, and every second one while its workers train.
        if drivers.kills % 2:
            drivers.wait_for_pieces(process, 1)
        try:
            process.wait(timeout=generator.uniform(0.0, 3.0 if drivers.kills % 2 else 12.0))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            drivers.died()
    assert drivers.kills >= 2, "the sweep was over too soon"
    drivers.finish(drivers.start())


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_driver_and_another_one_finishes(tmp_path):
    drivers, generator = Drivers(tmp_path), clusters.fresh_generator()
    with clusters.cluster_of_processes(tmp_path / "first") as (scheduler, file):
        # Workers outlive these.
        for _ in range(3):
            process = drivers.start(file)
            drivers.wait_for_pieces(process, 2)
            time.sleep(generator.uniform(0.0, 1.0))
            process.kill()
            process.wait()
            drivers.died()
        process = drivers.start(file)
        drivers.wait_for_pieces(process, 2)
        time.sleep(generator.uniform(0.0, 1.0))
        scheduler.kill()
        killed = time.monotonic()
        # Dask's client sees it at once, and takes up to 30 s to close.
        assert process.wait(timeout=60) != 0
        print(f"the driver ended {time.monotonic() - killed:.1f} s after its scheduler")
        drivers.died()
    told = drivers.output.read_text()
    assert "BrokenSweepError: The executor has cancelled the training of members" in told
    assert "With checkpoint, resume=True goes on" in told
    with clusters.cluster_of_processes(tmp_path / "second") as (_, file):
        drivers.finish(drivers.start(file))
