"""Runs every test under strict dtype promotion and on two CPU devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def x64():
    """Switches 64-bit types on for one test, for comparison with the float64 oracle."""
    with jax.enable_x64(True):
        yield
