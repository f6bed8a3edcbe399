"""Turns bytes of a piece into what a worker of an executor answers, by whatever executor."""

import hashlib
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

import numpy as np

from ..loading import settings_of_this_thread
from .machines import list_versions
from .piece_plans import Shared
from .workers import Failure, Reply, import_cloudpickle, run_piece

# An executor that was made anew so often, and of which no worker has ever answered.
_VAIN_EXECUTORS = 3


_REMEDY = (
    "With checkpoint, resume=True goes on from the pieces that had come back, with a new executor."
)


class BrokenSweepError(BrokenExecutor):
    """The executor takes no more pieces."""


def as_executor(executor: Any) -> Callable[[], Executor] | None:
    """Returns a function that gives an executor, the same one where it is one already.

    Raises:
        TypeError: It is no executor, nor a function of no arguments.
        ValueError: Its workers would be forked, which JAX's threads do not survive.
    """
    if executor is None:
        return None
    if isinstance(executor, Executor):
        _require_spawned(executor)
        return lambda: executor
    requirement = (
        "executor must be a concurrent.futures.Executor, as ProcessPoolExecutor or what Dask's "
        "client.get_executor() returns, or a function of no arguments that makes one"
    )
    if not callable(executor):
        raise TypeError(f"{requirement}; got {executor!r}.")

    def make() -> Executor:
        try:
            made = executor()
        except TypeError as error:
            raise TypeError(f"{requirement}; calling {executor!r} failed: {error}.") from error
        if not isinstance(made, Executor):
            raise TypeError(f"{requirement}; {executor!r} made {made!r}.")
        _require_spawned(made)
        return made

    return make


def _require_spawned(executor: Executor) -> None:
    """Refuses a pool of the standard library that forks, which is the default on Linux."""
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(
            "executor must not fork its workers, which hang where JAX has threads; make it with "
            "ProcessPoolExecutor(..., mp_context=multiprocessing.get_context('spawn'))."
        )


class WorkerPool:
    """The workers of an executor, which know what the pieces of one sweep share.

    `known` holds the names of those that have answered.

    Args:
        make: Gives an executor.
        shared: What all pieces need.
    """

    def __init__(self, make: Callable[[], Executor], shared: Shared) -> None:
        self.known = set[str]()
        self._make, self._executor, self._in_vain = make, make(), 0
        self._shared: bytes = import_cloudpickle().dumps(shared)
        self._fingerprint = hashlib.blake2b(self._shared, digest_size=16).hexdigest()
        self._versions, self._settings = list_versions(), settings_of_this_thread()
        # A device of this process is none of theirs.
        del self._settings["jax_default_device"]
        self._number = 0

    def submit(self, piece: bytes, members: np.ndarray, *, with_shared: bool) -> Future[Reply]:
        """Hands a piece to the executor, or to a new one where it is broken.

        Raises:
            BrokenSweepError: It takes no more pieces.
        """
        shared = self._shared if with_shared else None
        self._number += 1
        given = self._versions, self._settings, self._fingerprint, piece, shared
        try:
            return self._executor.submit(run_piece, self._number, *given)
        except (BrokenExecutor, *_errors_of_dask("ClosedClientError")) as error:
            broken, self._executor = self._executor, self._make()
            self._in_vain += not self.known
            if self._executor is broken or self._in_vain >= _VAIN_EXECUTORS:
                raise BrokenSweepError(
                    "The executor is broken, since a worker of it died, or closed, and takes no "
                    f"more pieces; members {shorten(members)} wait for one. {_REMEDY} Dask's "
                    "goes on after the death of a worker by itself; and executor may be a function "
                    "that makes one, as loky.get_reusable_executor, which is then asked for "
                    "another. "
                    "Workers that all die at their start mostly ran a script that has no "
                    f"`if __name__ == '__main__':` around what starts them. {error}"
                ) from error
            return self.submit(piece, members, with_shared=True)

    def reply_of(self, future: Future[Reply], members: np.ndarray) -> Reply | None:
        """Returns what a worker answered, or `None` if it died.

        Raises:
            BrokenSweepError: The executor has cancelled the piece, as Dask's does when it has lost
                its scheduler.
            Exception: What went wrong in the worker, or with the executor.
            ValueError: The worker has other versions.
        """
        told = f"This ended the training of members {shorten(members)}"
        try:
            reply = future.result()
        except CancelledError as error:
            raise BrokenSweepError(
                f"The executor has cancelled the training of members {shorten(members)}: it has "
                "lost its scheduler, or was closed. Look into the scheduler's log, and start "
                f"another. {_REMEDY}"
            ) from error
        except Exception as error:
            if isinstance(error, (BrokenExecutor, *_errors_of_dask("KilledWorker"))):
                return None
            error.add_note(f"{told}, in the executor.")
            raise
        if reply.kind == "refused":
            theirs = import_cloudpickle().loads(reply.content)
            differing = [
                f"{name} {theirs.get(name)}, here {version}"
                for name, version in self._versions.items()
                if theirs.get(name) != version
            ]
            raise ValueError(
                f"executor must have workers with the versions of here; {reply.worker} has "
                f"{'; '.join(differing)}. Install the same there."
            )
        self.known.add(reply.worker)
        if reply.kind == "failed":
            failure: Failure = import_cloudpickle().loads(reply.content)
            error = failure.error or RuntimeError("A worker failed with an error of its own.")
            error.add_note(f"{told} in worker {reply.worker}. There:\n\n{failure.traceback}")
            raise error
        return reply


def _errors_of_dask(name: str) -> list[type[BaseException]]:
    """Returns Dask's error of that name, where Dask is in use and has it."""
    modules = [sys.modules.get(f"distributed.{module}") for module in ("scheduler", "client")]
    return [getattr(module, name) for module in modules if hasattr(module, name)]


def shorten(numbers: Any) -> str:
    """Writes numbers, runs of them as 3-7, and many of them cut short."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    shown = [str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts[:8]]
    return ", ".join(shown) + (", ..." if len(parts) > 8 else "")
