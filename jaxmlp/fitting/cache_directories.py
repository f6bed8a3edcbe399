"""Turns a path into a directory in which nobody else can put code that this user executes."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


class UnsafeDirectoryError(PermissionError):
    """Tells that someone else could put programs where this user would execute them."""


def open_cache_directory(directory: Path, *, owner_only: bool = False) -> Path:
    """Makes a directory for compiled programs, if it is missing, and checks who can change it.

    Args:
        directory: Its path; made with mode 0700 if missing, as are those above it.
        owner_only: Whether others may not even read it, and it may not be a link itself.

    Returns:
        The directory, with links followed.

    Raises:
        OSError: The directory cannot be made.
        UnsafeDirectoryError: The directory, a link on the way to it, or a directory above it
            belongs to someone else, or others can write to it; with `owner_only` also that others
            can read it, or that it is a link.
    """
    directory = directory.absolute()
    if os.name == "posix":
        for link, owner in _links(directory):
            if owner not in (0, os.getuid()):
                raise UnsafeDirectoryError(
                    f"A compilation cache holds code that will be executed, so the way to "
                    f"{directory} must be your own, but {link} is a link of user {owner}. Give the "
                    "directory itself."
                )
    if owner_only and directory.is_symlink():
        raise UnsafeDirectoryError(
            f"A compilation cache holds code that will be executed, so {directory} must be a "
            "directory, but it is a link. Give the directory itself."
        )
    directory = directory.resolve()
    for parent in [*reversed(directory.parents), directory]:
        # With the mode of the last one, which `parents=True` would leave to the umask.
        parent.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix":
        _require_private(directory, others=0o077 if owner_only else 0o022)
        for parent in directory.parents:
            _require_safe_parent(directory, parent)
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


def _require_private(directory: Path, others: int) -> None:
    """Refuses a directory of someone else, or one that gives others any of these rights."""
    status = directory.stat()
    if status.st_uid != os.getuid() or status.st_mode & others:
        rights = "readable and writable" if others & 0o044 else "writable"
        raise UnsafeDirectoryError(
            f"A compilation cache holds code that will be executed, so {directory} must belong "
            f"to you and be {rights} by you alone; its owner is user {status.st_uid} and its "
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
    raise UnsafeDirectoryError(
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
