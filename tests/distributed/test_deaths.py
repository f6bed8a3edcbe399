"""Kill -9 of any process: the others end, it is named, and the restarted run loses nothing.

Fifty kills take some minutes: `python3 run.py -m pytest tests/distributed -m slow -n0`.
"""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from jobs import HERE, finish, start

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


def test_without_a_launcher_the_others_end_in_time_and_name_the_dead_one(tmp_path):
    reserved = reserved_port()
    place = {ADDRESS: f"127.0.0.1:{reserved.getsockname()[1]}", COUNT: "2"}
    jobs = [
        subprocess.Popen(
            [sys.executable, HERE / "killed.py", str(tmp_path), "100000", str(HEARTBEAT)],
            env=os.environ | place | {NUMBER: str(number), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    try:
        while "epoch 2" not in jobs[0].stdout.readline():
            assert jobs[0].poll() is None
        jobs[1].kill()
        killed = time.monotonic()
        code, out = finish(jobs[0], seconds=100)
        # Half a heartbeat more until it is looked at, and a busy machine.
        assert time.monotonic() - killed < 2 * HEARTBEAT
        assert code != 0
        # As `jax.distributed` says it, once it is looked for and once while it ends.
        assert re.search(r"Task 1 heartbeat timeout|stopped sending heartbeats\):\s+1\s", out)
    finally:
        reserved.close()
        for job in jobs:
            job.kill()
            job.communicate()
