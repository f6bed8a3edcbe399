"""Turns a command into as many processes of it, whose output is told apart, and into their end."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .environments import ADDRESS, COUNT, LOCAL, NUMBER

# Has the kernel kill a process when its parent ends, however it ends, and then becomes the command:
# done after a fork of a process with threads, as the launcher is, it could lock up. 1 is
# PR_SET_PDEATHSIG of <linux/prctl.h>.
_BOUND = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)


class Ended(NamedTuple):
    """A process, by its number, that has ended, and its exit code; negative for a signal's."""

    number: int
    code: int


class Children:
    """Processes of one command, each told its place among them, which end with this object.

    Args:
        command: What each runs.
        count: How many.
        write: Is given each whole line of their output, with its number.
    """

    def __init__(
        self, command: Sequence[str], count: int, write: Callable[[int, str], None]
    ) -> None:
        # Held while they run, so that nobody else on this machine is given the port.
        self._port = reserved_port()
        self._ends: queue.Queue[Ended] = queue.Queue()
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        self.running: set[int] = set()
        address = f"127.0.0.1:{self._port.getsockname()[1]}"
        for number in range(count):
            place = {ADDRESS: address, COUNT: str(count), NUMBER: str(number), LOCAL: str(number)}
            process = subprocess.Popen(  # noqa: S603  # runs what its caller names
                _bound(command),
                env={**os.environ, "PYTHONUNBUFFERED": "1", **place},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # A group of its own, which is ended whole.
                start_new_session=True,
            )
            self._processes.append(process)
            self.running.add(number)
            self._start(self._pass_on, number, process, write)

    def wait(self, seconds: float) -> Ended | None:
        """Returns a process that has ended, or `None` if none does within some seconds."""
        with contextlib.suppress(queue.Empty):
            ended = self._ends.get(timeout=max(0.0, seconds))
            self.running.discard(ended.number)
            return ended
        return None

    def send(self, number: int) -> None:
        """Sends a signal to all processes that run, and to what they have started."""
        for child in self.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._processes[child].pid, number)

    def close(self) -> None:
        """Kills what still runs, and returns when all output has been passed on."""
        for process in self._processes:
            # The group outlives its leader if a process in it does.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        for thread in self._threads:
            thread.join()
        self._port.close()

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pass_on(
        self, number: int, process: "subprocess.Popen[str]", write: Callable[[int, str], None]
    ) -> None:
        assert process.stdout is not None
        reader = threading.Thread(
            target=_pass_lines, args=(process.stdout, number, write), daemon=True
        )
        reader.start()
        code = process.wait()
        # What it has said comes before the word of its end; a grandchild may hold the pipe open.
        reader.join(1.0)
        self._ends.put(Ended(number, code))


def _bound(command: Sequence[str]) -> list[str]:
    """Returns a command that ends with this process, on Linux; elsewhere, the same."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _BOUND, str(os.getpid()), *command]


def _pass_lines(stream: Any, number: int, write: Callable[[int, str], None]) -> None:
    with stream:
        for line in stream:
            write(number, line.rstrip("\n"))


def reserved_port() -> socket.socket:
    """Returns a socket on a free port of this machine, on which only this user can listen."""
    reserved = socket.socket()
    if hasattr(socket, "SO_REUSEPORT"):
        # The coordinator listens on the port while this socket keeps it from being given away.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


@contextlib.contextmanager
def signals_for(handle: Callable[[int], None]) -> Iterator[None]:
    """Has the signals that end a process handled otherwise while the `with` block lasts."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, lambda received, _: handle(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
