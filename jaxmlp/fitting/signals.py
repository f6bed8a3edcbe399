"""Turns the signals that end a process into a question that a run asks between its calls."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Asks for a stop on SIGINT and SIGTERM, instead of ending the process; a second one ends it.

    Python hears signals in its main thread only: in another, nothing is changed.

    Yields:
        A function that tells whether a signal has come.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in _ENDING}

    def restore() -> None:
        for number, handler in before.items():
            # None stands for a handler that was not installed from Python.
            if handler is not None:
                signal.signal(number, handler)

    def note(number: int, _: Any) -> None:
        received.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    finally:
        restore()
