"""Tests of the compilation cache: private, complete, and read by the next process."""

import os
import stat
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

import jaxmlp

NAMES = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def _restored_settings():
    before = {name: getattr(jax.config, name) for name in NAMES}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def mode_of(directory):
    return stat.S_IMODE(directory.stat().st_mode)


def entries(directory):
    return sorted(path.name for path in directory.iterdir() if path.name.endswith("-cache"))


def compile_something(number):
    """A program of its own for every number, that compiles in milliseconds."""
    jax.block_until_ready(jax.jit(lambda a: a * number + 1)(jnp.ones(3)))


posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_directory_is_private(tmp_path, umask):
    before = os.umask(umask)
    try:
        directory = jaxmlp.enable_compilation_cache(tmp_path / "new")
    finally:
        os.umask(before)
    assert mode_of(directory) == 0o700


@posix
@pytest.mark.bad_input
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(
        PermissionError, match=rf"writable by you alone.*mode {mode:04o}.*chmod 700"
    ):
        jaxmlp.enable_compilation_cache(tmp_path)


@posix
@pytest.mark.bad_input
def test_a_refused_directory_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    before = jax.config.jax_compilation_cache_dir
    with pytest.raises(PermissionError):
        jaxmlp.enable_compilation_cache(tmp_path)
    assert jax.config.jax_compilation_cache_dir == before


@posix
@pytest.mark.bad_input
def test_a_directory_of_someone_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match=f"its owner is user {tmp_path.stat().st_uid}"):
        jaxmlp.enable_compilation_cache(tmp_path)


@posix
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750])
def test_a_directory_that_only_others_can_read_is_taken_as_it_is(tmp_path, mode):
    tmp_path.chmod(mode)
    assert mode_of(jaxmlp.enable_compilation_cache(tmp_path)) == mode


def test_the_default_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jaxmlp.enable_compilation_cache() == tmp_path / "jaxmlp"


def test_without_xdg_the_default_is_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert jaxmlp.enable_compilation_cache() == tmp_path / ".cache" / "jaxmlp"


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert jaxmlp.enable_compilation_cache("~/programs") == tmp_path / "programs"


def test_small_programs_are_kept(tmp_path):
    compile_something(1)
    jaxmlp.enable_compilation_cache(tmp_path)
    compile_something(2)
    assert entries(tmp_path)


def test_another_directory_can_be_chosen_later(tmp_path):
    for name, number in (("first", 3), ("second", 4)):
        directory = jaxmlp.enable_compilation_cache(tmp_path / name)
        compile_something(number)
        assert entries(directory)


# Counts the programs that were read from the cache, and not compiled.
SCRIPT = """
import sys
sys.path.insert(0, "tests")
import jax, jaxmlp
hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None
)
jaxmlp.enable_compilation_cache(sys.argv[1])
from fits import LINEAR, fit
result = fit(**LINEAR)
print(len(hits), float(result.history["loss"][-1]).hex())
"""


def test_the_next_process_compiles_nothing_anew(tmp_path):
    directory = tmp_path / "programs"
    seen = []
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(directory)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stderr
        hits, loss = ran.stdout.split()
        seen.append((int(hits), loss, entries(directory)))
    (first_hits, first_loss, written), (hits, loss, written_later) = seen
    assert written == written_later
    assert any("run_epochs" in name for name in written)
    assert first_hits < len(written) <= hits
    assert loss == first_loss
