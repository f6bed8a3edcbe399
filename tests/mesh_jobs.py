"""Starts processes that fit over their devices together."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCRIPT = Path(__file__).parent / "mesh_process.py"


def run_processes(count, devices, jobs, *, connected=True):
    """What each of `count` processes with `devices` devices got of each job."""
    return run_script(SCRIPT, count, devices, jobs, connected=connected)


def run_script(script, count, *arguments, connected=True, timeout=600, **environment):
    """What each of `count` processes printed last, told an address, its number and the rest."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}" if connected else "none"
    running = [
        subprocess.Popen(
            [sys.executable, script, address]
            + [json.dumps(argument) for argument in (number, count, *arguments)],
            env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        # All at a time: one whose pipe is full waits, and the others for it.
        with ThreadPoolExecutor(count) as readers:
            printed = [*readers.map(lambda process: process.communicate(timeout=timeout), running)]
    finally:
        for process in running:
            process.kill()
    for process, (_, error) in zip(running, printed, strict=True):
        assert process.returncode == 0, error
    return [json.loads(out.splitlines()[-1]) for out, _ in printed]
