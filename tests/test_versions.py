"""The jaxlib that computes wrong numbers is refused, warned about, and not the one in use."""

import re
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.checks.versions import MISCOMPILING_JAXLIB, warn_if_miscompiling

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_this_jaxlib_does_not_miscompile_batched_products():
    """JAX issue 39103: under jaxlib 0.10.2 the last row is wrong."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3)).astype(np.float32)
    x = generator.normal(size=(32769, 3)).astype(np.float32)
    squares = jax.jit(jax.vmap(lambda row: jnp.sum((kernel @ row) ** 2)))(x)
    expected = np.sum((x.astype(np.float64) @ kernel.T.astype(np.float64)) ** 2, axis=-1)
    # Sums of three products of float32 numbers: a few roundings of 6e-8.
    np.testing.assert_allclose(squares, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("package", ["jax", "jaxlib"])
def test_the_package_refuses_to_install_with_the_miscompiling_version(package):
    (requirement,) = [line for line in PROJECT["dependencies"] if re.match(rf"{package}\W", line)]
    assert f"!={MISCOMPILING_JAXLIB}" in requirement


def test_extras_do_not_let_the_miscompiling_version_in():
    for requirements in PROJECT["optional-dependencies"].values():
        for line in requirements:
            assert not line.startswith(("jax[", "jaxlib")) or f"!={MISCOMPILING_JAXLIB}" in line


def test_the_miscompiling_version_is_warned_about_with_the_remedy():
    with pytest.warns(RuntimeWarning, match=r"0\.10\.2 silently.*pip install 'jax!=0\.10\.2'"):
        warn_if_miscompiling("0.10.2")


@pytest.mark.parametrize("version", ["0.10.1", "0.10.3", "0.12.0"])
def test_other_versions_are_not_warned_about(version, recwarn):
    warn_if_miscompiling(version)
    assert not recwarn.list
