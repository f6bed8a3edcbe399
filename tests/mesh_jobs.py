"""Starts processes that fit over their devices together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "mesh_process.py"


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
