"""`initialize` refuses what cannot work, and does nothing for one process."""

import jax
import pytest

from jaxmlp.distributed import initialize
from jaxmlp.distributed.environments import LOCAL
from jaxmlp.storage import processes

TWO = {"coordinator_address": "localhost:1234", "num_processes": 2, "process_id": 0}


@pytest.fixture(autouse=True)
def given(monkeypatch):
    """What JAX is asked, instead of doing it."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *a, **k: calls.append((a, k)))
    monkeypatch.setattr("jaxmlp.distributed.initialization.end_with_others", lambda _: None)
    monkeypatch.setattr(processes, "_limits", dict(processes._limits))
    return calls


@pytest.fixture
def _untouched(monkeypatch):
    monkeypatch.setattr("jaxmlp.distributed.initialization.backends_are_initialized", lambda: False)


def test_one_process_is_left_as_it_is_even_with_a_device_touched(given):
    jax.devices()
    initialize()
    initialize(num_processes=1)
    assert given == []


def test_a_touched_device_is_told_with_what_touches_one(given):
    jax.devices()
    with pytest.raises(RuntimeError, match=r"before anything touches a device.*jax\.devices"):
        initialize(**TWO)
    assert given == []


@pytest.mark.usefixtures("_untouched")
class TestUntouched:
    def test_a_second_call_is_told(self, monkeypatch):
        monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
        with pytest.raises(RuntimeError, match="must be called once"):
            initialize(**TWO)

    def test_arguments_reach_jax(self, given):
        times = {"initialization_timeout": 7, "heartbeat_timeout": 8, "meeting_timeout": 9.0}
        initialize(**TWO, local_device_ids=[1], **times)
        assert given == [
            (
                ("localhost:1234", 2, 0, (1,)),
                {
                    "cluster_detection_method": "deactivate",
                    "initialization_timeout": 7,
                    "heartbeat_timeout_seconds": 8,
                },
            )
        ]
        assert processes.meeting_limit() == 9

    def test_what_the_launcher_sets_reaches_jax(self, given, monkeypatch):
        for name, value in zip(
            ("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID"), ("a:1", "2", "1"), strict=True
        ):
            monkeypatch.setenv(f"JAXMLP_{name}", value)
        monkeypatch.setenv(LOCAL, "1")
        initialize()
        assert given[0][0] == ("a:1", 2, 1, (1,))


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"coordinator_address": 3}, TypeError, "coordinator_address must be a text"),
        ({"coordinator_address": "host"}, ValueError, "coordinator_address must name a port"),
        ({"num_processes": 0}, ValueError, "num_processes must be an int of at least 1"),
        ({"num_processes": 2.0}, TypeError, "num_processes must be an int"),
        ({"process_id": -1}, ValueError, "process_id must be an int of at least 0"),
        ({"num_processes": 2, "process_id": 2}, ValueError, "process_id must be .* below 2; got 2"),
        ({"local_device_ids": "01"}, TypeError, "local_device_ids must be a list of numbers"),
        ({"local_device_ids": [-1]}, ValueError, "local_device_ids must be an int of at least 0"),
        ({"initialization_timeout": 0}, ValueError, "initialization_timeout must be an int"),
        ({"heartbeat_timeout": 0.5}, TypeError, "heartbeat_timeout must be an int"),
        ({"meeting_timeout": 0}, ValueError, "meeting_timeout must be above 0 and finite; got 0"),
        ({"meeting_timeout": "x"}, TypeError, "meeting_timeout must be a number"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        initialize(**arguments)
