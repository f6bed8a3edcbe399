"""Starts a script in several processes by the launcher, as a user does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jaxmlp

HERE = Path(__file__).parent


def start(count, script, *arguments, options=()):
    """Starts a script of this folder in so many processes."""
    launcher = ["-m", "jaxmlp.distributed", "-n", count, *options]
    return launch([*launcher, HERE / script, *arguments])


def launch(arguments, cwd=None, **environment):
    """Starts Python, with this jaxmlp and without this process's devices."""
    path = str(Path(jaxmlp.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
    )


def finish(job, seconds=300):
    """Returns a job's exit code and output; ends it if it takes too long."""
    try:
        out, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        job.send_signal(signal.SIGTERM)
        job.send_signal(signal.SIGTERM)
        out, _ = job.communicate()
        raise AssertionError(f"The job has not ended in {seconds} s:\n{out}") from None
    return job.returncode, out


def run_scenarios(folder, count, devices, *names):
    """Returns what each process saw of some scenarios."""
    code, out = finish(start(count, "scenarios.py", folder, devices, *names))
    assert code == 0, out
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(count)]
