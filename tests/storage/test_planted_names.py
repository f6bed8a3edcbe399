"""Whatever lies at a name that we write or lock: nothing elsewhere is touched or waited for."""

import os
import socket
import stat
import subprocess
import sys

import jax
import pytest
from fits import LINEAR, fit
from interruptions import assert_same_result

import jaxmlp
from jaxmlp.storage.atomic_files import remove_abandoned, write_atomically
from jaxmlp.storage.locks import LOCK_NAME, exclusive
from jaxmlp.storage.rotation import checkpoint_path, checkpoint_paths

ABANDONED = ".jaxmlp-0123456789abcdef.tmp"
CONFIG = jaxmlp.MLPConfig(in_features=2, out_features=1)
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))


def plant_link(path, victim):
    path.symlink_to(victim)


def plant_hard_link(path, victim):
    os.link(victim, path)


def plant_dangling_link(path, victim):
    path.symlink_to(victim.parent / "not there")


def plant_loop(path, victim):
    del victim
    path.symlink_to(path.name)


def plant_fifo(path, victim):
    del victim
    os.mkfifo(path)


def plant_socket(path, victim):
    del victim
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


def plant_directory(path, victim):
    del victim
    path.mkdir()


PLANTED = {
    "a link": plant_link,
    "a hard link": plant_hard_link,
    "a dangling link": plant_dangling_link,
    "a loop": plant_loop,
    "a FIFO": plant_fifo,
    "a socket": plant_socket,
    "a directory": plant_directory,
}


@pytest.fixture(params=PLANTED)
def plant(request):
    return PLANTED[request.param]


@pytest.fixture
def victim(tmp_path):
    """A file outside the directory, of which nothing may change."""
    (tmp_path / "outside").mkdir()
    path = tmp_path / "outside" / "thesis.txt"
    path.write_bytes(b"precious" * 1000)
    path.chmod(0o640)
    os.utime(path, (1e9, 1e9))
    yield path
    assert path.read_bytes() == b"precious" * 1000
    status = path.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1e9)
    assert os.listdir(path.parent) == ["thesis.txt"]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    # Sockets have short paths only.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    return (tmp_path / "run").relative_to(tmp_path)


class TestLock:
    def test_a_planted_name_is_refused_with_the_remedy(self, plant, directory, victim):
        plant(directory / LOCK_NAME, victim)
        message = r"run cannot be locked .*\.jaxmlp\.lock in it must be a file of its own.*Remove"
        with pytest.raises(OSError, match=message), exclusive(directory):
            pass

    def test_fit_does_not_start(self, directory, victim):
        plant_link(directory / LOCK_NAME, victim)
        with pytest.raises(OSError, match="it is a link, and not a regular file"):
            fit(checkpoint=directory, resume=True, **LINEAR)

    def test_an_ordinary_lock_file_of_an_earlier_run_is_used(self, directory):
        (directory / LOCK_NAME).write_text("process 1 on another machine\n")
        with exclusive(directory):
            assert f"process {os.getpid()} " in (directory / LOCK_NAME).read_text()


class TestAbandoned:
    def test_a_planted_name_is_neither_followed_nor_waited_for(self, plant, directory, victim):
        plant(directory / ABANDONED, victim)
        remove_abandoned(directory)
        write_atomically(directory / "a", [b"new"])
        assert (directory / "a").read_bytes() == b"new"

    def test_save_in_another_process_ends(self, directory):
        # In this one, a call that waits could not be timed out.
        os.mkfifo(directory / ABANDONED)
        script = "import sys; from jaxmlp.storage.atomic_files import *; " + (
            "write_atomically(sys.argv[1], [b'new'])"
        )
        subprocess.run(
            [sys.executable, "-c", script, directory / "a"],
            env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(jaxmlp.__file__))},
            timeout=120,
            check=True,
        )


class TestCheckpoints:
    def test_a_name_planted_during_the_run_is_replaced_and_not_followed(
        self, plant, directory, victim
    ):
        path = checkpoint_path(directory, 25)

        def plant_last(state, metrics):
            del state
            if metrics["epoch"] == 3:
                plant(path, victim)

        checkpoint = jaxmlp.Checkpoints(directory=directory, seconds=3600.0)
        if plant is plant_directory:
            with pytest.warns(RuntimeWarning, match="could not be written.*there is none before"):
                fit(checkpoint=checkpoint, on_epoch=plant_last, **LINEAR)
            return
        fit(checkpoint=checkpoint, on_epoch=plant_last, **LINEAR)
        assert stat.S_ISREG(path.lstat().st_mode)
        assert path.lstat().st_nlink == 1

    def test_resuming_passes_over_planted_names_and_keeps_the_good_ones(
        self, plant, directory, victim
    ):
        settings = {"checkpoint": directory, **LINEAR}
        fit(epochs=2, **settings)
        for step in (70, 80, 90):
            plant(checkpoint_path(directory, step), victim)
        with pytest.warns(RuntimeWarning, match="before it is used instead") as warned:
            result = fit(epochs=3, resume=True, **settings)
        assert len(warned) == 3
        assert_same_result(result, fit(epochs=3, **LINEAR))
        for step in (10, 15):
            assert checkpoint_path(directory, step).is_file()

    def test_planted_names_are_not_counted_when_old_ones_are_removed(self, directory, victim):
        checkpoint = jaxmlp.Checkpoints(directory=directory, seconds=0.0, keep=2)
        fit(checkpoint=checkpoint, epochs=2, **LINEAR)
        for step in (70, 80, 90):
            plant_dangling_link(checkpoint_path(directory, step), victim)
        with pytest.warns(RuntimeWarning, match="cannot be read"):
            fit(checkpoint=checkpoint, resume=True, epochs=9, **LINEAR)
        good = [path for path in checkpoint_paths(directory) if path.exists()]
        assert len(good) == 2
        assert good[-1] == checkpoint_path(directory, 45)

    def test_a_checkpoint_that_was_moved_and_linked_is_read(self, directory, tmp_path):
        fit(checkpoint=directory, epochs=2, **LINEAR)
        path = checkpoint_path(directory, 10)
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
        result = fit(checkpoint=directory, resume=True, epochs=3, **LINEAR)
        assert_same_result(result, fit(epochs=3, **LINEAR))


class TestSave:
    def test_a_link_of_the_user_is_followed(self, directory):
        jaxmlp.save(directory / "a", CONFIG, PARAMS)
        (directory / "link").symlink_to("a")
        (directory / "a").write_bytes(b"")
        jaxmlp.save(directory / "link", CONFIG, PARAMS)
        assert (directory / "link").is_symlink()
        assert jaxmlp.load(directory / "a")[0] == CONFIG

    @pytest.mark.parametrize("linked", [False, True])
    @pytest.mark.parametrize(
        ("plant", "kind"),
        [(plant_fifo, "a FIFO"), (plant_socket, "a socket"), (plant_loop, "a link")],
    )
    def test_what_is_no_file_is_refused_and_stays(self, plant, kind, linked, directory):
        path = directory / "a"
        plant(path, None)
        before = path.lstat()
        if linked:
            (directory / "link").symlink_to("a")
        with pytest.raises(OSError, match=f"it is {kind}, and not.*Give the path of a file"):
            jaxmlp.save(directory / ("link" if linked else "a"), CONFIG, PARAMS)
        assert path.lstat() == before

    @pytest.mark.skipif(not os.path.exists("/dev/null"), reason="Windows has no such file")
    def test_a_device_is_refused_and_stays(self, directory):
        (directory / "link").symlink_to("/dev/null")
        with pytest.raises(OSError, match="it is a device, and not a regular file"):
            jaxmlp.save(directory / "link", CONFIG, PARAMS)
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)

    def test_reading_a_device_ends(self):
        with pytest.raises(jaxmlp.CheckpointError, match="it is a device"):
            jaxmlp.load("/dev/zero", CONFIG)
