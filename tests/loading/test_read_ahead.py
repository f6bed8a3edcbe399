"""Tests of the reading thread: what it holds, whose errors it passes on, and that it ends."""

import gc
import subprocess
import sys
import threading
import time
import traceback
import weakref

import numpy as np
import pytest

from jaxmlp.loading.streaming import read_ahead

WINDOWS = [np.arange(3) + 3 * i for i in range(6)]


class Window:
    """A window that can be counted while it lives."""

    def __init__(self, rows):
        self.rows = rows


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "jaxmlp.read_ahead"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert threads() == []


def test_it_gives_what_was_read_in_order():
    got = list(read_ahead(lambda rows: rows * 2, WINDOWS))
    np.testing.assert_array_equal(np.concatenate(got), np.arange(18) * 2)


def test_it_gives_nothing_for_no_windows():
    assert list(read_ahead(lambda rows: rows, [])) == []


def test_the_next_window_is_read_meanwhile_and_no_further():
    started = []
    reader = read_ahead(lambda rows: started.append(rows[0]) or rows, WINDOWS)
    next(reader)
    deadline = time.monotonic() + 10
    while len(started) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert started == [0, 3]
    reader.close()


def test_at_most_two_windows_are_in_memory():
    living, most = weakref.WeakSet(), []

    def read(rows):
        window = Window(rows)
        living.add(window)
        time.sleep(0.005)
        most.append(len(living))
        return window

    for window in read_ahead(read, WINDOWS):
        time.sleep(0.005)
        assert window.rows is not None
    assert max(most) == 2


def fail_at(row):
    def read(rows):
        if row in rows:
            try:
                raise OSError("disk gone")
            except OSError as error:
                raise ValueError("cannot read shard 2") from error
        return rows

    return read


def test_an_error_reaches_the_caller_after_what_was_read_before_it():
    reader = read_ahead(fail_at(7), WINDOWS)
    assert [next(reader)[0], next(reader)[0]] == [0, 3]
    with pytest.raises(ValueError, match="cannot read shard 2") as caught:
        next(reader)
    assert isinstance(caught.value.__cause__, OSError)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "read"


def test_an_error_in_the_windows_reaches_the_caller():
    def broken():
        yield WINDOWS[0]
        raise ZeroDivisionError

    reader = read_ahead(lambda rows: rows, broken())
    next(reader)
    with pytest.raises(ZeroDivisionError):
        next(reader)


@pytest.mark.parametrize("taken", [0, 1, 2, 6])
def test_closing_ends_the_thread(taken):
    reader = read_ahead(lambda rows: rows, WINDOWS)
    for _ in range(taken):
        next(reader)
    reader.close()
    assert threads() == []


def test_dropping_ends_the_thread():
    reader = read_ahead(lambda rows: rows, WINDOWS)
    next(reader)
    assert len(threads()) == 1
    del reader
    gc.collect()
    assert threads() == []


def test_an_error_of_the_caller_ends_the_thread():
    def use():
        for _ in read_ahead(lambda rows: rows, WINDOWS):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    gc.collect()
    assert threads() == []


def test_the_collector_may_drop_it_from_within_the_thread():
    """A cycle that holds the iterator is freed by whichever thread runs the collector."""
    holder = {}
    taken = threading.Event()

    def read(rows):
        if rows[0] == 3:
            taken.wait(10)
            gc.collect()
        return rows

    gc.disable()
    try:
        holder["reader"] = read_ahead(read, WINDOWS)
        holder["self"] = holder
        next(holder["reader"])
        (thread,) = threads()
        del holder
        taken.set()
        thread.join(10)
        assert not thread.is_alive()
    finally:
        gc.enable()


EXIT = """
import time, numpy as np
from jaxmlp.loading.streaming import read_ahead
{}
reader = read_ahead(read, [np.arange(2)] * 50)
next(reader)
print("used", flush=True)
{}
"""


@pytest.mark.parametrize(
    "read",
    ["read = lambda rows: rows", "def read(rows):\n    time.sleep(0.2)\n    return rows"],
    ids=["waiting", "reading"],
)
@pytest.mark.parametrize("end", ["", "raise KeyboardInterrupt"], ids=["exit", "interrupt"])
def test_the_interpreter_exits_at_once(read, end):
    run = subprocess.run(
        [sys.executable, "-c", EXIT.format(read, end)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout == "used\n"
    lines = [line for line in run.stderr.splitlines() if "Error" in line or "xception" in line]
    assert lines == []
    # 130 or -2: ended by an interrupt.
    assert run.returncode in ({0} if not end else {130, -2})
