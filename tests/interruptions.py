"""Runs that are interrupted, within a process or with it, and what they must equal."""

import os
import subprocess
import sys
from pathlib import Path

from fits import assert_same, fit

import jaxmlp


class StopAfter:
    """Asks for a stop after so many calls, as a signal does."""

    def __init__(self, calls):
        self.left = calls

    def __enter__(self):
        return self._is_over

    def __exit__(self, *_):
        pass

    def _is_over(self):
        self.left -= 1
        return self.left <= 0


def interrupted(monkeypatch, calls, *args, **settings):
    with monkeypatch.context() as patched:
        patched.setattr("jaxmlp.fitting.loop.stop_requests", lambda: StopAfter(calls))
        return fit(*args, **settings)


def assert_same_result(one, other):
    assert_same(one.params, other.params)
    assert_same(one.state, other.state)
    assert list(one.history) == list(other.history)
    assert_same(one.history, other.history)
    assert (one.best_epoch, one.stopped_by) == (other.best_epoch, other.stopped_by)


def start_python(script, *arguments):
    """Starts a process that runs a script with this jaxmlp."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(jaxmlp.__file__).parents[1])},
    )
