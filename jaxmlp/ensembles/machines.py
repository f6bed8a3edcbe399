"""Tells what, beside a program and its inputs, decides the numbers that a machine computes."""

import os
import platform
import re
from pathlib import Path

import jax

from ..storage import library_versions

# What decides between instructions; names as Linux gives them on x86 and on ARM.
_INSTRUCTIONS = re.compile(r"(?:avx|amx|fma|f16c|sse4|asimd|sve|bf16|fp16)\w*")


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
