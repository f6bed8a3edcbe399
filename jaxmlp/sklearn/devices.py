"""Turns the name of a device into the device on which an estimator computes."""

import contextlib
import functools
import re
import warnings
from typing import Any, TypeAlias

import jax

# A class, of which pyright sees a variable.
Device: TypeAlias = Any


def find_device(device: Any) -> Device | None:
    """Returns the device that is meant; `None` where JAX is to choose.

    Args:
        device: `None`, a `jax.Device`, or a platform with or without the number of one of its
            devices: "cpu", "gpu", "cuda:1".

    Raises:
        ValueError: There is no such device.
    """
    if device is None or isinstance(device, jax.Device):
        return device
    found = re.fullmatch(r"([a-z]+)(?::(\d{1,6}))?", device)
    devices = _devices_of(found[1]) if found else []
    number = int(found[2] or 0) if found else 0
    if number >= len(devices):
        there = {name_device(other): None for other in [*jax.local_devices(), *_devices_of("cpu")]}
        raise ValueError(
            f"device must be one that is there, of {', '.join(map(repr, there))}; got {device!r}. "
            "device=None leaves it to JAX."
        )
    return devices[number]


def name_device(device: Any) -> Any:
    """Returns the text by which `find_device` finds a device; what is none stays as it is."""
    if not isinstance(device, jax.Device):
        return device
    return f"{device.platform}:{_devices_of(device.platform).index(device)}"


def computing_on(device: Any) -> contextlib.AbstractContextManager[object]:
    """Has JAX compute on a device while the `with` block lasts.

    Raises:
        ValueError: There is no such device.
    """
    found = find_device(device)
    return contextlib.nullcontext() if found is None else jax.default_device(found)


def predicting_on(device: Any) -> contextlib.AbstractContextManager[object]:
    """Does the same, on the device that JAX chooses if that one is not on this machine."""
    try:
        return computing_on(device)
    except ValueError:
        _warn_of_missing(device)
        return contextlib.nullcontext()


@functools.lru_cache
def _warn_of_missing(device: str) -> None:
    warnings.warn(
        f"device={device!r} is not on this machine; predictions are computed on "
        f"{name_device(jax.local_devices()[0])!r}.",
        stacklevel=5,
    )


def _devices_of(platform: str) -> list[Device]:
    """Returns this process's devices of a platform, of which there may be none."""
    try:
        return jax.local_devices(backend=platform)
    except RuntimeError:
        return []
