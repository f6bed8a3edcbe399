"""Turns the settings of a run into a checked plan, which is compiled into its programs."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from jax.sharding import Sharding
from jaxtyping import Array, Bool, Float, PyTree

from ..checks import require_int, require_number
from ..loading import Transform
from .signatures import SettingsGroup


class FitSettings(TypedDict, total=False):
    """When to stop and what to keep, the same for one network and for many.

    Args:
        monitor: Metric that tells which epoch is best: "loss" or a name that the loss function
            returns, of the validation rows if there are any, else of the training rows.
        mode: Whether "min" or "max" of it is best; "min" for the loss, required for others.
        patience: Number of epochs without improvement, at least 1, after which to stop. A run of no
            more epochs than that never stops early; one resumed with more of them may.
        min_delta: What an improvement must exceed to count for `patience`, at least 0, in the
            metric's unit, from the value that counted last; the best parameters are those of the
            best value.
        ema_decay: Decay per step in (0, 1) of an exponential moving average of the parameters,
            started at the first ones; the average is evaluated and returned.
        swa_start: Number of the first epoch, at least 0, whose last parameters enter a plain mean
            (stochastic weight averaging); the mean is evaluated and returned.
        accumulate_steps: Micro-batches per batch; see `make_train_step`.
    """

    monitor: str
    mode: Literal["min", "max"] | None
    patience: int | None
    min_delta: float
    ema_decay: float | None
    swa_start: int | None
    accumulate_steps: int


FIT_SETTINGS = SettingsGroup(
    FitSettings,
    {
        "monitor": "loss",
        "mode": None,
        "patience": None,
        "min_delta": 0.0,
        "ema_decay": None,
        "swa_start": None,
        "accumulate_steps": 1,
    },
)


@runtime_checkable
class StopRule(Protocol):
    """When to stop, where `patience` and `min_delta` cannot say it; equal rules share programs.

    Both functions are traced. Numbers may be among the parameters, so that members differ in them.
    """

    def init(self, params: PyTree) -> PyTree:
        """Returns what the rule remembers before the first epoch."""
        ...

    def update(
        self, state: PyTree, params: PyTree, value: Float[Array, ""]
    ) -> tuple[PyTree, Bool[Array, ""]]:
        """Takes note of an epoch's monitored value, and says whether to stop after it."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of a run that are compiled into it; see `FitSettings` for their meaning.

    `stop_rule` stands in the place of `patience`. `transform` is applied to the batches of every
    step, and not to the validation rows. Over several devices, `batch_sharding` is how a batch's
    rows are cut, and `validation_parts` into how many parts the validation rows are.
    """

    accumulate_steps: int = 1
    monitor: str = "loss"
    mode: Literal["min", "max"] = "min"
    patience: int | None = None
    min_delta: float = 0.0
    stop_rule: StopRule | None = None
    ema_decay: float | None = None
    swa_start: int | None = None
    skip_nonfinite: bool = False
    transform: Transform | None = None
    batch_sharding: Sharding | None = None
    validation_parts: int = 1

    @property
    def stops_early(self) -> bool:
        """Whether a run may end before its last epoch, all being finite."""
        return self.patience is not None or self.stop_rule is not None


def make_plan(
    settings: Mapping[str, Any], *, nonfinite: str, epochs: int, first_epoch: int = 0
) -> Plan:
    """Checks all of `FitSettings` for a run of so many epochs from the first one on.

    Raises:
        TypeError: A setting has the wrong type.
        ValueError: A setting is out of range, has no effect, or two contradict each other.
    """
    monitor, mode, patience, min_delta, ema_decay, swa_start, accumulate_steps = (
        settings[name] for name in FIT_SETTINGS.defaults
    )
    if not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of a metric, as 'loss'; got {monitor!r}.")
    if mode is None and monitor == "loss":
        mode = "min"
    require_int("epochs", epochs, 1, None)
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
    require_number("min_delta", min_delta, "finite and at least 0", lambda d: 0 <= d < math.inf)
    if ema_decay is not None:
        require_number("ema_decay", ema_decay, "in (0, 1)", lambda d: 0 < d < 1)
    if ema_decay is not None and swa_start is not None:
        raise ValueError("ema_decay and swa_start are two ways to average; give one of them.")
    if min_delta and patience is None:
        raise ValueError(
            f"min_delta={min_delta} has an effect with patience only, which it tells what is an "
            "improvement; the best parameters are those of the best value. Give patience, or leave "
            "min_delta out."
        )
    if swa_start is not None and swa_start >= first_epoch + epochs:
        raise ValueError(
            f"swa_start must be below epochs, or nothing is averaged; got swa_start={swa_start}, "
            f"epochs={epochs}" + (f" from epoch {first_epoch} on." if first_epoch else ".")
        )
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
