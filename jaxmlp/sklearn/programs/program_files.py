"""Keeps compiled programs as files of a directory, the least recently used of which are dropped."""

import contextlib
import functools
import hashlib
import os
import platform
from pathlib import Path

import jax
import jaxlib.version

from ...checks import __version__
from ...storage import FileLayer, write_atomically

LIMIT = 256 * 2**20
SUFFIX = ".jaxmlp-program"

_DIGEST_BYTES = 32
# What is lost when the machine stops is found by its digest, and compiled anew.
_LAYER = FileLayer(sync=lambda _: None)


class ProgramFiles:
    """A cache as JAX asks it: bytes by key, from the files of one directory.

    A file is there as a whole or not at all, and opens with a digest of its name and content: one
    that was cut off or altered counts as missing, and is replaced. A cache never raises for what
    the disk does.

    Args:
        directory: A directory that nobody else can write to.
        limit: Bytes that it may hold; a quarter is freed when there are more.
    """

    def __init__(self, directory: Path, limit: int = LIMIT):
        self._directory = directory
        self._limit = limit
        self._written = limit  # since it was last measured

    def get(self, key: str) -> bytes | None:
        """Returns what was put under a key, if all of it is there."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, value = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest != _digest(path.name, value):
            return None
        with contextlib.suppress(OSError):  # a directory to read only
            os.utime(path)
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keeps bytes under a key, in place of what was there."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            write_atomically(path, [_digest(path.name, value), value], layer=_LAYER)
            self._written += len(value)
            if self._written > self._limit // 16:
                self._written = 0
                self._drop_least_recently_used()

    def _path(self, key: str) -> Path:
        origin = "\0".join([__version__, jax.__version__, jaxlib.version.__version__, _machine()])
        name = hashlib.blake2b(f"{origin}\0{key}".encode(), digest_size=20).hexdigest()
        return self._directory / f"{name}{SUFFIX}"

    def _drop_least_recently_used(self) -> None:
        files: list[tuple[float, int, str]] = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with contextlib.suppress(FileNotFoundError):  # another process dropped it
                        status = entry.stat(follow_symlinks=False)
                        files.append((status.st_mtime, status.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        if total <= self._limit:
            return
        for _, size, path in sorted(files):
            if total <= self._limit * 3 // 4:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


def _digest(name: str, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_DIGEST_BYTES, key=name[:40].encode()).digest()


@functools.cache
def _machine() -> str:
    """Describes the processor, since a home directory may be shared by several machines.

    XLA compiles for the instructions of the processor at hand; another one may lack them.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    names = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return "\n".join([platform.machine(), *(line for line in lines if line.startswith(names))])
