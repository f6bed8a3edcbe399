"""Turns an argument into itself, or into an error that names it and says what to give."""

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .suggestions import did_you_mean, foreign_setting

Function = TypeVar("Function", bound=Callable[..., Any])


def require_int(name: str, value: Any, lowest: int, end: int | None) -> int:
    """Refuses anything but an int in [lowest, end), and returns it as Python's.

    NumPy's unsigned and narrow integers overflow where they are computed with.
    """
    requirement = f"an int of at least {lowest}" + ("" if end is None else f" and below {end}")
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} must be {requirement}; got {value!r}.")
    if value < lowest or (end is not None and value >= end):
        raise ValueError(f"{name} must be {requirement}; got {value}.")
    return int(value)


def require_number(name: str, value: Any, requirement: str, holds: Callable[[Any], bool]) -> None:
    """Refuses anything but a real number of which `holds` is true."""
    kinds = (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number {requirement}; got {value!r}.")
    if not holds(value):
        raise ValueError(f"{name} must be {requirement}; got {value}.")


def require_bool(name: str, value: Any) -> None:
    """Refuses anything but True and False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {value!r}.")


def require_name(name: str, value: Any, known: Iterable[str | None], home: str = "") -> None:
    """Refuses anything but one of some names, and suggests one.

    Args:
        name: What errors call it.
        value: What was given.
        known: The names, and `None` where that is allowed.
        home: Where suggestions are looked for; see `did_you_mean`.
    """
    known = tuple(known)
    if value is None and None in known:
        return
    listed = ", ".join(map(repr, known))
    if not isinstance(value, str | None):
        raise TypeError(f"{name} must be a name; got {value!r}. Known: {listed}.")
    if value not in known:
        names = [each for each in known if each is not None]
        hint = "" if value is None else did_you_mean(value, names, home, is_value=True)
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.{hint}")


def require_path(name: str, value: Any) -> None:
    """Refuses anything but the path of a file or a directory."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, a str or a pathlib.Path; got {_shown(value)}.")


def require_function(name: str, value: Any, form: str, remedy: str, home: str = "") -> None:
    """Refuses anything but a function that can be called with the arguments of `form`.

    Args:
        name: What errors call it.
        value: What was given.
        form: Its positional arguments and result, as in "(outputs, targets) -> loss per row".
        remedy: What to give.
        home: Where suggestions for a text are looked for; see `did_you_mean`.
    """
    requirement = f"{name} must be a function {form}, {remedy}"
    if not callable(value) or isinstance(value, type):
        hint = did_you_mean(value, (), home) if isinstance(value, str) and home else ""
        raise TypeError(f"{requirement}; got {_shown(value)}.{hint}")
    count = form.split(") ->")[0].count(",") + 1
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return  # of some builtin functions it is not known
    try:
        signature.bind(*range(count))
    except TypeError as error:
        shown = getattr(value, "__name__", repr(value))
        raise TypeError(
            f"{requirement}; got {shown}{signature}, which cannot be called so: {error}. Call it "
            "if it makes such a function, or set its options with functools.partial."
        ) from None


def require_mapping(name: str, value: Any, remedy: str) -> None:
    """Refuses anything but a dict or its like with texts as keys."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict by name, {remedy}; got {value!r}.")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{name} must have texts as keys, {remedy}; got the key {key!r}.")


def require_optimizer(optimizer: Any) -> None:
    """Refuses anything but an optax optimizer, or an object with `init` and `update` as one."""
    parts = (getattr(optimizer, "init", None), getattr(optimizer, "update", None))
    if not isinstance(optimizer, type) and all(map(callable, parts)):
        return
    requirement = "optimizer must be an optax optimizer, as optax.adam(1e-3)"
    if isinstance(optimizer, str):
        raise TypeError(
            f"{requirement}; got the text {optimizer!r}. Call the function of that name, if optax "
            f"has it: optax.{optimizer.lower()}(1e-3)."
        )
    if callable(optimizer):
        shown = getattr(optimizer, "__name__", repr(optimizer))
        remedy = f"Call it: {shown}(1e-3)."
        try:
            inspect.signature(optimizer).bind(1e-3)
        except TypeError:
            remedy = "If it is the loss function, that comes before the optimizer."
        except ValueError:
            pass  # of some builtin functions it is not known
        raise TypeError(f"{requirement}; got the function {shown} itself. {remedy}")
    raise TypeError(f"{requirement}; got {optimizer!r}.")


def require_loss(loss_fn: Any) -> None:
    """Refuses anything but a function of parameters, batch and key."""
    require_function(
        "loss_fn",
        loss_fn,
        "(params, batch, key) -> (loss, metrics)",
        "such as jaxmlp.make_loss(config, jaxmlp.losses.squared_error) builds",
        "losses",
    )


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


def is_real_array(value: Any) -> bool:
    """Tells NumPy and JAX arrays of real numbers from all else."""
    dtype = getattr(value, "dtype", None)
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    return isinstance(dtype, np.dtype) and any(jnp.issubdtype(dtype, kind) for kind in kinds)


def as_real_array(name: str, value: Any) -> Any:
    """Returns an array as it is, or one made of a list of numbers; refuses all else."""
    array = value if hasattr(value, "dtype") or hasattr(value, "__jax_array__") else _array(value)
    if not is_real_array(array):
        got = _shown(value) if array is None else f"an array of {array.dtype}"
        raise TypeError(f"{name} must be an array of real numbers; got {got}.")
    return array


def _array(value: Any) -> np.ndarray | None:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return None if array.dtype.kind in "OUSVmM" else array


def unknown_setting(caller: str, name: str, known: Iterable[str]) -> TypeError:
    """Returns the error for a setting that there is not, with a suggestion."""
    known = tuple(known)
    hint = foreign_setting(name, known) or f" It has {', '.join(known)}."
    return TypeError(f"{caller} has no setting {name!r}.{hint}")


def suggests_settings(caller: str) -> Callable[[Function], Function]:
    """Makes a function suggest its own settings for unknown ones, such as other libraries'."""

    def decorate(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters)
        known = [name for name in parameters if name != "self"]

        @functools.wraps(function)
        def checked(*args: Any, **settings: Any) -> Any:
            for name in settings:
                if name not in parameters:
                    raise unknown_setting(caller, name, known)
            return function(*args, **settings)

        return checked  # pyright: ignore[reportReturnType]  # has the signature of the function

    return decorate


def _shown(value: Any) -> str:
    """The value where it is short, else its type."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"a {type(value).__name__}"
