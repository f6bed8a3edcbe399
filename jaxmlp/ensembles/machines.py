"""Tells what, beside a program and its inputs, decides the numbers that a machine computes."""

import os
import platform
import re
import socket
import warnings
from pathlib import Path

import jax

from ..storage import library_versions

# What decides between instructions; names as Linux gives them on x86 and on ARM.
_INSTRUCTIONS = re.compile(r"(?:avx|amx|fma|f16c|sse4|asimd|sve|bf16|fp16)\w*")


class Trainers:
    """Who has trained members of a sweep, and on what machines: the first one of each kind.

    `known` holds their names, and what `describe_machine` told there.
    """

    def __init__(self) -> None:
        self.known: list[tuple[str, dict[str, str]]] = []

    def meet(self, name: str, machine: dict[str, str]) -> None:
        """Remembers who trained members, and warns if it may compute other bits than the first."""
        if machine in [other for _, other in self.known]:
            return
        self.known.append((name, machine))
        first, before = self.known[0]
        differing = [
            f"{what} {before.get(what)!r} and {machine.get(what)!r}"
            for what in before | machine
            if before.get(what) != machine.get(what)
        ]
        if not differing:
            return
        warnings.warn(
            f"Workers {first} and {name} differ, so that members may differ in their last bits by "
            f"who trained them: {'; '.join(differing)}. Use workers of one kind, or pin "
            "instructions that all have, as XLA_FLAGS=--xla_cpu_max_isa=AVX2.",
            RuntimeWarning,
            stacklevel=8,
        )


def name_process() -> str:
    """Returns what this process is called: host and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def list_versions() -> dict[str, str]:
    """Returns the versions that a worker must have the same, by name."""
    return {"python": ".".join(platform.python_version_tuple()[:2]), **library_versions()}


def describe_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Returns what two machines must have the same to compute the same bits, by name.

    The number of cores is not among it: it changed no bits of products of any size that was tried.

    Args:
        cpuinfo: Where Linux tells the instructions of the CPU.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    config = jax.config
    return {
        "XLA_FLAGS": flags,
        "device": jax.local_devices()[0].device_kind,
        "CPU instruction set": _instruction_set(flags, cpuinfo),
        "jax_threefry_partitionable": str(getattr(config, "jax_threefry_partitionable", None)),
        "jax_default_prng_impl": str(getattr(config, "jax_default_prng_impl", None)),
    }


def _instruction_set(flags: str, cpuinfo: Path) -> str:
    if pinned := re.findall(r"--xla_cpu_max_isa=(\w+)", flags):
        return f"at most {pinned[-1]}"
    try:
        told = re.search(r"^(?:flags|Features)\s*:(.*)", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        told = None
    names = _INSTRUCTIONS.findall(told[1]) if told else [platform.processor()]
    return " ".join([platform.machine(), *sorted(set(names))])
