"""Runs contestants in turns, each in its own process, so that none disturbs another's threads.

A worker sleeps while the others run; the processor time that it takes meanwhile is recorded, since
a thread pool that waits by spinning would slow the others down.
"""

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from peers import Peer


class Times(NamedTuple):
    """Seconds per step in each round, shape (rounds,), or the problem why there are none.

    `waiting` is the share of a core that the process took while the others ran.
    """

    seconds: np.ndarray
    waiting: float = 0.0
    problem: str = ""


def race(peers: Mapping[str, Peer], task: Any, *, rounds: int, seconds: float) -> dict[str, Times]:
    """Times all peers at a task in interleaved rounds of about so many seconds each."""
    workers: dict[str, Worker] = {}
    times: dict[str, Times] = {}
    try:
        for name, peer in peers.items():
            workers[name] = Worker(peer, task, seconds)
        # One at a time: compiling and calibrating shall not disturb each other either.
        for name in peers:
            if problem := workers[name].prepare():
                times[name] = Times(np.array([]), problem=problem)
                workers.pop(name).close()
        measured = {name: [] for name in workers}
        for index in range(rounds):
            # Alternate who goes first: neighbours differ in the caches that they leave behind.
            for name in list(workers)[:: 1 if index % 2 else -1]:
                measured[name].append(workers[name].run())
    finally:
        for worker in workers.values():
            worker.close()
    for name, rows in measured.items():
        taken, waited, processor = np.array(rows).T
        times[name] = Times(taken, processor.sum() / waited.sum())
    return {name: times[name] for name in peers}


class Worker:
    """A contestant in a process of its own, which has begun with its imports."""

    def __init__(self, peer: Peer, task: Any, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # No daemon, which may have no children; it ends with its connection.
        self._process = context.Process(target=_serve, args=(theirs, peer, task, seconds))
        with _environment(peer.environment):
            self._process.start()
        theirs.close()

    def prepare(self) -> str:
        """Has it compiled and warm; returns the problem if there is one, else ""."""
        # Where an import failed, the process has ended and left its problem.
        with suppress(BrokenPipeError):
            self._connection.send("prepare")
        return self._receive()

    def run(self) -> tuple[float, float, float]:
        """Runs one round: seconds per step, those it waited before, and processor time therein."""
        self._connection.send("run")
        answer = self._receive()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    def close(self) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except EOFError:
            self._process.join()
            return f"its process ended with exit code {self._process.exitcode}"


def _serve(connection: Connection, peer: Peer, task: Any, seconds: float) -> None:
    try:
        for name in peer.imports:
            importlib.import_module(name)
        if not _asked(connection):
            return
        contestant = peer.prepare(task)
        epochs = _calibrate(contestant.run, seconds)
    except ModuleNotFoundError as error:
        connection.send(f"missing: {error.name}")
        return
    except Exception as error:
        connection.send(f"failed: {error!r}")
        raise
    connection.send("")
    waiting_since, processor_then = time.perf_counter(), time.process_time()
    while _asked(connection):
        waited, processor = (
            time.perf_counter() - waiting_since,
            time.process_time() - processor_then,
        )
        connection.send((contestant.run(epochs) / epochs / contestant.steps, waited, processor))
        waiting_since, processor_then = time.perf_counter(), time.process_time()


def _asked(connection: Connection) -> bool:
    """Waits for the next request; there is none once the other end is closed."""
    try:
        connection.recv()
    except EOFError:
        return False
    return True


def _calibrate(run: Callable[[int], float], seconds: float) -> int:
    """Finds how many epochs take about so many seconds; whatever is compiled, is by then."""
    epochs = 1
    while True:
        run(epochs)
        taken = run(epochs)
        if taken > 0.7 * seconds:
            return epochs
        epochs = min(10 * epochs, max(epochs + 1, round(epochs * seconds / taken)))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
