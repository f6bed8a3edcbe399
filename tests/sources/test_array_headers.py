"""Tests that headers of `.npy` files which lie, and what is no regular file, are refused."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_files import KINDS

from jaxmlp.sources import npy


def write_npy(path, shape, *, dtype="<f4", content=b"", column_order=False, version=1):
    header = f"{{'descr': {dtype!r}, 'fortran_order': {column_order}, 'shape': {shape}, }}\n"
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + content)
    return path


class TestHeaders:
    @pytest.mark.parametrize(
        "shape",
        [(2**62, 2), (2**32, 2**32), (3, 2**63), (2**40, 2**40, 0, 2**3), (4, 2), (2**200,)],
        ids=str,
    )
    def test_more_than_the_file_holds_is_refused(self, shape, tmp_path):
        path = write_npy(tmp_path / "x.npy", shape, content=bytes(24))
        with pytest.raises(
            ValueError, match=r"x (is cut short: .*x\.npy has|must have one row per)"
        ):
            npy(path)

    @pytest.mark.parametrize("shape", [(-1, 4), (3, -2), (-(2**70),)], ids=str)
    def test_negative_sizes_are_refused(self, shape, tmp_path):
        path = write_npy(tmp_path / "x.npy", shape, content=bytes(24))
        with pytest.raises(
            ValueError, match=r"x must be a \.npy file; .*x\.npy is none: its shape"
        ):
            npy(path)

    @pytest.mark.parametrize(
        "shape", ["(2,", "((((((", "(" * 5000, "-" * 5000 + "1", "None", "'a'"]
    )
    def test_shapes_that_are_none_are_refused(self, shape, tmp_path):
        path = write_npy(tmp_path / "x.npy", shape, content=bytes(24))
        with pytest.raises(ValueError, match=r"x must be a \.npy file; .*x\.npy is none: "):
            npy(path)

    @pytest.mark.parametrize("dtype", ["nope", "<f3", "|O8x", "", "<f4,<f4,"])
    def test_types_that_are_none_are_refused(self, dtype, tmp_path):
        path = write_npy(tmp_path / "x.npy", (2,), dtype=dtype, content=bytes(24))
        with pytest.raises((TypeError, ValueError), match=r"x\.npy (is none: |must hold bool)"):
            npy(path)

    @given(content=st.binary(max_size=200), version=st.integers(0, 4))
    @settings(max_examples=100, deadline=None)
    def test_any_bytes_give_a_clear_error(self, content, version, tmp_path_factory):
        path = tmp_path_factory.mktemp("npy") / "x.npy"
        path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + content)
        with pytest.raises(ValueError, match=r"x must be a \.npy file; .*x\.npy is none: "):
            npy(path)

    @pytest.mark.parametrize("version", [2, 3])
    def test_later_versions_are_read(self, version, tmp_path):
        content = np.arange(6, dtype="<f4").tobytes()
        path = write_npy(tmp_path / "x.npy", (3, 2), content=content, version=version)
        assert npy(path).read(np.array([2])).x.tolist() == [[4, 5]]


def in_little_memory(script, *arguments):
    """Runs a script that may take 1 GiB beyond what importing takes."""
    head = (
        "import resource, sys, numpy as np; from jaxmlp.sources import npy; import jax; "
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize(); "
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30)); "
    )
    command = [sys.executable, "-c", head + script, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


class TestSparseFiles:
    def test_rows_of_a_huge_file_take_only_their_own_memory(self, tmp_path):
        path = write_npy(tmp_path / "x.npy", (2**32, 128))
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size + 2**41)
        script = (
            "source = npy(sys.argv[1]); source.fingerprint(); "
            "print(len(source), source.read(np.array([2**32 - 1, 5])).x.sum())"
        )
        assert in_little_memory(script, path) == f"{2**32} 0.0"

    def test_a_header_of_many_gigabytes_is_not_read(self, tmp_path):
        path = tmp_path / "x.npy"
        path.write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff")
        os.truncate(path, 2**33)
        script = "\ntry: npy(sys.argv[1])\nexcept ValueError as e: print(e)"
        assert "its header would take 4294967295 bytes" in in_little_memory(script, path)


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize("open_source", [npy, *(open_ for _, open_ in KINDS.values())])
class TestOtherFiles:
    def settings(self, open_source):
        return {} if open_source is npy else {"y": None}

    @pytest.mark.parametrize("make", [make_pipe, make_socket])
    def test_a_pipe_or_socket_is_refused_and_not_waited_for(
        self, open_source, make, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        make("odd")
        os.symlink("odd", "link")
        for path in ("odd", "link"):
            with pytest.raises(
                ValueError, match=rf"must name files of data; {path} is a pipe, a s"
            ):
                open_source(path, **self.settings(open_source))

    def test_a_device_is_refused(self, open_source):
        with pytest.raises(
            ValueError, match=r"must name files of data; /dev/zero is a pipe, a soc"
        ):
            open_source("/dev/zero", **self.settings(open_source))

    def test_a_link_without_a_file_is_refused(self, open_source, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "gone")
        with pytest.raises(FileNotFoundError, match=r"there is no file .*link"):
            open_source(tmp_path / "link", **self.settings(open_source))


def test_a_folder_is_no_array(tmp_path):
    with pytest.raises(ValueError, match=r"x must name files of data; .* is a folder"):
        npy(tmp_path)


def test_links_to_files_are_files(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3))
    (tmp_path / "link").symlink_to(tmp_path / "x.npy")
    assert npy(tmp_path / "link").read(np.array([2])).x == 2


def test_the_limit_of_memory_is_one():
    """Without it the tests of sparse files would say nothing."""
    with pytest.raises(AssertionError, match="MemoryError"):
        in_little_memory("np.ones(2**28)")
