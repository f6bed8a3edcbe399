"""Turns a script and a number into processes of it on this machine, restarted when one dies."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from .children import Children, Ended, signals_for

_USAGE = "python -m jaxmlp.distributed -n N [--restarts K] (script.py | -m module) [argument ...]"
_EXAMPLE = "The script calls jaxmlp.distributed.initialize() before it touches a device."


def launch(arguments: Sequence[str]) -> int:
    """Runs a script in several processes, and returns the exit code of this command.

    That is 0 if all end well, else that of the process that has failed first: 128 and its number
    for a signal. When one fails, the others are ended, and all are started again as often as was
    asked. SIGINT, SIGTERM and SIGHUP are passed on, and nothing is started again after one; the
    second one kills.

    Args:
        arguments: Those of the command line.

    Raises:
        SystemExit: They are not those that the command has.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if os.name == "nt":
        parser.error("processes of Windows have no groups to end; start them by hand, or in WSL")
    if not options.module and not options.command:
        parser.error("what to run is missing: a script, or -m and a module")
    command = [sys.executable, *(["-m", *options.module] if options.module else options.command)]
    job = _Job(command, options.processes, options.grace)
    with signals_for(job.pass_on):
        left = options.restarts
        while (failed := job.run()) is not None and left and not job.received:
            job.say(
                f"{_told(failed)}; all are started again, restart {options.restarts - left + 1} of "
                f"{options.restarts}."
            )
            left -= 1
    if failed is None:
        return 0
    job.say(f"{_told(failed)}; the others have been ended.")
    return failed.code if failed.code > 0 else 128 - failed.code


class _Job:
    """What the command line asks for, and what signals it has had."""

    def __init__(self, command: list[str], count: int, grace: int) -> None:
        self._command, self._count, self._grace = command, count, grace
        self._children: Children | None = None
        self._lock = threading.Lock()
        self.received: list[int] = []

    def run(self) -> Ended | None:
        """Runs all processes to their end, and returns the first that has failed, if any has."""
        failed, deadline = None, float("inf")
        self._children = children = Children(self._command, self._count, self._write)
        try:
            if self.received:  # while they were started
                children.send(self.received[-1])
            while children.running and time.monotonic() < deadline:
                # Handlers of signals run between waits.
                ended = children.wait(min(0.2, deadline - time.monotonic()))
                if ended and ended.code and failed is None:
                    failed = ended
                    deadline = time.monotonic() + self._grace
                    children.send(signal.SIGTERM)
        finally:
            children.close()
            self._children = None
        return failed

    def pass_on(self, number: int) -> None:
        """Gives a signal to all processes; the second one kills them."""
        self.received.append(number)
        if self._children:
            self._children.send(number if len(self.received) == 1 else signal.SIGKILL)

    def say(self, text: str) -> None:
        """Writes a line of its own."""
        self._out(sys.stderr, f"jaxmlp.distributed: {text}\n")

    def _write(self, number: int, line: str) -> None:
        self._out(sys.stdout, f"[{number}] {line}\n")

    def _out(self, stream: Any, text: str) -> None:
        # Lines of several threads stay whole.
        with self._lock:
            stream.write(text)
            stream.flush()


def _told(failed: Ended) -> str:
    if failed.code > 0:
        return f"process {failed.number} has failed with exit code {failed.code}"
    try:
        name = signal.Signals(-failed.code).name
    except ValueError:
        name = f"signal {-failed.code}"
    return f"process {failed.number} was ended by {name}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jaxmlp.distributed",
        usage=_USAGE,
        description=f"Runs a script in several processes on this machine. {_EXAMPLE}",
    )
    parser.add_argument(
        "-n", "--processes", type=_at_least(1), required=True, metavar="N", help="how many"
    )
    parser.add_argument(
        "--restarts",
        type=_at_least(0),
        default=0,
        metavar="K",
        help="how often to start all again after one has failed (0)",
    )
    parser.add_argument(
        "--grace",
        type=_at_least(0),
        default=5,
        metavar="SECONDS",
        help="how long the others have to end before they are killed (5)",
    )
    rest = argparse.REMAINDER
    parser.add_argument("-m", dest="module", nargs=rest, help="a module to run, and its arguments")
    parser.add_argument("command", nargs=rest, help="a script to run, and its arguments")
    return parser


def _at_least(lowest: int) -> Any:
    def number(text: str) -> int:
        value = int(text) if text.isdecimal() else lowest - 1
        if value < lowest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {lowest}; got {text!r}"
            )
        return value

    return number
