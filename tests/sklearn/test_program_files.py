"""Programs on the disk: whole or missing, of this version and machine, and not too many."""

import os
import sys

import jax
import pytest

from jaxmlp.sklearn.programs import program_files
from jaxmlp.sklearn.programs.program_files import SUFFIX, ProgramFiles


class TestFiles:
    @pytest.fixture
    def cache(self, tmp_path):
        return ProgramFiles(tmp_path, limit=10_000)

    def test_what_was_put_last_is_given(self, cache, tmp_path):
        assert cache.get("a") is None
        for value in (b"first", b"", b"second"):
            cache.put("a", value)
            assert cache.get("a") == value
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("part", ["__version__", "jax", "jaxlib", "_machine"])
    def test_other_versions_and_processors_have_other_programs(self, cache, part, monkeypatch):
        cache.put("a", b"value")
        if part in ("jax", "jaxlib"):
            module = jax if part == "jax" else program_files.jaxlib.version
            monkeypatch.setattr(module, "__version__", "9.9")
        else:
            monkeypatch.setattr(
                program_files, part, "9.9" if part == "__version__" else lambda: "another"
            )
        assert cache.get("a") is None

    def test_the_machine_is_told_by_what_its_processor_can_do(self):
        told = program_files._machine()
        assert len(told) > 5
        if sys.platform == "linux":
            assert "flags" in told or "Features" in told
            assert "MHz" not in told

    def test_a_file_cut_off_anywhere_or_altered_counts_as_missing(self, cache, tmp_path):
        cache.put("a", b"value" * 5)
        (path,) = tmp_path.iterdir()
        whole = path.read_bytes()
        for broken in [
            *(whole[:count] for count in range(len(whole))),
            whole + b"\0",
            *(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))),
        ]:
            path.write_bytes(broken)
            assert cache.get("a") is None
        cache.put("a", b"new")
        assert cache.get("a") == b"new"

    def test_a_file_under_the_name_of_another_counts_as_missing(self, cache, tmp_path):
        cache.put("a", b"value")
        (path,) = tmp_path.iterdir()
        cache.put("b", b"other")
        path.rename(next(other for other in tmp_path.iterdir() if other != path))
        assert cache.get("b") is None

    def test_a_directory_that_went_away_or_is_full_is_no_error(self, tmp_path, monkeypatch):
        gone = ProgramFiles(tmp_path / "gone")
        gone.put("a", b"value")
        assert gone.get("a") is None

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(program_files, "write_atomically", full)
        ProgramFiles(tmp_path).put("a", b"value")
        assert not list(tmp_path.iterdir())

    def test_the_least_recently_used_are_dropped_and_nothing_else(self, cache, tmp_path):
        (tmp_path / "theirs").write_bytes(bytes(50_000))
        for number in range(12):
            cache.put(str(number), bytes(900))
            assert cache.get("0")
            for path in tmp_path.glob(f"*{SUFFIX}"):  # a while later
                status = path.stat()
                os.utime(path, (status.st_atime - 10, status.st_mtime - 10))
        kept = [number for number in range(12) if cache.get(str(number))]
        assert kept == [0, *range(12 - len(kept) + 1, 12)]
        assert 7 <= len(kept) <= 10
        assert (tmp_path / "theirs").exists()

    def test_the_size_is_measured_only_now_and_then(self, cache, monkeypatch):
        measured = []
        monkeypatch.setattr(cache, "_drop_least_recently_used", lambda: measured.append(1))
        for number in range(100):
            cache.put(str(number), bytes(10))
        assert 1 < len(measured) <= 3
