"""Turns a private directory into a cache of compiled programs that outlives the process."""

import os
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from ..checks import require_path
from .cache_directories import open_cache_directory


def enable_compilation_cache(directory: str | Path | None = None) -> Path:
    """Keeps compiled programs on disk, so that the next process need not compile them again.

    JAX's own default keeps only programs that took a second or more to compile, which leaves out
    every small network; here all are kept. What lies in the directory is executed: it must be
    yours alone, and nobody else may be able to put another one in its place.

    Args:
        directory: Where to keep them; made with mode 0700 if missing. `None` means `jaxmlp` in the
            user's cache directory (`$XDG_CACHE_HOME` or `~/.cache`).

    Returns:
        The directory, with links followed, as it is used.

    Raises:
        OSError: The directory cannot be made.
        PermissionError: The directory, a link on the way to it, or a directory above it belongs to
            someone else, or others can write to it.

    Example:
        >>> import tempfile
        >>> directory = enable_compilation_cache(tempfile.mkdtemp())
    """
    if directory is None:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = Path(root) / "jaxmlp"
    require_path("directory", directory)
    directory = open_cache_directory(Path(directory).expanduser())
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX would go on with the directory of the first program.
    compilation_cache.reset_cache()
    return directory
