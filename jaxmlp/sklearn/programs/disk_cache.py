"""Gives the estimators' own calls the programs that a former process compiled."""

import contextlib
import functools
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from ...fitting import UnsafeDirectoryError, open_cache_directory
from .lending import lend, may_lend
from .program_files import ProgramFiles

VARIABLE = "JAXMLP_COMPILATION_CACHE"

_opening = threading.Lock()


@contextlib.contextmanager
def programs_on_disk() -> Iterator[None]:
    """Keeps the programs that this thread compiles in the block, and reads those kept before.

    They are in a private directory of the user's caches, in the one that the environment variable
    `JAXMLP_COMPILATION_CACHE` names, or nowhere if it is `off`. A compilation cache that the user
    gave JAX is used in their place.
    """
    files = None
    if may_lend():
        with _opening:
            files = _open_files(os.environ.get(VARIABLE, ""))
    with contextlib.nullcontext() if files is None else lend(files):
        yield


@functools.cache
def _open_files(setting: str) -> ProgramFiles | None:
    """Opens the directory that a setting means; warns once if it must not or cannot be used."""
    if setting.lower() in ("off", "0"):
        return None
    try:
        directory = Path(setting).expanduser() if setting else _cache_home() / "jaxmlp" / "sklearn"
        if not directory.is_absolute():
            raise UnsafeDirectoryError(f"{VARIABLE} must be 'off' or a full path, got {setting!r}.")
        return ProgramFiles(open_cache_directory(directory, owner_only=True))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        # Where there is no place by default, as in some containers, there is nothing to say.
        if setting or isinstance(error, UnsafeDirectoryError):
            warnings.warn(
                f"The estimators keep no compiled programs for the next process. {error} "
                f"{VARIABLE} may name another directory, or be 'off'.",
                RuntimeWarning,
                stacklevel=7,  # the caller of `fit`
            )
        return None


def _cache_home() -> Path:
    """Returns where the platform has programs keep what they can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"
