"""Refuses arguments of a wrong type or out of range, in one form of words everywhere."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def require_int(name: str, value: Any, lowest: int, end: int | None) -> None:
    """Refuses anything but an int in [lowest, end)."""
    requirement = f"an int of at least {lowest}" + ("" if end is None else f" and below {end}")
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} must be {requirement}; got {value!r}.")
    if value < lowest or (end is not None and value >= end):
        raise ValueError(f"{name} must be {requirement}; got {value}.")


def require_key(caller: str, key: object) -> None:
    """Raises a TypeError unless `key` is a single typed JAX random key."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"{caller} needs a typed JAX random key; got {key!r}. Make one with "
            "jax.random.key(0), or wrap raw data with jax.random.wrap_key_data."
        )
    shape = getattr(key, "shape", ())
    if shape != ():
        raise TypeError(
            f"{caller} needs one key; got an array of keys of shape {shape}. "
            "Use jax.vmap to draw one network per key."
        )
