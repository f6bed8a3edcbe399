"""A file is replaced as a whole or not at all, wherever the write stops."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import jaxmlp.storage.atomic_files
from jaxmlp.storage.atomic_files import FileLayer, remove_abandoned, write_atomically
from jaxmlp.storage.locks import try_lock

OLD, NEW = b"the old content", b"the new content, which is longer"


class Crash(BaseException):
    """The machine stops: nothing of the writing program runs any more."""


def failing_layer(calls, error):
    """A layer whose call number `calls`, counted from 0, raises, as does every later one.

    Writes take one byte at a time, so that every byte is such a call.
    """
    count = 0

    def guarded(function):
        def call(*args):
            nonlocal count
            count += 1
            if count > calls:
                raise error
            return function(*args)

        return call

    write = guarded(lambda descriptor, chunk: os.write(descriptor, chunk[:1]))
    return FileLayer(
        guarded(os.open), write, guarded(os.fsync), guarded(os.replace), guarded(os.unlink)
    )


# open, every byte, fsync, rename, fsync of the directory
CALLS = 1 + len(NEW) + 3


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, [OLD])
    return path


def test_the_file_holds_the_chunks_in_order(path):
    write_atomically(path, [b"a", memoryview(b"bc"), b"", b"d"])
    assert path.read_bytes() == b"abcd"


def test_nothing_else_is_left_in_the_directory(path):
    write_atomically(path, [NEW])
    assert os.listdir(path.parent) == [path.name]


def test_a_crash_at_any_call_leaves_the_old_file_or_the_new_one(path):
    seen = []
    for calls in range(CALLS):
        with pytest.raises(Crash):
            write_atomically(path, [NEW], layer=failing_layer(calls, Crash()))
        seen.append(path.read_bytes())
        write_atomically(path, [OLD])  # and the next write works
        assert os.listdir(path.parent) == [path.name]
    assert seen == [OLD] * (CALLS - 1) + [NEW]


def test_a_write_without_a_crash_makes_just_these_calls(path):
    write_atomically(path, [NEW], layer=failing_layer(CALLS, Crash()))
    assert path.read_bytes() == NEW


def test_a_full_disk_after_any_number_of_bytes_leaves_the_old_file(path):
    for size in range(len(NEW)):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        layer = failing_layer(1 + size, full)._replace(remove=os.unlink)
        with pytest.raises(OSError, match=r"a\.bin could not be written.*The disk is full: free"):
            write_atomically(path, [NEW], layer=layer)
        assert path.read_bytes() == OLD
        assert os.listdir(path.parent) == [path.name]


def test_the_content_is_on_the_disk_before_it_gets_its_name_and_the_name_after(path):
    log = []

    def noted(name, function):
        return lambda *args: [log.append(name), function(*args)][1]

    def sync(descriptor):
        log.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        os.fsync(descriptor)

    layer = FileLayer(
        write=noted("write", os.write), sync=sync, replace=noted("rename", os.replace)
    )
    write_atomically(path, [NEW], layer=layer)
    assert log == ["write", "sync file", "rename", "sync directory"]


def test_an_interrupt_leaves_no_temporary_file(path):
    def interrupted():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, interrupted())
    assert path.read_bytes() == OLD
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.EACCES, PermissionError, "must be writable by you"),
        (errno.EPERM, PermissionError, "must be writable by you"),
        (errno.EROFS, OSError, "The file system is read-only"),
        (errno.EDQUOT, OSError, "Your quota is used up"),
        (errno.EFBIG, OSError, "larger than the file system"),
        (errno.EIO, OSError, "Try again, or write elsewhere"),
    ],
)
def test_an_error_of_the_system_keeps_its_kind_and_tells_what_to_do(path, code, kind, remedy):
    layer = failing_layer(0, OSError(code, os.strerror(code)))
    with pytest.raises(kind, match=f"a file that was there is still whole. .*{remedy}") as caught:
        write_atomically(path, [NEW], layer=layer)
    assert caught.value.errno == code
    assert path.read_bytes() == OLD


def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="Its directory does not exist: make it first"):
        write_atomically(tmp_path / "none" / "a", [NEW])


def test_a_directory_in_the_place_of_the_file_is_told(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError, match="It is a directory; give the path of a file"):
        write_atomically(tmp_path / "a", [NEW])
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_in_the_place_of_the_directory_is_told(path):
    with pytest.raises(NotADirectoryError, match="should be its directory is a file"):
        write_atomically(path / "b", [NEW])


def test_a_private_file_stays_private(path):
    path.chmod(0o600)
    write_atomically(path, [NEW])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_is_followed_on_request(path, tmp_path):
    (tmp_path / "link").symlink_to("a.bin")
    write_atomically(tmp_path / "link", [NEW], follow_links=True)
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == NEW


def test_a_relative_path_is_relative_to_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("a", [NEW])
    assert (tmp_path / "a").read_bytes() == NEW


class TestAbandoned:
    NAME = ".jaxmlp-0123456789abcdef.tmp"

    def test_a_temporary_file_of_a_killed_process_is_removed_by_the_next_write(self, path):
        script = (
            "import os, signal, sys; from jaxmlp.storage.atomic_files import *; "
            "kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
            "write_atomically(sys.argv[1], [b'x' * 100], layer=FileLayer(replace=kill))"
        )
        killed = subprocess.run([sys.executable, "-c", script, str(path)])
        assert killed.returncode == -9
        assert len(os.listdir(path.parent)) == 2
        assert path.read_bytes() == OLD
        write_atomically(path, [NEW])
        assert os.listdir(path.parent) == [path.name]

    def test_a_temporary_file_that_is_being_written_is_left(self, tmp_path):
        with open(tmp_path / self.NAME, "wb") as file:
            assert try_lock(file.fileno())
            remove_abandoned(tmp_path)
            assert os.listdir(tmp_path) == [self.NAME]
        remove_abandoned(tmp_path)
        assert os.listdir(tmp_path) == []

    def test_files_of_others_are_left(self, tmp_path):
        names = {".jaxmlp-1.tmp", "a.tmp", ".jaxmlp-0123456789abcdef.tmp2", ".jaxmlp.lock"}
        for name in names:
            (tmp_path / name).touch()
        remove_abandoned(tmp_path)
        assert set(os.listdir(tmp_path)) == names

    def test_a_link_with_such_a_name_does_no_harm(self, path):
        (path.parent / self.NAME).symlink_to(path)
        remove_abandoned(path.parent)
        assert path.read_bytes() == OLD

    def test_a_writer_whose_file_was_taken_for_abandoned_makes_another(self, path):
        opened = []

        def opened_late(name, flags, mode):
            descriptor = os.open(name, flags, mode)
            opened.append(name)
            if len(opened) == 1:
                remove_abandoned(path.parent)  # before the writer could lock it
            return descriptor

        write_atomically(path, [NEW], layer=FileLayer(open=opened_late))
        assert len(opened) == 2
        assert path.read_bytes() == NEW

    def test_a_file_system_without_locks_is_written_to_and_left_alone(self, path, monkeypatch):
        def unsupported(_):
            raise OSError(errno.ENOLCK, "no locks")

        (path.parent / self.NAME).touch()
        monkeypatch.setattr(jaxmlp.storage.atomic_files, "try_lock", unsupported)
        write_atomically(path, [NEW])
        assert path.read_bytes() == NEW
        assert sorted(os.listdir(path.parent)) == [self.NAME, path.name]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to be nobody")
def test_a_directory_of_someone_else_is_told(tmp_path):
    Path(tmp_path / "mine").mkdir(mode=0o755)
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="must be writable by you: change its mode"):
            write_atomically(tmp_path / "mine" / "a", [NEW])
    finally:
        os.seteuid(0)
