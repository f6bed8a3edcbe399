"""Turns the processes that share one run into one: what the first says, all know, within a time.

Messages are short texts that go through the coordination service of `jax.distributed`, from host
to host, so that they have time limits and do not wait for devices.
"""

import builtins
import contextlib
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax._src import distributed  # its client is the one way to wait with a time limit
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from .headers import CheckpointError, MismatchError

# A wait looks for signals, and for processes that have failed, so often: seconds.
_SLICE = 1.0
# The first process does not get further ahead than so many messages.
_MOST_UNREAD = 256
_FAILED = "jaxmlp/failed/"
_ERRORS = {**vars(builtins), **{e.__name__: e for e in (CheckpointError, MismatchError)}}
# Seconds that a process waits for the others, as `jaxmlp.distributed.initialize` sets it.
_limits = {"meeting": 600.0}
# How many runs each set of processes has shared, which keeps their messages apart.
_runs: dict[tuple[int, ...], int] = {}


def limit_meetings(seconds: float) -> None:
    """Sets how long a process waits for the others, in seconds."""
    _limits["meeting"] = seconds


def meeting_limit() -> float:
    """Returns how long a process waits for the others, in seconds."""
    return _limits["meeting"]


def _number() -> int:
    """Returns which process this is; 0 where there is one, and no device is touched for it."""
    return distributed.global_state.process_id


class Processes:
    """The processes that one run lies over; each makes it of the same numbers, in the same order.

    Args:
        numbers: Their indices; none or one for a run of this process alone.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self.numbers = tuple(sorted(set(numbers)))
        self.several = len(self.numbers) > 1
        self._number = _number()
        self.is_first = not self.several or self._number == self.numbers[0]
        if self.several:
            _runs[self.numbers] = _runs.get(self.numbers, 0) + 1
            who = "-".join(map(str, self.numbers[:1] + self.numbers[-1:]))
            self._folder = f"jaxmlp/{who}-{len(self.numbers)}/{_runs[self.numbers]}/"
        self._gathered = self._said = 0

    def gather(self, what: str, text: str) -> dict[int, str]:
        """Waits for all processes, and returns the text that each has given, by its number.

        Args:
            what: What they wait for, for the message.
            text: This process's own.

        Raises:
            RuntimeError: A process has failed meanwhile.
            TimeoutError: One has not come in time; those missing are named.
        """
        if not self.several:
            return {self._number: text}
        self._gathered += 1
        folder = f"{self._folder}gathered/{self._gathered}/"
        # The service keeps no empty text.
        _client().key_value_set(f"{folder}{self._number}", f"={text}")
        deadline = time.monotonic() + meeting_limit()
        while True:
            found = _read_folder(folder)
            missing = [number for number in self.numbers if number not in found]
            if not missing:
                break
            _wait_for(f"{folder}{missing[0]}", deadline, what, missing)
        if self.is_first:
            # All have come here, and so have read what was said and gathered before.
            _client().key_value_delete(f"{self._folder}gathered/{self._gathered - 1}/")
            _client().key_value_delete(f"{self._folder}said/")
        # Nothing more is said before that is gone.
        return {number: found[number][1:] for number in self.numbers}

    def first_says(self, what: str, say: Callable[[], Any]) -> Any:
        """Returns what a function returns in the first process, which alone calls it, in all.

        Args:
            what: What they wait for, for messages.
            say: Returns JSON. An error that it raises is raised in all processes.

        Raises:
            TimeoutError: The first process has not said it in time.
        """
        if not self.several:
            return say()
        if self._said and self._said % _MOST_UNREAD == 0:
            self.gather(what, "")
        self._said += 1
        key = f"{self._folder}said/{self._said}"
        if not self.is_first:
            deadline = time.monotonic() + meeting_limit()
            while (text := _wait_for(key, deadline, what, self.numbers[:1])) is None:
                pass
            answer = json.loads(text)
            if "error" in answer:
                raise _same_error(self.numbers[0], *answer["error"])
            return answer["value"]
        try:
            value = say()
        except Exception as error:
            _client().key_value_set(key, json.dumps({"error": _told(error)}))
            raise
        _client().key_value_set(key, json.dumps({"value": value}))
        return value

    def together(self, what: str, function: Callable[[], Any]) -> dict[int, Any]:
        """Calls a function in every process, and raises in all if it raises in one.

        Args:
            what: What it does, for messages.
            function: Returns JSON.

        Returns:
            What it has returned in each, by the number of the process.

        Raises:
            TimeoutError: A process has not come in time.
        """
        if not self.several:
            return {self._number: function()}
        own: Exception | None = None
        try:
            outcome = {"value": function()}
        except Exception as error:
            own, outcome = error, {"error": _told(error)}
        outcomes = {n: json.loads(t) for n, t in self.gather(what, json.dumps(outcome)).items()}
        if own is not None:
            raise own
        for number, other in outcomes.items():
            if "error" in other:
                raise _same_error(number, *other["error"])
        return {number: other["value"] for number, other in outcomes.items()}

    def ask_first(self, what: str) -> None:
        """Leaves a question for the first process, which `is_asked` finds sooner or later."""
        key = f"{self._folder}asked/{what}/{self._number}"
        _client().key_value_set(key, "=", allow_overwrite=True)

    def is_asked(self, what: str) -> bool:
        """Whether another process has asked the first for that."""
        return self.several and bool(_read_folder(f"{self._folder}asked/{what}/"))

    def whole(self, tree: PyTree) -> PyTree:
        """Returns arrays that lie over processes as this process's own, whole; all call it."""
        return jax.tree.map(_whole, tree) if self.several else tree


ALONE = Processes()


def processes_of(tree: PyTree) -> Processes:
    """Returns the processes over whose devices arrays or shardings lie."""
    shardings = [getattr(leaf, "sharding", leaf) for leaf in jax.tree.leaves(tree)]
    over = [s for s in shardings if isinstance(s, jax.sharding.Sharding)]
    several = [s for s in over if not s.is_fully_addressable]
    return Processes({d.process_index for s in several for d in s.device_set})


def report_failure(text: str) -> None:
    """Tells the other processes that this one has failed, and of what."""
    key = f"{_FAILED}{_number()}"
    _client().key_value_set(key, text[:2000] or "=", allow_overwrite=True)


def failures() -> dict[int, str]:
    """Returns what other processes have failed of, by number, as far as they could tell."""
    found = _read_folder(_FAILED)
    found.pop(_number(), None)
    return found


def _client() -> Any:
    return distributed.global_state.client


def _read_folder(folder: str) -> dict[int, str]:
    return {int(k.rsplit("/", 1)[1]): text for k, text in _client().key_value_dir_get(folder)}


def _wait_for(key: str, deadline: float, what: str, missing: Iterable[int]) -> str | None:
    """Waits a little for a text, or returns `None`."""
    left = deadline - time.monotonic()
    try:
        return _client().blocking_key_value_get(key, max(1, int(1e3 * min(left, _SLICE))))
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" not in str(error):
            raise
    if failed := failures():
        told = "; ".join(f"process {number} has failed: {text}" for number, text in failed.items())
        raise RuntimeError(f"Waiting for {what}: {told}. Look at the output of that process.")
    if time.monotonic() >= deadline:
        names = ", ".join(map(str, missing))
        raise TimeoutError(
            f"Process {_number()} has waited {meeting_limit():g} s for "
            f"{what}, and these processes have not come: {names}. All must run the same script; if "
            "they only need longer, give jaxmlp.distributed.initialize a larger meeting_timeout."
        )
    return None


def _told(error: Exception) -> list[Any]:
    """Returns the name of an error's class, and what makes it again."""
    if isinstance(error, OSError) and error.filename is not None:
        return [type(error).__name__, [error.errno, f"{error.strerror}: {error.filename}"]]
    is_plain = all(isinstance(a, str | int | float | None) for a in error.args)
    return [type(error).__name__, list(error.args) if is_plain else [str(error)]]


def _same_error(number: int, name: str, arguments: list[Any]) -> Exception:
    """Makes an error of another process again, of a type that its callers expect."""
    kind = _ERRORS.get(name)
    error = RuntimeError(f"{name}: {', '.join(map(str, arguments))}")
    if isinstance(kind, type) and issubclass(kind, Exception):
        with contextlib.suppress(TypeError):  # some take more than a message
            error = kind(*arguments)
    # The message and the end of a process tell errors of others from its own.
    error.of_process = number  # type: ignore[attr-defined]
    error.add_note(f"This is the error of process {number}, which ends the run in all processes.")
    return error


def _whole(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
        return leaf
    if leaf.is_fully_replicated:
        return leaf.addressable_data(0)
    return jax.numpy.asarray(multihost_utils.process_allgather(leaf, tiled=True))
