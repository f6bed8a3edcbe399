"""Kill -9 of any process: the others end, it is named, and the restarted run loses nothing.

Fifty kills take some minutes: `python3 run.py -m pytest tests/distributed -m slow -n0`.
"""

import contextlib
import os
import re
import signal
import time

import numpy as np
import pytest
from jobs import HERE, finish, launch, start

from jaxmlp.distributed.children import reserved_port
from jaxmlp.distributed.environments import ADDRESS, COUNT, NUMBER

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.name == "nt", reason="kill -9 of POSIX"),
]
HEARTBEAT = 10


def kill_at_random(folder, epochs, kills):
    """Kills random processes of a job at random instants; returns its output and the kills."""
    generator = np.random.default_rng(kills)
    folder.mkdir()
    options = ("--restarts", kills, "--grace", 0)
    job = start(2, "killed.py", folder, epochs, HEARTBEAT, options=options)
    done, lines = 0, []
    with job:
        for line in job.stdout:
            lines.append(line)
            # Once it trains and saves after each start; starting takes some seconds.
            if line.startswith("[0] epoch") and done < kills:
                time.sleep(generator.exponential(0.1))
                pid = int((folder / f"pid{generator.integers(2)}").read_text())
                os.kill(pid, signal.SIGKILL)
                done += 1
                for rest in job.stdout:
                    lines.append(rest)
                    if "are started again" in rest:
                        break
    assert job.returncode == 0, "".join(lines)
    return "".join(lines), done


def check_kills(tmp_path, kills, epochs):
    kill_at_random(tmp_path / "whole", epochs, 0)
    out, done = kill_at_random(tmp_path / "killed", epochs, kills)
    assert done == kills
    assert (
        len(re.findall(r"process [01] was ended by SIGKILL; all are started again", out)) == kills
    )
    whole, *killed = (
        np.load(tmp_path / name / f"result{number}.npz")
        for name, number in (("whole", 0), ("killed", 0), ("killed", 1))
    )
    for other in killed:
        assert whole.files == other.files
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], other[name])


def test_a_run_killed_twice_and_restarted_ends_as_one_that_was_not(tmp_path):
    check_kills(tmp_path, kills=2, epochs=300)


@pytest.mark.slow
def test_a_run_killed_fifty_times_ends_as_one_that_was_not(tmp_path):
    check_kills(tmp_path, kills=50, epochs=3000)


@contextlib.contextmanager
def without_launcher(script, *arguments):
    """Two processes that were started by hand, which end with the `with` block."""
    with reserved_port() as reserved:
        place = {ADDRESS: f"127.0.0.1:{reserved.getsockname()[1]}", COUNT: "2"}
        jobs = [
            launch([HERE / script, *arguments], **place, **{NUMBER: str(number)})
            for number in range(2)
        ]
        try:
            yield jobs
        finally:
            for job in jobs:
                job.kill()
                job.communicate()


def test_an_error_in_one_process_ends_the_others_with_its_text():
    begin = time.monotonic()
    with without_launcher("failing.py") as (other, failed):
        assert finish(failed)[0] == 1
        code, out = finish(other)
    # Starting takes most of it; the heartbeat is 100 s.
    assert time.monotonic() - begin < 90
    assert code == 1
    assert "jaxmlp.distributed: process 1 had failed before: OSError: [Errno 5] the disk" in out


def test_a_launcher_names_the_one_that_has_failed():
    code, out = finish(start(2, "failing.py"))
    assert code == 1
    assert "[1] OSError: [Errno 5] the disk has failed" in out
    assert "process 1 has failed with exit code 1; the others have been ended." in out


def test_without_a_launcher_the_others_end_in_time_and_name_the_dead_one(tmp_path):
    with without_launcher("killed.py", tmp_path, 100_000, HEARTBEAT) as (other, dead):
        while "epoch 2" not in other.stdout.readline():
            assert other.poll() is None
        dead.kill()
        killed = time.monotonic()
        code, out = finish(other, seconds=100)
    # Half a heartbeat more until it is looked at, and a busy machine.
    assert time.monotonic() - killed < 2 * HEARTBEAT
    assert code != 0
    # As `jax.distributed` says it, once it is looked for and once while it ends.
    assert re.search(r"Task 1 heartbeat timeout|stopped sending heartbeats\):\s+1\s", out)
