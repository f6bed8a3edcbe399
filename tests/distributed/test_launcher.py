"""The launcher starts processes, passes on what they say and what they are told, and ends them."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import jaxmlp
from jaxmlp.distributed.children import reserved_port
from jaxmlp.distributed.launcher import launch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="groups of processes of POSIX")
NUMBER = "import os, sys, time, signal; number = int(os.environ['JAXMLP_PROCESS_ID'])\n"


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "script.py"
        path.write_text(NUMBER + text)
        return str(path)

    return write


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has waited for is dead all the same.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_each_knows_its_place_and_its_lines_tell_it(script, capfd):
    path = script(
        "names = 'COORDINATOR_ADDRESS', 'NUM_PROCESSES', 'PROCESS_ID', 'LOCAL_PROCESS_ID'\n"
        "print(*(os.environ['JAXMLP_' + name] for name in names), sys.argv[1:])\n"
        "print('to the other', file=sys.stderr)"
    )
    assert launch(["-n", "2", path, "--epochs", "3", "-n", "9"]) == 0
    lines = sorted(capfd.readouterr().out.splitlines())
    assert [line for line in lines if "other" in line] == ["[0] to the other", "[1] to the other"]
    first, second = (line.split() for line in lines if "other" not in line)
    assert first[2:] == ["2", "0", "0", "['--epochs',", "'3',", "'-n',", "'9']"]
    assert second[2:5] == ["2", "1", "1"]
    assert first[1] == second[1]
    assert first[1].startswith("127.0.0.1:")


def test_a_module_runs_too(capfd):
    assert launch(["-n", "1", "-m", "platform", "--terse"]) == 0
    assert capfd.readouterr().out.startswith("[0] ")


def test_the_exit_code_is_that_of_the_first_that_fails_and_the_others_end(script, capfd):
    path = script("time.sleep(100 if number == 0 else 0.1); sys.exit(7)")
    begin = time.monotonic()
    assert launch(["-n", "2", path]) == 7
    assert time.monotonic() - begin < 50
    assert "process 1 has failed with exit code 7; the others" in capfd.readouterr().err


def test_a_process_that_is_killed_is_named_by_its_signal(script, capfd):
    assert launch(["-n", "2", script("number and os.kill(os.getpid(), 9); time.sleep(100)")]) == 137
    assert "process 1 was ended by SIGKILL; the others have been ended." in capfd.readouterr().err


def test_one_that_ignores_sigterm_is_killed_after_the_grace(script):
    path = script(
        "if number: time.sleep(0.5); sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"
    )
    begin = time.monotonic()
    assert launch(["-n", "2", "--grace", "1", path]) == 3
    assert 1 < time.monotonic() - begin < 50


def test_all_are_started_again_as_often_as_asked(script, tmp_path, capfd):
    path = script(
        f"path = {str(tmp_path)!r} + f'/{{number}}'\n"
        "open(path, 'a').write('x'); sys.exit(number == 1 and len(open(path).read()) < 3)"
    )
    assert launch(["-n", "2", "--restarts", "2", path]) == 0
    assert (tmp_path / "1").read_text() == "xxx"
    assert "restart 2 of 2" in capfd.readouterr().err


def test_there_is_no_restart_beyond_those(script, tmp_path):
    path = script(f"open({str(tmp_path / 'runs')!r}, 'a').write('x'); sys.exit(5)")
    assert launch(["-n", "1", "--restarts", "1", path]) == 5
    assert (tmp_path / "runs").read_text() == "xx"


def test_a_signal_reaches_all_and_nothing_is_started_again(script, tmp_path, capfd):
    path = script(
        "def end(*_): print('heard'); sys.exit(4)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path)!r} + f'/ready{{number}}', 'w').close(); time.sleep(100)"
    )

    def tell():
        wait_until(lambda: len(list(tmp_path.glob("ready*"))) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=tell).start()
    assert launch(["-n", "2", "--restarts", "3", path]) == 4
    assert sorted(capfd.readouterr().out.splitlines()) == ["[0] heard", "[1] heard"]


def test_what_processes_have_started_ends_with_them(script, tmp_path):
    path = script(
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        f"open({str(tmp_path)!r} + '/pid', 'w').write(str(child.pid))"
    )
    assert launch(["-n", "1", path]) == 0
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux")
def test_a_launcher_that_is_killed_leaves_no_orphan(script, tmp_path):
    path = script(
        f"open({str(tmp_path)!r} + f'/pid{{number}}', 'w').write(str(os.getpid()))\ntime.sleep(100)"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-m", "jaxmlp.distributed", "-n", "2", path],
        env=os.environ | {"PYTHONPATH": str(Path(jaxmlp.__file__).parents[1])},
        stdout=subprocess.DEVNULL,
    )
    files = [tmp_path / f"pid{number}" for number in range(2)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), seconds=100)
    launcher.kill()
    launcher.wait()
    for file in files:
        wait_until(lambda file=file: not is_running(int(file.read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="ports of Linux")
def test_a_reserved_port_is_given_to_nobody_else():
    in_use = pytest.raises(OSError, match="in use")
    with reserved_port() as reserved, socket.socket() as other, in_use:
        other.bind(reserved.getsockname())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: -n"),
        (["-n", "0", "x.py"], "must be a whole number of at least 1; got '0'"),
        (["-n", "two", "x.py"], "must be a whole number of at least 1; got 'two'"),
        (["-n", "2", "--restarts", "-1", "x.py"], "--restarts"),
        (["-n", "2"], "what to run is missing: a script, or -m and a module"),
    ],
)
def test_a_wrong_command_line_is_told(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        launch(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
