"""Turns a name into an open regular file, never into what a link, a FIFO or a device leads to."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

# Never waits for the other end of a FIFO; follows no link that came after the first look.
_SAFELY = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_KINDS: dict[str, Callable[[int], bool]] = {
    "a link": stat.S_ISLNK,
    "a directory": stat.S_ISDIR,
    "a FIFO": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


class IrregularFileError(OSError):
    """A link, a FIFO, a device or a second name of a file where a file of one's own should be."""


@contextlib.contextmanager
def open_regular(path: str | Path, flags: int, *, follow_links: bool = False) -> Iterator[int]:
    """Opens a file that is there, and closes it after the `with` block.

    Args:
        path: The file.
        flags: How to open it, as for `os.open`.
        follow_links: Whether the file may lie elsewhere. Without it, a link is refused, and so is
            a file with a second name, which may be anywhere.

    Raises:
        IrregularFileError: It is no regular file, which is told before it is opened.
        OSError: It cannot be opened.
    """
    require_regular(os.stat(path, follow_symlinks=follow_links), own=not follow_links)
    flags |= _SAFELY | (0 if follow_links else _NOFOLLOW)
    descriptor = os.open(path, flags)
    try:
        # What the name stands for may have changed in between.
        require_regular(os.fstat(descriptor), own=not follow_links)
        yield descriptor
    finally:
        os.close(descriptor)


def require_regular(status: os.stat_result, *, own: bool) -> None:
    """Raises unless a file is a regular one, and if it is to be one's `own`, with one name only.

    Raises:
        IrregularFileError: It is something else.
    """
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        kind = next((kind for kind, fits in _KINDS.items() if fits(mode)), "something else")
        raise IrregularFileError(errno.EINVAL, f"it is {kind}, and not a regular file")
    if own and status.st_nlink > 1:
        raise IrregularFileError(
            errno.EINVAL, "it is a second name of a file that may lie anywhere (a hard link)"
        )
