"""Signals and kill -9 at random instants of training and saving: nothing is lost.

Two hundred kills take some minutes, so they are not part of the suite:
`python3 run.py -m pytest tests/test_kill.py -m slow -n0`.
"""

import os
import signal
import time

import numpy as np
import pytest
from interruptions import start_python

SCRIPT = """
import sys, time
import jax, numpy as np, optax, jaxmlp

config = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=1, dropout_rate=0.1)
x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
result = jaxmlp.fit(
    jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
    optax.adam(1e-3),
    jaxmlp.init_params(config, key=jax.random.key(0)),
    jaxmlp.DataLoader(x, x[:, :1], batch_size=8, shuffle=True),
    epochs=int(sys.argv[2]),
    key=jax.random.key(1),
    driver="epoch",
    checkpoint=jaxmlp.Checkpoints(directory=sys.argv[1], seconds=0.0),
    resume=True,
    on_epoch=lambda state, metrics: print("epoch", metrics["epoch"], flush=True),
)
print(result.stopped_by, int(result.state.step), float(result.history["loss"][-1]).hex())
np.savez(sys.argv[1] + "/result.npz", *jax.tree.leaves((result.params, result.history)))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_cleanly_and_it_can_be_resumed(number, tmp_path):
    process = start_python(SCRIPT, tmp_path, 100_000)
    while "epoch 2" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()
    process.send_signal(number)
    sent = time.monotonic()
    out, err = process.communicate(timeout=60)
    # A call here takes milliseconds; the rest is the end of a Python process on a busy machine.
    assert time.monotonic() - sent < 10
    assert process.returncode == 0, err
    reason, step, _ = out.splitlines()[-1].split()
    assert reason == "interrupt"
    epochs = int(step) // 8 + 2
    resumed, whole = (
        start_python(SCRIPT, tmp_path, epochs),
        start_python(SCRIPT, tmp_path / "whole", epochs),
    )
    (tmp_path / "whole").mkdir(exist_ok=True)
    last = [process.communicate(timeout=120)[0].splitlines()[-1] for process in (resumed, whole)]
    assert last[0] == last[1]


def kill_until_done(directory, epochs, kills, generator):
    """Kills a run at random instants, and returns how often it was killed before it ended."""
    killed = 0
    while True:
        process = start_python(SCRIPT, directory, epochs)
        # Python and the compiler take some seconds; kill only while it trains and saves.
        line = process.stdout.readline()
        if line.startswith("epoch") and killed < kills:
            time.sleep(generator.exponential(0.05))
            process.kill()
            process.communicate()
            killed += 1
            continue
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return killed


def check_kills(tmp_path, kills, epochs):
    generator = np.random.default_rng(0)
    (tmp_path / "whole").mkdir()
    assert kill_until_done(tmp_path / "whole", epochs, 0, generator) == 0
    (tmp_path / "killed").mkdir()
    killed = kill_until_done(tmp_path / "killed", epochs, kills, generator)
    whole, resumed = (np.load(tmp_path / name / "result.npz") for name in ("whole", "killed"))
    assert whole.files == resumed.files
    for name in whole.files:
        np.testing.assert_array_equal(whole[name], resumed[name])
    return killed


@pytest.mark.skipif(os.name == "nt", reason="kill -9 of POSIX")
@pytest.mark.long
def test_a_run_killed_thrice_ends_as_one_that_was_not(tmp_path):
    assert check_kills(tmp_path, kills=3, epochs=2000) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kill -9 of POSIX")
def test_a_run_killed_two_hundred_times_ends_as_one_that_was_not(tmp_path):
    assert check_kills(tmp_path, kills=200, epochs=40_000) == 200
