"""One run has a directory to itself, until its process ends."""

import errno
import os
import signal
import subprocess
import sys

import pytest

import jaxmlp.storage.locks
from jaxmlp.storage.locks import exclusive

HOLD = (
    "import sys, time; from jaxmlp.storage.locks import exclusive\n"
    "with exclusive(sys.argv[1]):\n    print('held', flush=True); time.sleep(600)"
)


def test_a_second_run_is_refused_while_the_first_lasts(tmp_path):
    message = rf"{tmp_path} is in use by process {os.getpid()} on .*; two runs in one directory"
    with exclusive(tmp_path):
        with pytest.raises(BlockingIOError, match=message), exclusive(tmp_path):
            pass
        # The failed attempt has not released it.
        with pytest.raises(BlockingIOError, match="is in use"), exclusive(tmp_path):
            pass


def test_the_directory_is_free_after_the_block_and_after_an_error(tmp_path):
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), exclusive(tmp_path):
            raise ZeroDivisionError
    with exclusive(tmp_path):
        pass


def test_another_process_is_named_and_its_lock_ends_when_it_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout.readline() == b"held\n"
            message = f"in use by process {other.pid} on "
            with pytest.raises(BlockingIOError, match=message), exclusive(tmp_path):
                pass
        finally:
            other.send_signal(signal.SIGKILL)
            other.wait()
    with exclusive(tmp_path):
        assert (tmp_path / ".jaxmlp.lock").read_text().startswith(f"process {os.getpid()} ")


def test_two_directories_do_not_disturb_each_other(tmp_path):
    (tmp_path / "a").mkdir()
    with exclusive(tmp_path), exclusive(tmp_path / "a"):
        pass


def test_a_missing_directory_is_told(tmp_path):
    message = r"none cannot be locked for this run \(No such file.*must be an existing directory"
    with pytest.raises(FileNotFoundError, match=message), exclusive(tmp_path / "none"):
        pass


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def unsupported(_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(jaxmlp.storage.locks, "try_lock", unsupported)
    with (
        pytest.raises(OSError, match=r"its file system must know locks, use a local directory"),
        exclusive(tmp_path),
    ):
        pass
