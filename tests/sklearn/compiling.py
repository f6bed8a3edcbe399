"""What tests of programs that the estimators keep compile, and find."""

import jax
import numpy as np

from jaxmlp.sklearn.programs.disk_cache import programs_on_disk
from jaxmlp.sklearn.programs.program_files import SUFFIX


def files(directory):
    return sorted(directory.glob(f"*{SUFFIX}")) if directory.exists() else []


def compile_something():
    """A program that JAX does not have in memory; all are the same for a cache on the disk."""
    jax.block_until_ready(jax.jit(lambda a: a * 3 + 1)(np.ones(3, np.float32)))


def compile_in_block():
    with programs_on_disk():
        compile_something()
