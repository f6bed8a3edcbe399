"""Says what a measurement ran on: processor, cores, system, and versions."""

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "jaxmlp",
    "jax",
    "jaxlib",
    "optax",
    "numpy",
    "torch",
    "scikit-learn",
    "keras",
    "flax",
    "equinox",
    "onnxruntime",
)


def describe_machine() -> str:
    """Returns two lines of Markdown."""
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return f"{_processor()}, {os.cpu_count()} cores, {platform.platform()}\n\n{', '.join(versions)}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
