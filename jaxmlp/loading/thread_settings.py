"""Takes JAX's settings along into other threads: context managers change them for one thread."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

# Those that programs and the types of arrays depend on.
_CHANGED_BY: dict[str, Callable[[Any], Any]] = {
    "jax_enable_x64": jax.enable_x64,
    "jax_default_device": jax.default_device,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
}


def settings_of_this_thread() -> dict[str, Any]:
    """Returns the settings of this thread."""
    return {name: getattr(jax.config, name) for name in _CHANGED_BY}


@contextlib.contextmanager
def using_settings(settings: Mapping[str, Any]) -> Iterator[None]:
    """Has the block run under some of these settings, in this thread."""
    with contextlib.ExitStack() as stack:
        for name, value in settings.items():
            stack.enter_context(_CHANGED_BY[name](value))
        yield


def with_settings_of_this_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function run under the settings of now and here, in whichever thread."""
    settings = settings_of_this_thread()

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        with using_settings(settings):
            return function(*arguments)

    return call
