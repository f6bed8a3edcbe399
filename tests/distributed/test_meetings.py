"""Processes that share a run hear each other, in time or not at all; threads stand for them."""

import time

import jax
import numpy as np
import pytest
from coordination_service import run_threads

from jaxmlp import CheckpointError
from jaxmlp.storage import processes
from jaxmlp.storage.processes import ALONE, Processes, processes_of


@pytest.fixture
def _short(monkeypatch):
    monkeypatch.setattr(processes, "_limits", {"meeting": 0.3})
    monkeypatch.setattr(processes, "_SLICE", 0.05)


def fail(error):
    def say():
        raise error

    return say


class TestGather:
    def test_all_get_what_each_gave(self, monkeypatch):
        same = [lambda p, n=n: p.gather("x", f"of {n}") for n in range(4)]
        _, outcomes = run_threads(monkeypatch, same)
        assert outcomes == [{n: f"of {n}" for n in range(4)}] * 4

    def test_an_empty_text_arrives(self, monkeypatch):
        assert (
            run_threads(monkeypatch, [lambda p: p.gather("x", "")] * 2)[1] == [{0: "", 1: ""}] * 2
        )

    @pytest.mark.usefixtures("_short")
    def test_those_that_do_not_come_are_named_in_time(self, monkeypatch):
        begin = time.monotonic()
        come = [lambda p: p.gather("the end", "")] * 2
        _, outcomes = run_threads(monkeypatch, [*come, lambda _: None, lambda _: None])
        for number in range(2):
            assert isinstance(outcomes[number], TimeoutError)
            message = rf"Process {number} has waited 0.3 s for the end, and these .* come: 2, 3"
            with pytest.raises(TimeoutError, match=message):
                raise outcomes[number]
        assert time.monotonic() - begin < 5

    @pytest.mark.usefixtures("_short")
    def test_one_that_has_failed_is_named_with_its_error(self, monkeypatch):
        waiting, failing = (
            lambda p: p.gather("the end", ""),
            lambda _: processes.report_failure("ValueError: boom"),
        )
        error = run_threads(monkeypatch, [waiting, failing])[1][0]
        with pytest.raises(RuntimeError, match="the end: process 1 has failed: ValueError: boom"):
            raise error


class TestFirstSays:
    def test_the_first_alone_is_asked(self, monkeypatch):
        asked = []
        functions = [lambda p, n=n: p.first_says("x", lambda: asked.append(n) or n) for n in (0, 1)]
        assert run_threads(monkeypatch, functions)[1] == [0, 0]
        assert asked == [0]

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (FileExistsError("it is there"), FileExistsError),
            (BlockingIOError(11, "in use"), BlockingIOError),
            (CheckpointError("damaged"), CheckpointError),
            (type("OwnError", (Exception,), {})("mine"), RuntimeError),
            (UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), RuntimeError),
        ],
    )
    def test_its_error_is_raised_in_all(self, monkeypatch, error, kind):
        functions = [lambda p: p.first_says("x", fail(error))] * 2
        first, second = run_threads(monkeypatch, functions)[1]
        assert first is error
        assert type(second) is kind
        assert str(error) in str(second)
        assert second.__notes__ == [
            "This is the error of process 0, which ends the run in all processes."
        ]

    def test_the_file_of_its_error_is_named_in_all(self, monkeypatch, tmp_path):
        functions = [lambda p: p.first_says("x", (tmp_path / "gone").read_text)] * 2
        for outcome in run_threads(monkeypatch, functions)[1]:
            with pytest.raises(FileNotFoundError, match=r"No such file.*gone"):
                raise outcome

    @pytest.mark.usefixtures("_short")
    def test_a_first_that_says_nothing_is_named(self, monkeypatch):
        functions = [lambda _: None, lambda p: p.first_says("a call", lambda: 1)]
        with pytest.raises(TimeoutError, match=r"for a call, and these processes .* come: 0"):
            raise run_threads(monkeypatch, functions)[1][1]

    def test_what_was_said_does_not_pile_up(self, monkeypatch):
        monkeypatch.setattr(processes, "_MOST_UNREAD", 4)
        functions = [lambda p: [p.first_says("x", lambda i=i: i) for i in range(50)]] * 2
        service, outcomes = run_threads(monkeypatch, functions)
        assert outcomes == [list(range(50))] * 2
        assert len(service.texts) < 10


class TestTogether:
    def test_all_get_what_each_returns(self, monkeypatch):
        functions = [lambda p, n=n: p.together("x", lambda: n) for n in range(2)]
        assert run_threads(monkeypatch, functions)[1] == [{0: 0, 1: 1}] * 2

    def test_an_error_in_one_is_raised_in_all(self, monkeypatch):
        functions = [
            lambda p: p.together("x", lambda: 1),
            lambda p: p.together("x", fail(OSError(2, "no such file"))),
        ]
        for outcome in run_threads(monkeypatch, functions)[1]:
            with pytest.raises(FileNotFoundError, match="no such file"):
                raise outcome


def test_a_question_reaches_the_first(monkeypatch):
    def ask(p):
        p.ask_first("stop")
        p.gather("both", "")

    def look(p):
        before = p.is_asked("stop never")
        p.gather("both", "")
        return before, p.is_asked("stop")

    assert run_threads(monkeypatch, [look, ask])[1][0] == (False, True)


def test_two_runs_in_a_row_do_not_hear_each_other(monkeypatch):
    def twice(p):
        again = Processes(p.numbers)
        return p.first_says("x", lambda: "first"), again.first_says("x", lambda: "second")

    assert run_threads(monkeypatch, [twice, twice])[1] == [("first", "second")] * 2


def test_one_process_waits_for_nobody():
    assert ALONE.gather("x", "own") == {0: "own"}
    assert ALONE.first_says("x", lambda: object) is object
    assert not ALONE.is_asked("stop")


def test_arrays_on_own_devices_are_of_this_process_alone():
    sharding = jax.NamedSharding(jax.make_mesh((2,), ("data",)), jax.P("data"))
    spread = jax.device_put(np.zeros(2), sharding)
    assert not processes_of((spread, sharding, None, np.zeros(2))).several
