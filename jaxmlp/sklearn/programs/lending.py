"""Lends a thread a compilation cache of its own, in the place of JAX's one for the process."""

import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import jax
import jaxlib.version


@runtime_checkable
class Cache(Protocol):
    """What JAX asks of a compilation cache."""

    def get(self, key: str) -> bytes | None:
        """Returns what was put under a key."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keeps bytes under a key."""
        ...


class _Lent(threading.local):
    cache: Cache | None = None


_lent = _Lent()
_joining = threading.Lock()
_loading = threading.RLock()


def may_lend() -> bool:
    """Tells whether the user chose no cache himself, and did not switch caches off."""
    settings: Any = jax.config
    enabled = getattr(settings, "jax_enable_compilation_cache", False)
    return bool(enabled) and not getattr(settings, "jax_compilation_cache_dir", True)


@contextlib.contextmanager
def lend(cache: Cache) -> Iterator[None]:
    """Has JAX read and keep the programs that this thread compiles in the block in a cache.

    Other threads and JAX's settings are left alone. Where JAX has no place for it, nothing happens.
    """
    with _joining:
        seconds_to_keep = _join_jax()
    if seconds_to_keep is None:
        yield
        return
    before, _lent.cache = _lent.cache, cache
    try:
        # JAX keeps what takes a second to compile, which leaves out every small network.
        with seconds_to_keep(0.0):
            yield
    finally:
        _lent.cache = before


@functools.cache
def _join_jax() -> Callable[[float], contextlib.AbstractContextManager[Any]] | None:
    """Stands before the function that hands out JAX's cache; `None` if it is not as expected.

    JAX has no public way to give a thread another cache than the process has.

    Returns:
        JAX's setting of how long a compilation takes that is kept, as a context of the thread.
    """
    try:
        from jax._src import compilation_cache, config
        from jax._src.compilation_cache_interface import CacheInterface

        theirs = compilation_cache._get_cache
        seconds_to_keep = config.persistent_cache_min_compile_time_secs
        for name in ("get", "put"):
            asked = inspect.signature(getattr(CacheInterface, name)).parameters
            if list(asked) != list(inspect.signature(getattr(Cache, name)).parameters):
                return None
        with seconds_to_keep(0.0):
            pass
        if jaxlib.version.__version_info__ < (0, 11):
            _quieten(compilation_cache)
    except (ImportError, AttributeError, TypeError, ValueError):
        return None

    @functools.wraps(theirs)
    def get_cache(*args: Any, **kwargs: Any) -> Any:
        return theirs(*args, **kwargs) if _lent.cache is None else _lent.cache

    compilation_cache._get_cache = get_cache
    return seconds_to_keep


def _quieten(compilation_cache: Any) -> None:
    """Has XLA not say of every program loaded from a lent cache that it may not run here.

    It takes two preferences of its code generator for instructions that the processor lacks.

    References:
        https://github.com/jax-ml/jax/issues/38445, mended in jaxlib 0.11.
    """
    from jax._src import logging_config

    logs: Any = logging_config
    settings: Any = jax.config
    theirs, levels = compilation_cache.get_executable_and_time, logs._tf_cpp_map
    set_level = logs.utils.absl_set_min_log_level
    # As JAX sets it at its import.
    default = int(os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1"))

    @functools.wraps(theirs)
    def get_executable_and_time(*args: Any, **kwargs: Any) -> Any:
        if _lent.cache is None:
            return theirs(*args, **kwargs)
        # The level is one of the whole process, so that threads take turns.
        with _loading:
            before = levels.get(settings.jax_logging_level, default)
            set_level(levels["FATAL"])
            try:
                return theirs(*args, **kwargs)
            finally:
                set_level(before)

    compilation_cache.get_executable_and_time = get_executable_and_time
