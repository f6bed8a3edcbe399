"""Signals and kill -9 at random instants of a sweep: nothing is lost."""

import os
import signal
import time

import numpy as np
import pytest
from interruptions import start_python

from jaxmlp.storage.rotation import checkpoint_paths

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SCRIPT = """
import sys
import jax, numpy as np, optax, jaxmlp

config = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=1, dropout_rate=0.1)
x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
jaxmlp.ensembles.sweeps.CALL_SECONDS = 0.05
result = jaxmlp.fit_members(
    jaxmlp.make_loss(config, jaxmlp.losses.squared_error),
    optax.adam(1e-3),
    lambda key: jaxmlp.init_params(config, key=key),
    jaxmlp.DataLoader(x, x[:, :1], batch_size=8, shuffle=True),
    epochs=int(sys.argv[2]),
    keys=jax.random.split(jax.random.key(1), 8),
    seeds=range(8),
    members_at_once=2,
    threads=2,
    checkpoint=jaxmlp.Checkpoints(directory=sys.argv[1], seconds=0.0),
    resume=True,
)
print(*result.stopped_by)
np.savez(sys.argv[1] + "/result.npz", *jax.tree.leaves((result.params, result.history)))
"""


def start(directory, epochs):
    directory.mkdir(exist_ok=True)
    return start_python(SCRIPT, directory, epochs)


def wait_for_checkpoint(process, directory):
    """Waits until a process has written one; returns whether it is still running."""
    before = checkpoint_paths(directory)
    while process.poll() is None and checkpoint_paths(directory) == before:
        time.sleep(0.005)
    return process.poll() is None


def result_of(process, directory):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.split(), dict(np.load(directory / "result.npz"))


@pytest.mark.long
def test_a_sweep_killed_thrice_ends_as_one_that_was_not(tmp_path):
    epochs, killed = 10_000, 0
    whole = result_of(start(tmp_path / "whole", epochs), tmp_path / "whole")
    generator = np.random.default_rng(0)
    while killed < 3:
        process = start(tmp_path / "killed", epochs)
        assert wait_for_checkpoint(process, tmp_path / "killed"), "it was over before the kill"
        time.sleep(generator.exponential(0.1))
        process.kill()
        process.communicate()
        killed += 1
    resumed = result_of(start(tmp_path / "killed", epochs), tmp_path / "killed")
    assert whole[0] == resumed[0] == ["epochs"] * 8
    for name, values in whole[1].items():
        np.testing.assert_array_equal(resumed[1][name], values)


def test_a_signal_ends_a_sweep_with_a_checkpoint(tmp_path):
    process = start(tmp_path, 10**6)
    assert wait_for_checkpoint(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    endings, _ = result_of(process, tmp_path)
    assert endings == ["interrupt"] * 8
