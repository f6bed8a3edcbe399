"""Tests of the compilation cache: private, complete, and read by the next process."""

import grp
import os
import pwd
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


def make_directory(path, mode=0o700):
    path.mkdir()
    path.chmod(mode)
    return path


@posix
class TestWays:
    def test_a_link_of_ones_own_is_followed_and_the_directory_returned(self, tmp_path):
        (tmp_path / "link").symlink_to(make_directory(tmp_path / "programs"))
        used = jaxmlp.enable_compilation_cache(tmp_path / "link")
        assert used == tmp_path / "programs"
        assert jax.config.jax_compilation_cache_dir == str(used)

    def test_a_link_to_what_does_not_exist_yet_is_followed(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "programs")
        assert jaxmlp.enable_compilation_cache(tmp_path / "link") == tmp_path / "programs"
        assert mode_of(tmp_path / "programs") == 0o700

    @pytest.mark.bad_input
    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to give away")
    @pytest.mark.parametrize("way", ["link", "link/inner", "second", "above/../second"])
    def test_a_link_of_someone_else_is_refused_wherever_it_is_on_the_way(self, tmp_path, way):
        make_directory(make_directory(tmp_path / "own") / "inner")
        make_directory(tmp_path / "above")
        (tmp_path / "link").symlink_to("own")
        (tmp_path / "second").symlink_to("link")
        os.lchown(tmp_path / "link", 1234, 1234)
        with pytest.raises(PermissionError, match=r"/link is a link of user 1234\. Give the direc"):
            jaxmlp.enable_compilation_cache(tmp_path / way)

    @pytest.mark.bad_input
    @pytest.mark.parametrize("mode", [0o777, 0o707, 0o703])
    def test_a_directory_that_others_could_replace_is_refused(self, tmp_path, mode):
        parent = make_directory(tmp_path / "open", mode)
        directory = make_directory(make_directory(parent / "between") / "programs")
        before = jax.config.jax_compilation_cache_dir
        message = rf"in the place of {directory}; but {parent} above it .* mode {mode:04o}.*go-w"
        with pytest.raises(PermissionError, match=message):
            jaxmlp.enable_compilation_cache(directory)
        assert jax.config.jax_compilation_cache_dir == before

    def test_a_sticky_directory_above_is_no_danger(self, tmp_path):
        directory = make_directory(make_directory(tmp_path / "shared", 0o1777) / "programs")
        assert jaxmlp.enable_compilation_cache(directory) == directory

    @pytest.mark.bad_input
    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to give away")
    def test_a_directory_in_that_of_someone_else_is_refused(self, tmp_path):
        directory = make_directory(make_directory(tmp_path / "theirs", 0o755) / "programs")
        os.chown(tmp_path / "theirs", 1234, 1234)
        with pytest.raises(PermissionError, match="theirs above it belongs to user 1234"):
            jaxmlp.enable_compilation_cache(directory)

    @pytest.mark.parametrize("members", [[], ["me"], ["me", "other"]])
    def test_a_group_may_write_above_only_if_it_is_ones_own_alone(
        self, tmp_path, members, monkeypatch
    ):
        directory = make_directory(make_directory(tmp_path / "above", 0o770) / "programs")
        status = directory.stat()
        user = pwd.struct_passwd(("me", "x", status.st_uid, status.st_gid, "", "/", "/bin/sh"))
        group = grp.struct_group(("me", "x", status.st_gid, members))
        monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
        monkeypatch.setattr(grp, "getgrgid", lambda _: group)
        if "other" in members:
            with pytest.raises(PermissionError, match="above it belongs to user"):
                jaxmlp.enable_compilation_cache(directory)
        else:
            assert jaxmlp.enable_compilation_cache(directory) == directory

    def test_new_directories_above_are_private_too(self, tmp_path):
        before = os.umask(0)
        try:
            jaxmlp.enable_compilation_cache(tmp_path / "a" / "b" / "programs")
        finally:
            os.umask(before)
        assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/programs")] == [0o700] * 3

    @pytest.mark.bad_input
    def test_a_loop_of_links_is_told(self, tmp_path):
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises((OSError, RuntimeError), match="loop"):
            jaxmlp.enable_compilation_cache(tmp_path / "loop")

    @pytest.mark.bad_input
    def test_a_file_in_the_place_of_the_directory_is_told(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            jaxmlp.enable_compilation_cache(tmp_path / "file")


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
