"""Turns a position in the data into a small dict, and such a dict back into a position."""

from typing import Any

from ..checks import require_int

VERSION = 1
_NAMES = ("epoch", "step", "settings", "order", "data")


def make_state(
    position: tuple[int, int], *, settings: dict[str, Any], order: str, data: str
) -> dict[str, Any]:
    """Returns the state of an iteration.

    Args:
        position: Epoch and step that come next.
        settings: What the order follows from, by name.
        order: Hash of the epoch's order.
        data: Fingerprint of the data.
    """
    values = (*position, settings, order, data)
    return {"version": VERSION, **dict(zip(_NAMES, values, strict=True))}


def read_position(state: Any) -> tuple[int, int]:
    """Returns the epoch and the step of a state, after checking its form.

    Raises:
        TypeError: `state` is no dict of `make_state`.
        ValueError: It is of another version, or its numbers are negative.
    """
    if not isinstance(state, dict) or "version" not in state:
        raise TypeError(f"state must be a dict that state_dict returned; got {state!r}.")
    if state["version"] != VERSION:
        raise ValueError(
            f"state has version {state['version']!r}, and this jaxmlp reads version {VERSION}; "
            "resume with the jaxmlp that wrote it."
        )
    missing = [name for name in _NAMES if name not in state]
    if missing:
        raise TypeError(f"state must be a dict that state_dict returned; it lacks {missing}.")
    if not isinstance(state["settings"], dict):
        raise TypeError(f"state['settings'] must be a dict; got {state['settings']!r}.")
    require_int("state['epoch']", state["epoch"], 0, 2**64)
    require_int("state['step']", state["step"], 0, None)
    return int(state["epoch"]), int(state["step"])


def changed_settings(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Tells which settings of now had other values then, or were not known."""
    return [
        f"{name}={then.get(name)!r}, now {value!r}"
        for name, value in now.items()
        if then.get(name) != value
    ]


def check_state(state: dict[str, Any], now: dict[str, Any], steps: int) -> None:
    """Refuses a state from which this loader cannot go on exactly.

    Args:
        state: The state then.
        now: The state of the same position, now.
        steps: Batches in an epoch.

    Raises:
        ValueError: A setting, the data or the order have changed since, or there is no such step.
    """
    if changed := changed_settings(state["settings"], now["settings"]):
        raise ValueError(
            f"The state was taken with {'; '.join(changed)}. Resume with the settings of then, or "
            "start anew."
        )
    if state["data"] != now["data"]:
        raise ValueError(
            "The data have changed since the state was taken: their fingerprint was "
            f"{state['data']}, and is {now['data']} now. Resume on the data of then, or start anew."
        )
    if state["order"] != now["order"]:
        raise ValueError(
            f"The order of epoch {state['epoch']} has changed since the state was taken; resume "
            "with the sampler of then, or the chunks, or start anew."
        )
    if state["step"] >= steps:
        raise ValueError(f"state['step'] must be below {steps}; got {state['step']}.")
