"""Turns a user's callback into one answer for all processes that share a run."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ..storage import Processes
from ..train_step import TrainState
from .looks import OnEpoch, Scheduled


class Callback:
    """Calls `on_epoch` in the first process, or in each if its `every_process` is True.

    Args:
        on_epoch: The callback, if there is one.
        processes: Those that share the run; all make the same calls of this.
    """

    def __init__(self, on_epoch: OnEpoch | None, processes: Processes) -> None:
        self._on_epoch = on_epoch
        self._processes = processes
        self._everywhere = bool(getattr(on_epoch, "every_process", False))
        self._is_here = self._everywhere or processes.is_first

    def begin(self, state: TrainState, epoch: int) -> None:
        """Tells one that says when it is called of the state before the first step."""
        whole = self._processes.whole(state)
        if self._is_here and isinstance(self._on_epoch, Scheduled):
            self._on_epoch.begin(whole, epoch)

    def asks_to_stop(self, state: TrainState, metrics: Mapping[str, int | float]) -> bool:
        """Returns whether it has asked, in any process, to stop.

        Args:
            state: The state after an epoch. Where processes share it, the callback is given this
                process's copy, with which it can compute alone.
            metrics: The epoch's.

        Raises:
            TypeError: It returns neither a bool nor `None`.
            ValueError: It has handed the state to a step that donates it.
        """
        on_epoch = self._on_epoch
        if on_epoch is None:
            return False
        whole = self._processes.whole(state)
        if self._everywhere:
            answers = self._processes.together(
                "on_epoch of all processes", lambda: _ask(on_epoch, whole, metrics)
            )
            return any(answers.values())
        return self._processes.first_says("on_epoch", lambda: _ask(on_epoch, whole, metrics))


def _ask(on_epoch: OnEpoch, state: TrainState, metrics: Mapping[str, int | float]) -> bool:
    answer: Any = on_epoch(state, metrics)
    if any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
        raise ValueError(
            "on_epoch is given the state with which fit goes on, and has handed it to a step that "
            "donates it, as make_train_step's does, so that it is gone. Give such a step a copy: "
            "jax.tree.map(jnp.copy, state)."
        )
    if answer is not None and not isinstance(answer, bool | np.bool_):
        raise TypeError(f"on_epoch must return True to stop, or None; got {answer!r}.")
    return bool(answer)
