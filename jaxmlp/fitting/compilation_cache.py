"""Turns a private directory into a cache of compiled programs that outlives the process."""

import os
import stat
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


def enable_compilation_cache(directory: str | Path | None = None) -> Path:
    """Keeps compiled programs on disk, so that the next process need not compile them again.

    JAX's own default keeps only programs that took a second or more to compile, which leaves out
    every small network; here all are kept. What lies in the directory is executed: it must be
    yours alone.

    Args:
        directory: Where to keep them; made with mode 0700 if missing. `None` means `jaxmlp` in the
            user's cache directory (`$XDG_CACHE_HOME` or `~/.cache`).

    Returns:
        The directory.

    Raises:
        PermissionError: The directory belongs to someone else, or others can write to it.

    Example:
        >>> import tempfile
        >>> directory = enable_compilation_cache(tempfile.mkdtemp())
    """
    if directory is None:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = Path(root) / "jaxmlp"
    directory = Path(directory).expanduser().absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        status = directory.stat()
        shared = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.getuid() or shared:
            raise PermissionError(
                f"A compilation cache holds code that will be executed, so {directory} must belong "
                f"to you and be writable by you alone; its owner is user {status.st_uid} and its "
                f"mode {stat.S_IMODE(status.st_mode):04o}. Use another directory, or chmod 700 it."
            )
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX would go on with the directory of the first program.
    compilation_cache.reset_cache()
    return directory
