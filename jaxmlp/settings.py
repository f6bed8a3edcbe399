"""Turns the arguments of `fit` into a checked plan."""

import math

from .order import require_int
from .program import Plan


def make_plan(
    accumulate_steps: int,
    monitor: str,
    mode: str | None,
    patience: int | None,
    min_delta: float,
    ema_decay: float | None,
    swa_start: int | None,
    nonfinite: str,
) -> Plan:
    """Returns the settings that are compiled into a run.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, or two contradict each other.
    """
    require_int("accumulate_steps", accumulate_steps, 1, None)
    if patience is not None:
        require_int("patience", patience, 1, None)
    if swa_start is not None:
        require_int("swa_start", swa_start, 0, None)
    if mode not in ("min", "max"):
        raise ValueError(
            f"mode must be 'min' or 'max', whichever is better for monitor={monitor!r}; "
            f"got {mode!r}."
        )
    if not 0 <= min_delta < math.inf:
        raise ValueError(f"min_delta must be finite and at least 0; got {min_delta}.")
    if ema_decay is not None and not 0 < ema_decay < 1:
        raise ValueError(f"ema_decay must be in (0, 1); got {ema_decay}.")
    if ema_decay is not None and swa_start is not None:
        raise ValueError("ema_decay and swa_start are two ways to average; give one of them.")
    if nonfinite not in ("raise", "skip", "stop"):
        raise ValueError(f"nonfinite must be 'raise', 'skip' or 'stop'; got {nonfinite!r}.")
    # Python's numbers, since NumPy's are no JSON.
    return Plan(
        accumulate_steps=int(accumulate_steps),
        monitor=monitor,
        mode=mode,
        patience=None if patience is None else int(patience),
        min_delta=float(min_delta),
        ema_decay=None if ema_decay is None else float(ema_decay),
        swa_start=None if swa_start is None else int(swa_start),
        skip_nonfinite=nonfinite == "skip",
    )


def require_averaging(swa_start: int | None, epochs: int) -> None:
    """Refuses an average that would begin after the last epoch."""
    if swa_start is not None and swa_start >= epochs:
        raise ValueError(
            f"swa_start must be below epochs, or nothing is averaged; got swa_start={swa_start}, "
            f"epochs={epochs}."
        )
