"""Tests of what happens between epochs: the callback, and interrupts from the keyboard."""

import subprocess
import sys

import numpy as np
import pytest
from fits import (
    LOSS,
    OPTIMIZER,
    VALIDATION,
    assert_same,
    copied,
    cut_calls,
    fit,
    fit_with,
    make_loader,
    make_train_step,
    train_by_hand,
)

import jaxmlp


class Recorder:
    """Keeps what it is given; answers True, or raises, after a number of epochs."""

    def __init__(self, stop_after=None, error=None):
        self.states, self.metrics = [], []
        self.stop_after, self.error = stop_after, error

    def __call__(self, state, metrics):
        self.states.append(state)
        self.metrics.append(metrics)
        if len(self.states) != self.stop_after:
            return None
        if self.error is not None:
            raise self.error
        return True


@pytest.fixture(scope="module", params=["step", "chunks of 2", "epoch", "auto"])
def recorded(request):
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = fit_with(request.param, monkeypatch, validation=VALIDATION, on_epoch=recorder)
    return recorder, result


@pytest.fixture(scope="module")
def by_hand():
    return train_by_hand()[0]


class TestCallback:
    def test_is_called_once_per_epoch_in_order(self, recorded):
        assert [m["epoch"] for m in recorded[0].metrics] == [0, 1, 2, 3, 4]

    def test_is_given_the_numbers_of_the_history(self, recorded):
        recorder, result = recorded
        for name, values in result.history.items():
            assert [m[name] for m in recorder.metrics] == values.tolist()

    def test_is_given_plain_numbers(self, recorded):
        types = {type(value) for metrics in recorded[0].metrics for value in metrics.values()}
        assert types == {int, float}

    def test_may_keep_every_state(self, recorded, by_hand):
        for state, expected in zip(recorded[0].states, by_hand, strict=True):
            assert_same(state, expected)


@pytest.mark.parametrize("answer", [None, False, np.False_])
def test_any_other_answer_than_true_goes_on(answer):
    assert fit(on_epoch=lambda *_: answer).stopped_by == "epochs"


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_true_stops_after_this_epoch(driver, by_hand):
    result = fit(on_epoch=Recorder(stop_after=2), driver=driver)
    assert result.stopped_by == "callback"
    assert len(result.history["epoch"]) == 2
    assert_same(result.state, by_hand[1])


def test_an_error_in_the_callback_reaches_the_caller():
    with pytest.raises(ZeroDivisionError, match="mine"):
        fit(on_epoch=Recorder(stop_after=2, error=ZeroDivisionError("mine")))


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_an_interrupt_in_the_callback_returns_what_was_reached(driver, by_hand):
    result = fit(on_epoch=Recorder(stop_after=3, error=KeyboardInterrupt()), driver=driver)
    assert result.stopped_by == "interrupt"
    assert len(result.history["loss"]) == 3
    assert_same(result.state, by_hand[2])


class Interrupting:
    """A loader's batches, with an interrupt in place of one of them."""

    def __init__(self, epoch, position):
        self.loader, self.at = make_loader(), (epoch, position)
        self.epoch = -1

    def __iter__(self):
        self.epoch += 1
        for position, batch in enumerate(self.loader):
            if (self.epoch, position) == self.at:
                raise KeyboardInterrupt
            yield batch


def test_an_interrupt_within_an_epoch_keeps_the_epochs_before(by_hand):
    result = fit(Interrupting(2, 3))
    assert result.stopped_by == "interrupt"
    assert result.history["epoch"].tolist() == [0, 1]
    assert_same(result.state, by_hand[1])


def test_an_interrupt_in_the_first_epoch_returns_the_first_parameters():
    result = fit(Interrupting(0, 1), validation=VALIDATION)
    assert result.history["epoch"].tolist() == []
    assert result.best_epoch == -1
    assert int(result.state.step) == 0


def test_an_interrupt_between_chunks_keeps_their_steps(monkeypatch):
    cut_calls(monkeypatch, chunk=2)
    make_call, reached = jaxmlp.fitting.chunk_calls.Call, []

    def interrupted(before, *rest):
        reached.append(int(before.train.step))
        if len(reached) == 5:
            raise KeyboardInterrupt
        return make_call(before, *rest)

    monkeypatch.setattr("jaxmlp.fitting.chunk_calls.Call", interrupted)
    result = fit(driver="chunk")
    assert reached == [0, 2, 4, 5, 7]
    assert int(result.state.step) == 7
    assert result.history["epoch"].tolist() == [0]


# Compiles first, so that the signal meets training.
SCRIPT = """
import os, signal, sys, threading
sys.path.insert(0, "tests")
from fits import LINEAR, cut_calls, fit
import pytest
# A shell has its background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
for driver in ("step", "chunk", "epoch", "epochs"):
    with pytest.MonkeyPatch.context() as monkeypatch:
        if driver in ("chunk", "epochs"):
            cut_calls(monkeypatch, **{"chunk": {"chunk": 2}, "epochs": {"joined": 100}}[driver])
        fit(driver=driver, epochs=100, **LINEAR)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        result = fit(driver=driver, epochs=10**6, **LINEAR)
    print(driver, result.stopped_by, len(result.history["loss"]) > 0, int(result.state.step) > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to itself")
def test_ctrl_c_returns_what_was_reached_with_every_driver():
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300
    )
    expected = [f"{driver} interrupt True True" for driver in ("step", "chunk", "epoch", "epochs")]
    assert ran.stdout.splitlines() == expected, ran.stderr


def test_training_can_go_on_after_an_interrupt(by_hand):
    state = copied(fit(on_epoch=Recorder(stop_after=3, error=KeyboardInterrupt())).state)
    loader, step = make_loader(), make_train_step(LOSS, OPTIMIZER, accumulate_steps=1)
    for epoch in (3, 4):
        for batch in loader.epoch(epoch):
            state, _ = step(state, batch)
    assert_same(state, by_hand[4])
