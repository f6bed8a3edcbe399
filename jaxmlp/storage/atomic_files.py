"""Turns bytes into a file that is there as a whole or not at all, whenever the machine stops."""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .locks import try_lock
from .regular_files import open_regular, require_regular

_TEMPORARY_NAME = re.compile(r"\.jaxmlp-[0-9a-f]{16}\.tmp")
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space, or write elsewhere",
    errno.EDQUOT: "Your quota is used up: free some space, or write elsewhere",
    errno.EFBIG: "The file is larger than the file system or your limits allow; write elsewhere",
    errno.EROFS: "The file system is read-only; write elsewhere",
    errno.EACCES: "Its directory must be writable by you: change its mode, or write elsewhere",
    errno.EPERM: "Its directory must be writable by you: change its mode, or write elsewhere",
    errno.ENOENT: "Its directory does not exist: make it first",
    errno.ENOTDIR: "What should be its directory is a file; use another path",
    errno.EINVAL: "Give the path of a file that is one, or that does not exist yet",
    errno.EISDIR: "It is a directory; give the path of a file",
    errno.ENAMETOOLONG: "Use a shorter name",
}


class FileLayer(NamedTuple):
    """The calls to the operating system that make a write last, so that tests can fail each."""

    open: Callable[[str, int, int], int] = os.open
    write: Callable[[int, Any], int] = os.write
    sync: Callable[[int], None] = os.fsync
    replace: Callable[[str, str], None] = os.replace
    remove: Callable[[str], None] = os.unlink


def write_atomically(
    path: str | Path,
    chunks: Iterable[bytes | memoryview],
    *,
    follow_links: bool = False,
    layer: FileLayer | None = None,
) -> None:
    """Replaces a file such that a crash at any instant leaves the old one or the new one.

    The bytes go to a temporary file in the same directory and to the disk; then it takes the
    place of the old file, whose mode it keeps, and the directory goes to the disk. Temporary files
    that a killed process left behind are removed first.

    Args:
        path: The file; its directory exists.
        chunks: Its new content, in order.
        follow_links: Whether a link at the path stays, and the file that it leads to is replaced,
            if it is a regular one. Without it, the link is replaced, and nothing elsewhere.
        layer: The calls to make; `None` means those of the operating system.

    Raises:
        OSError: It could not be written, for example since the disk is full or the directory
            read-only: the subclass of the system's error, with what to do. A file that was there
            is still whole.

    References:
        Pillai et al. 2014, "All file systems are not created equal", section 4.4.
    """
    layer = layer or FileLayer()
    target = os.path.realpath(path) if follow_links else os.path.abspath(path)
    directory = os.path.dirname(target)
    try:
        mode = _mode_to_keep(target, replaces_any=not follow_links)
        remove_abandoned(directory)
        temporary, descriptor = _open_temporary(directory, layer)
        try:
            try:
                for chunk in chunks:
                    _write_all(descriptor, chunk, layer)
                if mode is not None:
                    os.chmod(descriptor if os.chmod in os.supports_fd else temporary, mode)
                layer.sync(descriptor)
                # The lock lasts until the name is no longer temporary; Windows moves closed files.
                if os.name != "nt":
                    layer.replace(temporary, target)
            finally:
                os.close(descriptor)
            if os.name == "nt":
                layer.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                layer.remove(temporary)
            raise
        _sync_directory(directory, layer)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "Try again, or write elsewhere")
        raise OSError(
            error.errno,
            f"{path} could not be written ({error.strerror}); a file that was there is still "
            f"whole. {remedy}",
        ) from error


def remove_abandoned(directory: str | Path) -> None:
    """Removes temporary files that no process writes any more.

    A writer locks its temporary file, and the kernel releases the lock when the process ends.

    Args:
        directory: Where to look; files that cannot be removed are left.
    """
    with os.scandir(directory) as entries:
        names = [entry.path for entry in entries if _TEMPORARY_NAME.fullmatch(entry.name)]
    for name in names:
        with contextlib.suppress(OSError):
            with open_regular(name, os.O_WRONLY) as descriptor:
                if os.name != "nt" and try_lock(descriptor):
                    os.unlink(name)
            # Windows does not remove a file that is open somewhere.
            if os.name == "nt":
                os.unlink(name)


def _mode_to_keep(target: str, *, replaces_any: bool) -> int | None:
    """Returns the mode of the file that is to be replaced, if there is one that may be."""
    try:
        status = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not replaces_any:
        require_regular(status, own=False)
    return stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else None


def _open_temporary(directory: str, layer: FileLayer) -> tuple[str, int]:
    while True:
        temporary = os.path.join(directory, f".jaxmlp-{secrets.token_hex(8)}.tmp")
        descriptor = layer.open(temporary, _NEW_FILE, 0o666)
        if os.name == "nt":
            return temporary, descriptor
        try:
            is_locked = try_lock(descriptor)
        except OSError:  # no locks here, so that nobody takes it for abandoned
            return temporary, descriptor
        if is_locked and os.fstat(descriptor).st_nlink > 0:
            return temporary, descriptor
        os.close(descriptor)  # somebody took it for abandoned before it was locked


def _write_all(descriptor: int, chunk: bytes | memoryview, layer: FileLayer) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[layer.write(descriptor, rest) :]


def _sync_directory(directory: str, layer: FileLayer) -> None:
    if os.name == "nt":
        return  # Windows cannot open a directory
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        layer.sync(descriptor)
    finally:
        os.close(descriptor)
