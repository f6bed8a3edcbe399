"""Fixtures of the tests of programs that the estimators keep."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from jaxmlp.sklearn.programs import disk_cache


@pytest.fixture
def opened_anew():
    """As in a new process whose user chose no cache, whatever tests came before."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    disk_cache._open_files.cache_clear()
    yield
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()
    disk_cache._open_files.cache_clear()


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path / "programs"))
    return tmp_path / "programs"
