"""Tells how much memory is left: on an accelerator, in a container, or on the machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that the default device can still give, or `None` where it does not tell.

    Args:
        root: Where Linux's `proc` and `sys` are.
    """
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    told = [*_of_containers(root), *_of_linux(root)]
    if not told and hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(min(told), 0) if told else None


def _of_linux(root: Path) -> Iterator[int]:
    """What Linux can give without swapping, caches that it would drop included."""
    try:
        yield _read_table(root / "proc/meminfo", ":")["MemAvailable"] * 1024
    except (OSError, KeyError, ValueError):
        return


def _of_containers(root: Path) -> Iterator[int]:
    """What each control group around this process has left; Linux's cgroup-v2.rst, Memory."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        group = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    mounted = root / "sys/fs/cgroup"
    inner = mounted / group.strip("/")
    for folder in (inner, *inner.parents):
        if not folder.is_relative_to(mounted):
            return
        try:
            limit = int((folder / "memory.max").read_text())
            used = int((folder / "memory.current").read_text())
            caches = _read_table(folder / "memory.stat", " ")["inactive_file"]
        except (OSError, KeyError, ValueError):
            continue  # "max", or the outermost group, which has none
        yield limit - used + caches


def _read_table(path: Path, separator: str) -> dict[str, int]:
    lines = (line.split(separator, 1) for line in path.read_text().splitlines())
    return {name: int(value.split()[0]) for name, value in lines}
