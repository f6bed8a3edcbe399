"""Recorded runs for the tests of the report."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp
from jaxmlp import losses, report

GENERATOR = np.random.default_rng(0)


def moons(rows=400):
    """Two half circles, with noise."""
    generator = np.random.default_rng(0)
    y = np.arange(rows) % 2
    angle = np.pi * generator.uniform(size=rows)
    x = np.stack([np.cos(angle) + y, np.sin(angle) * (1 - 2 * y) + 0.5 * y], axis=-1)
    return (x + 0.12 * generator.normal(size=x.shape)).astype(np.float32), y.astype(np.int32)


MOONS = jaxmlp.MLPConfig(in_features=2, hidden_features=(8, 8), out_features=2, activation="tanh")


@functools.cache
def moons_run(epochs=200):
    """Returns the recorder of a run over two moons, its config, x and y."""
    x, y = moons()
    recorder = jaxmlp.Recorder()
    jaxmlp.fit(
        jaxmlp.make_loss(MOONS, losses.softmax_cross_entropy),
        optax.adam(0.01),
        jaxmlp.init_params(MOONS, key=jax.random.key(0)),
        jaxmlp.DataLoader(x, y, batch_size=32, shuffle=True, seed=0),
        epochs=epochs,
        key=jax.random.key(1),
        on_epoch=recorder,
    )
    return recorder, MOONS, x, y


def moons_report(**settings):
    return report.Report(*moons_run(), **{"criterion": losses.softmax_cross_entropy} | settings)


def noisy_params(config, seed):
    """Parameters of a config of which none is 0 or 1, as biases and scales are at first."""
    params = jaxmlp.init_params(config, key=jax.random.key(seed))
    leaves, tree = jax.tree.flatten(params)
    generator = np.random.default_rng(seed)
    noisy = [a + jnp.asarray(0.3 * generator.normal(size=a.shape), a.dtype) for a in leaves]
    return jax.tree.unflatten(tree, noisy)


def record(*params):
    """Records parameters as epochs of a run."""
    recorder = jaxmlp.Recorder(epochs=range(len(params)))
    states = [jaxmlp.init_state(p, optax.sgd(0.1), key=jax.random.key(5)) for p in params]
    recorder.begin(states[0], 0)
    for epoch, state in enumerate(states[1:]):
        recorder(state, {"epoch": epoch, "loss": 1.0})
    return recorder
