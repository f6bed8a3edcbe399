"""Turns the end of an epoch into calls of a user's functions, which tell whether to stop."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Callback: TypeAlias = Callable[[Any, dict[str, int | float]], bool | None]


def as_callbacks(callbacks: Any) -> tuple[Callback, ...]:
    """Returns the functions that an argument names: one, several or none.

    Raises:
        TypeError: One of them is not callable.
    """
    if callbacks is None:
        return ()
    several = callbacks if isinstance(callbacks, (list, tuple)) else (callbacks,)
    for callback in several:
        if not callable(callback):
            raise TypeError(
                "callbacks must be functions (estimator, metrics) -> True to stop, or None; got "
                f"{callback!r}."
            )
    return tuple(several)


def call_back(
    callbacks: Sequence[Callback], estimator: Any, metrics: Mapping[str, int | float]
) -> bool:
    """Calls all of them, and tells whether one wants to stop.

    Raises:
        TypeError: One returned neither a bool nor `None`.
    """
    answers = [callback(estimator, dict(metrics)) for callback in callbacks]
    for answer in answers:
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise TypeError(f"callbacks must return True to stop, or None; got {answer!r}.")
    return any(answers)
