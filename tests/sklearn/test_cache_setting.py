"""Where the estimators keep compiled programs, and where they do not."""

import os
import stat
import types
from pathlib import Path

import numpy as np
import pytest
from compiling import compile_in_block, files

from jaxmlp.sklearn import MLPRegressor
from jaxmlp.sklearn.programs import disk_cache
from jaxmlp.sklearn.programs.disk_cache import VARIABLE

pytestmark = pytest.mark.usefixtures("opened_anew")
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")


class TestSetting:
    @pytest.mark.parametrize("off", ["off", "OFF", "0"])
    def test_off(self, off, tmp_path, monkeypatch):
        monkeypatch.setenv(VARIABLE, off)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        compile_in_block()
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("platform", "variable", "path"),
        [
            ("linux", "XDG_CACHE_HOME", ""),
            ("linux", "HOME", ".cache"),
            ("darwin", "HOME", "Library/Caches"),
            ("win32", "LOCALAPPDATA", ""),
        ],
    )
    def test_by_default_they_are_in_the_user_s_caches(
        self, platform, variable, path, tmp_path, monkeypatch
    ):
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", VARIABLE):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, str(tmp_path))
        monkeypatch.setattr(disk_cache, "sys", types.SimpleNamespace(platform=platform))
        assert disk_cache._cache_home() == tmp_path / path
        compile_in_block()
        assert files(tmp_path / path / "jaxmlp" / "sklearn")

    def test_a_relative_xdg_cache_home_is_passed_over(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", "caches")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr(disk_cache, "sys", types.SimpleNamespace(platform="linux"))
        assert disk_cache._cache_home() == tmp_path / ".cache"

    def test_a_tilde_is_the_home_directory(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        monkeypatch.setenv(VARIABLE, "~/programs")
        compile_in_block()
        assert files(tmp_path / "programs")

    def test_a_relative_path_is_refused_once(self, tmp_path, monkeypatch):
        monkeypatch.setenv(VARIABLE, "false")
        monkeypatch.chdir(tmp_path)
        with pytest.warns(RuntimeWarning, match=f"{VARIABLE} must be 'off' or a full path, got 'f"):
            compile_in_block()
        compile_in_block()
        assert not list(tmp_path.iterdir())

    def test_a_directory_that_was_asked_for_and_cannot_be_made_is_told(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "programs"))
        with pytest.warns(RuntimeWarning, match=r"keep no compiled .*file.* may name another dir"):
            compile_in_block()

    @pytest.mark.parametrize("home", ["a file", "none"])
    def test_without_a_place_by_default_there_is_no_cache_and_no_word(
        self, home, tmp_path, monkeypatch
    ):
        def no_home():
            raise RuntimeError("Could not determine home directory.")

        (tmp_path / "file").touch()
        monkeypatch.delenv(VARIABLE)
        monkeypatch.setattr(disk_cache, "_cache_home", lambda: tmp_path / "file")
        if home == "none":
            monkeypatch.setattr(disk_cache, "_cache_home", no_home)
        compile_in_block()


@posix
@pytest.mark.bad_input
@pytest.mark.filterwarnings("ignore:lbfgs failed:Warning")
class TestPrivacy:
    def test_a_new_directory_is_private_whatever_the_umask(self, directory):
        before = os.umask(0)
        try:
            compile_in_block()
        finally:
            os.umask(before)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700

    def refuses(self, directory, match):
        with pytest.warns(RuntimeWarning, match=match) as told:
            MLPRegressor(max_iter=1, solver="lbfgs").fit(np.eye(3), np.arange(3.0)).predict(
                np.eye(3)
            )
        mine = [warning for warning in told if "keep no compiled" in str(warning.message)]
        assert [Path(warning.filename) for warning in mine] == [Path(__file__)]
        assert not files(directory)

    @pytest.mark.parametrize("mode", [0o755, 0o750, 0o704, 0o710, 0o770, 0o702, 0o1777])
    def test_a_directory_that_others_may_enter_is_refused_once(self, directory, mode):
        directory.mkdir()
        directory.chmod(mode)
        self.refuses(directory, rf"readable and writable by you alone.*{mode:04o}.*chmod 700 it\.")
        assert stat.S_IMODE(directory.stat().st_mode) == mode

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to give away")
    def test_a_directory_of_someone_else_is_refused(self, directory):
        directory.mkdir(mode=0o700)
        os.chown(directory, 1234, 1234)
        self.refuses(directory, "must belong to you .* its owner is user 1234 .*'off'")

    def test_a_link_is_refused(self, directory, tmp_path):
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "elsewhere")
        self.refuses(tmp_path / "elsewhere", "must be a directory, but it is a link")

    def test_a_directory_that_others_could_replace_is_refused(self, directory):
        directory.mkdir(mode=0o700)
        directory.parent.chmod(0o777)
        self.refuses(directory, r"another directory in the place of .*\(chmod go-w\)")
