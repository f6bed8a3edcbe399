"""Turns a file into a lock that the kernel releases when its process ends, however it ends."""

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from .regular_files import IrregularFileError, open_regular

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = ".jaxmlp.lock"
# Windows locks byte ranges against reading too: one far behind the owner's name.
_LOCKED_BYTE = 1 << 30


def try_lock(descriptor: int) -> bool:
    """Locks an open file until it is closed.

    Args:
        descriptor: Number of a file that is open for writing.

    Returns:
        Whether the lock was free.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


@contextlib.contextmanager
def exclusive(directory: str | Path) -> Iterator[None]:
    """Keeps other runs out of a directory while the `with` block lasts.

    A process that is killed holds nothing: the kernel gives its locks back.

    Args:
        directory: An existing directory; a small lock file is left in it.

    Raises:
        BlockingIOError: Another run holds it; the message names its process.
        OSError: The lock file cannot be made or locked, or a link, a FIFO or the like has its name.
    """
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(_open_lock(Path(directory) / LOCK_NAME))
        except IrregularFileError as error:
            raise OSError(
                error.errno,
                f"{directory} cannot be locked for this run: {LOCK_NAME} in it must be a file of "
                f"its own, but {error.strerror}. Remove it, or use another directory",
            ) from error
        except OSError as error:
            raise OSError(
                error.errno,
                f"{directory} cannot be locked for this run ({error.strerror}); it must be an "
                "existing directory in which you may write",
            ) from error
        try:
            is_free = try_lock(descriptor)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{directory} cannot be locked for this run ({error.strerror}); its file system "
                "must know locks, use a local directory",
            ) from error
        os.lseek(descriptor, 0, os.SEEK_SET)
        if not is_free:
            owner = os.read(descriptor, 300).decode(errors="replace").strip()
            raise BlockingIOError(
                errno.EWOULDBLOCK,
                f"{directory} is in use by {owner or 'another run'}; two runs in one directory "
                "would replace each other's files. Wait for it to end, or use another directory",
            )
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


@contextlib.contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        # Follows no link, even one that leads nowhere.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    with open_regular(path, os.O_RDWR) as descriptor:
        yield descriptor
