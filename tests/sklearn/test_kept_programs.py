"""The estimators, and nothing else, find the programs that former processes compiled."""

import functools
import inspect
import subprocess
import sys
import threading
import time
import types
import warnings

import jax
import numpy as np
import pytest
from compiling import compile_in_block, compile_something, files
from jax._src import compilation_cache, compilation_cache_interface, config, logging_config

from jaxmlp.sklearn import MLPRegressor
from jaxmlp.sklearn.programs import lending
from jaxmlp.sklearn.programs.disk_cache import programs_on_disk
from jaxmlp.sklearn.programs.program_files import SUFFIX, ProgramFiles, _digest

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("opened_anew")]

NAMES = [name for name in dir(jax.config) if "cache" in name]


def settings():
    return {name: getattr(jax.config, name) for name in NAMES}


def hits_of(function):
    """Counts the programs that JAX got from a cache on the disk."""
    hits = []

    def listen(event, **_):
        hits.extend([event] * event.endswith("cache_hits"))

    jax.monitoring.register_event_listener(listen)
    try:
        function()
    finally:
        jax.monitoring.unregister_event_listener(listen)
    return len(hits)


class TestWhoseProgramsAreKept:
    def test_programs_in_the_block_are_kept_and_found(self, directory):
        compile_in_block()
        assert len(files(directory)) == 1
        assert hits_of(compile_in_block) == 1

    def test_an_estimator_keeps_those_of_fit_and_of_predict(self, directory):
        x = np.random.default_rng(0).normal(size=(30, 17))
        jax.clear_caches()
        model = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=1000).fit(x, x[:, 0])
        fitted = len(files(directory))
        jax.clear_caches()
        model.predict(x)
        assert 0 < fitted < len(files(directory))

    def test_programs_outside_the_block_are_neither_kept_nor_looked_up(self, directory):
        compile_in_block()
        files(directory)[0].unlink()
        assert hits_of(compile_something) == 0
        assert not files(directory)

    def test_programs_of_other_threads_are_not_kept(self, directory):
        with programs_on_disk():
            other = threading.Thread(target=compile_something)
            other.start()
            other.join()
        assert not files(directory)

    def test_settings_of_jax_are_as_before_also_after_an_error(self, directory):
        before = settings()

        def fail():
            compile_something()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), programs_on_disk():
            fail()
        assert files(directory)
        assert settings() == before
        assert lending._lent.cache is None

    def test_a_cache_of_the_user_is_used_instead(self, directory, tmp_path):
        compilation_cache.reset_cache()
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
        try:
            with config.persistent_cache_min_compile_time_secs(0):
                compile_in_block()
        finally:
            jax.config.update("jax_compilation_cache_dir", None)
            compilation_cache.reset_cache()
        assert list((tmp_path / "own").iterdir())
        assert not directory.exists()

    def test_a_user_can_choose_a_cache_later(self, directory, tmp_path):
        compile_in_block()
        self.test_a_cache_of_the_user_is_used_instead(tmp_path / "not here", tmp_path)
        assert len(files(directory)) == 1

    def test_caches_switched_off_in_jax_are_off_here(self, directory):
        with config.enable_compilation_cache(False):
            compile_in_block()
        compilation_cache.reset_cache()  # which remembers that it is off
        assert not directory.exists()


SCRIPT = """
import hashlib, signal, sys, warnings
import jax, numpy as np
from sklearn.exceptions import ConvergenceWarning
from jaxmlp.sklearn import MLPClassifier
warnings.simplefilter("error")
warnings.simplefilter("ignore", ConvergenceWarning)
counts = {"compile_requests_use_cache": 0, "cache_hits": 0}
def listen(event, **_):
    name = event.rsplit("/")[-1]
    counts[name] = counts.get(name, 0) + 1
jax.monitoring.register_event_listener(listen)
x = np.random.default_rng(0).normal(size=(200, 5))
model = MLPClassifier(8, max_iter=3, random_state=0).fit(x, x[:, 0] > 0)
seen = [*model.coefs_, *model.intercepts_, model.predict_proba(x)]
digest = hashlib.sha256(b"".join(array.tobytes() for array in seen)).hexdigest()
print(counts["compile_requests_use_cache"], counts["cache_hits"], digest)
"""

WRITER = """
import sys
from pathlib import Path
from jaxmlp.sklearn.programs.program_files import ProgramFiles
cache = ProgramFiles(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for number in range(20):
        cache.put(str(number), bytes([number]) * 2_000_000)
"""


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """Returns the programs that were asked for, those that were found, and the results."""
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    asked, found, digest = out.split()
    return int(asked), int(found), digest


def test_processes_at_once_the_next_one_and_one_after_damage_compute_the_same(directory):
    at_once = [end(process) for process in [start(SCRIPT) for _ in range(4)]]
    asked, found, digest = end(start(SCRIPT))
    assert found == asked > 0
    assert {result[2] for result in at_once} == {digest}
    whole = {path: path.read_bytes() for path in files(directory)}
    for number, (path, content) in enumerate(whole.items()):
        path.write_bytes(content[: len(content) * (number % 4) // 4])
    assert end(start(SCRIPT)) == (asked, 0, digest)
    for path in whole:  # compiled and written anew
        content = path.read_bytes()
        assert content[:32] == _digest(path.name, content[32:])
    assert {path.suffix for path in directory.iterdir()} == {SUFFIX}


def test_a_process_killed_while_it_writes_leaves_whole_files(tmp_path):
    for wait in (0.01, 0.05):
        process = start(WRITER, tmp_path)
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait)
        process.kill()
        process.communicate()
    cache = ProgramFiles(tmp_path)
    found = [cache.get(str(number)) for number in range(20)]
    assert [value for value in found if value is not None]
    assert all(value in (None, bytes([number]) * 2_000_000) for number, value in enumerate(found))
    cache.put("another", b"value")  # which removes what was left half-written
    assert {path.suffix for path in tmp_path.iterdir()} == {SUFFIX}
    assert len(files(tmp_path)) == 1 + sum(value is not None for value in found)


class TestOtherJax:
    """A JAX whose inner parts are not those expected here."""

    @pytest.fixture(autouse=True)
    def _joined_anew(self, monkeypatch):
        for name in ("_get_cache", "get_executable_and_time"):
            theirs = getattr(compilation_cache, name)
            monkeypatch.setattr(compilation_cache, name, getattr(theirs, "__wrapped__", theirs))
        join = functools.cache(lending._join_jax.__wrapped__)
        monkeypatch.setattr(lending, "_join_jax", join)

    def test_threads_may_join_and_fit_at_once(self, directory):
        errors = []

        def fit():
            try:
                for _ in range(5):
                    compile_in_block()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=fit) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join(timeout=60) for thread in threads]
        assert not errors
        assert len(files(directory)) == 1
        names = ("_get_cache", "get_executable_and_time")
        for way in (getattr(compilation_cache, name) for name in names):
            assert getattr(way, "__wrapped__", way) is inspect.unwrap(way)  # joined once

    @pytest.mark.parametrize(
        ("where", "name"),
        [
            (compilation_cache, "_get_cache"),
            (config, "persistent_cache_min_compile_time_secs"),
            (compilation_cache_interface, "CacheInterface"),
        ],
    )
    def test_without_its_inner_parts_there_is_no_cache_and_no_error(
        self, where, name, directory, monkeypatch
    ):
        with monkeypatch.context() as patch:
            patch.delattr(where, name)
            with warnings.catch_warnings(action="error"), programs_on_disk():
                assert lending._join_jax() is None
        assert not files(directory)

    def test_another_interface_of_caches_is_left_alone(self, monkeypatch):
        class Other:
            def get(self, key, devices): ...
            def put(self, key, value): ...

        monkeypatch.setattr(compilation_cache_interface, "CacheInterface", Other)
        assert lending._join_jax() is None

    @pytest.mark.parametrize(("chosen", "restored"), [(None, 1), ("ERROR", 2), ("NOTSET", 1)])
    def test_xla_is_silent_only_while_a_lent_program_is_loaded(self, chosen, restored, monkeypatch):
        levels = []
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
        monkeypatch.setattr(logging_config.utils, "absl_set_min_log_level", levels.append)
        jax_settings = types.SimpleNamespace(jax_logging_level=chosen)
        monkeypatch.setattr(lending, "jax", types.SimpleNamespace(config=jax_settings))
        theirs = types.SimpleNamespace(get_executable_and_time=lambda key: (key, levels[:]))
        lending._quieten(theirs)
        assert theirs.get_executable_and_time("a") == ("a", [])
        monkeypatch.setattr(lending._lent, "cache", object())
        assert theirs.get_executable_and_time(key="a") == ("a", [3])
        assert levels == [3, restored]


@pytest.mark.usefixtures("directory")
def test_a_call_that_compiles_nothing_pays_microseconds():
    compile_in_block()
    times = []
    for _ in range(200):
        begin = time.perf_counter()
        with programs_on_disk():
            pass
        times.append(time.perf_counter() - begin)
    assert np.median(times) < 2e-4
