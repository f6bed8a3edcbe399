"""Turns signals and clocks, of which each process has its own, into what all do after a call."""

from collections.abc import Callable
from typing import NamedTuple

from ..storage import CheckpointWriter, Processes


class Decision(NamedTuple):
    """Whether the run stops, or else saves, and why the save before failed, if it did."""

    stops: bool
    saves: bool
    failure: str | None


def decide(
    processes: Processes, stop_requested: Callable[[], bool], writer: CheckpointWriter | None
) -> Decision:
    """Returns what the first process decides; a signal to another one reaches it soon.

    Raises:
        TimeoutError: The first process has not decided in time.
    """

    def look() -> Decision:
        if stop_requested() or processes.is_asked("stop"):
            return Decision(True, False, None)
        if writer is None or not writer.is_due():
            return Decision(False, False, None)
        return Decision(False, True, writer.take_failure())

    if not processes.is_first and stop_requested():
        processes.ask_first("stop")
    return Decision(*processes.first_says("the first process to go on", look))
