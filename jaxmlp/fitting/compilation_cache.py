"""Turns a private directory into a cache of compiled programs that outlives the process."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from ..checks import require_path


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
    directory = Path(directory).expanduser().absolute()
    if os.name == "posix":
        for link, owner in _links(directory):
            if owner not in (0, os.getuid()):
                raise PermissionError(
                    f"A compilation cache holds code that will be executed, so the way to "
                    f"{directory} must be your own, but {link} is a link of user {owner}. Give the "
                    "directory itself."
                )
    directory = directory.resolve()
    for parent in [*reversed(directory.parents), directory]:
        # With the mode of the last one, which `parents=True` would leave to the umask.
        parent.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix":
        _require_private(directory)
        for parent in directory.parents:
            _require_safe_parent(directory, parent)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX would go on with the directory of the first program.
    compilation_cache.reset_cache()
    return directory


def _links(path: Path) -> Iterator[tuple[Path, int]]:
    """Gives the links on the way along a path, also those that links lead to, and their owners."""
    left, here, seen = list(reversed(path.parts[1:])), Path(path.anchor), 0
    while left:
        name = left.pop()
        here = here.parent if name == ".." else here / name
        try:
            status = here.lstat()
        except FileNotFoundError:
            return  # what does not exist leads nowhere
        if stat.S_ISLNK(status.st_mode):
            yield here, status.st_uid
            seen += 1
            if seen > 40:  # as Linux; `resolve` tells of the loop
                return
            target = Path(os.readlink(here))
            left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
            here = Path(target.anchor) if target.is_absolute() else here.parent


def _require_private(directory: Path) -> None:
    status = directory.stat()
    shared = stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH)
    if status.st_uid != os.getuid() or shared:
        raise PermissionError(
            f"A compilation cache holds code that will be executed, so {directory} must belong "
            f"to you and be writable by you alone; its owner is user {status.st_uid} and its "
            f"mode {stat.S_IMODE(status.st_mode):04o}. Use another directory, or chmod 700 it."
        )


def _require_safe_parent(directory: Path, parent: Path) -> None:
    """Refuses a directory above the cache in which someone else could rename what lies in it."""
    status = parent.stat()
    mode = stat.S_IMODE(status.st_mode)
    # In a sticky directory, as /tmp, each may rename only what is his own.
    shared = mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX
    if status.st_uid in (0, os.getuid()) and (not shared or _is_shared_with_nobody(status)):
        return
    raise PermissionError(
        f"A compilation cache holds code that will be executed, so nobody else may be able to put "
        f"another directory in the place of {directory}; but {parent} above it belongs to user "
        f"{status.st_uid} and has the mode {mode:04o}. Use another directory, such as the default "
        "one, or take that right away (chmod go-w)."
    )


def _is_shared_with_nobody(status: os.stat_result) -> bool:
    """Tells whether only the owner and his private group may write."""
    import grp
    import pwd

    if status.st_mode & stat.S_IWOTH:
        return False
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:
        return False
    is_private = group.gr_name == owner.pw_name and group.gr_gid == owner.pw_gid
    return is_private and not set(group.gr_mem) - {owner.pw_name}
