"""A small problem for the tests of `fit`, and the same training as a loop written by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp
from jaxmlp.fitting.pace import Pace

CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=3, dropout_rate=0.1)
LOSS = jaxmlp.make_loss(
    CONFIG, jaxmlp.losses.softmax_cross_entropy, metrics={"accuracy": jaxmlp.metrics.accuracy}
)
OPTIMIZER = optax.adamw(optax.cosine_decay_schedule(3e-2, 40))
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
KEY = jax.random.key(1)

# Compiles in a third of the time. It starts far off, so that rates of learning show.
LINEAR_CONFIG = jaxmlp.MLPConfig(in_features=4, out_features=3, kernel_init="he_normal")
LINEAR = {
    "loss_fn": jaxmlp.make_loss(LINEAR_CONFIG, jaxmlp.losses.softmax_cross_entropy),
    "optimizer": optax.sgd(1.0, momentum=0.9),
    "params": jaxmlp.init_params(LINEAR_CONFIG, key=jax.random.key(0)),
}

# Five batches of 12, the last one with 10 rows of padding.
ROWS = 50
generator = np.random.default_rng(0)
X = generator.normal(size=(ROWS, 4)).astype(np.float32)
Y = generator.integers(0, 3, ROWS)
WEIGHT = generator.uniform(0.5, 2, ROWS).astype(np.float32)
VALIDATION = (
    generator.normal(size=(20, 4)).astype(np.float32),
    generator.integers(0, 3, 20),
    generator.uniform(0.5, 2, 20).astype(np.float32),
)

# Means of a few float32 numbers, summed in another order.
MEAN_RTOL = 1e-6


def make_loader(x=X, y=Y, weight=WEIGHT, **fields):
    seed = 3 if fields.get("shuffle", True) else 0
    return jaxmlp.DataLoader(
        x, y, weight, **{"batch_size": 12, "shuffle": True, "seed": seed} | fields
    )


def fit(data=None, *, loss_fn=LOSS, optimizer=OPTIMIZER, params=PARAMS, **settings):
    """Runs `jaxmlp.fit`, by default with the program that most tests share."""
    data = make_loader() if data is None else data
    driver = "epoch" if isinstance(data, jaxmlp.DataLoader) else "step"
    settings = {"epochs": 5, "key": KEY, "driver": driver} | settings
    return jaxmlp.fit(loss_fn, optimizer, params, data, **settings)


class FixedPace(Pace):
    """Takes so many steps per call, however long they take."""

    def __init__(self, steps):
        self.steps = steps

    def observe(self, steps, seconds):
        pass


def cut_calls(monkeypatch, *, chunk=None, joined=None, steps=5):
    """Makes drivers take calls of `chunk` steps or `joined` epochs, by a faked pace or time."""
    if chunk:
        monkeypatch.setattr("jaxmlp.fitting.drivers.Pace", lambda _: FixedPace(chunk))
    else:
        seconds = 0.1 / (joined + 0.5) / steps
        monkeypatch.setattr("jaxmlp.fitting.drivers.seconds_per_step", lambda *_: seconds)


DRIVERS = {
    "step": ("step", {}),
    "chunks of 2": ("chunk", {"chunk": 2}),
    "chunks of an epoch": ("chunk", {"chunk": 5}),
    "epoch": ("epoch", {}),
    "epochs by 3": ("epochs", {"joined": 3}),
    "all epochs": ("epochs", {"joined": 100}),
    "auto": ("auto", {}),
}


def fit_with(name, monkeypatch, *args, **settings):
    driver, cut = DRIVERS[name]
    if cut:
        cut_calls(monkeypatch, **cut)
    return fit(*args, driver=driver, **settings)


make_train_step = functools.lru_cache(jaxmlp.make_train_step)


def copied(state):
    return jax.tree.map(jnp.copy, state)


def train_by_hand(
    data=None, *, loss_fn=LOSS, optimizer=OPTIMIZER, params=PARAMS, epochs=5, accumulate_steps=1
):
    """Returns the state after every epoch, and per epoch each step's weight and metrics."""
    data = make_loader() if data is None else data
    state = jaxmlp.init_state(params, optimizer, key=KEY)
    train_step = make_train_step(loss_fn, optimizer, accumulate_steps=accumulate_steps)
    states, logs = [], []
    for _ in range(epochs):
        log = []
        for batch in data:
            state, metrics = train_step(state, batch)
            weight = getattr(batch, "weight", None)
            log.append((1 if weight is None else weight.sum(dtype=np.float64), metrics))
        states.append(copied(state))
        logs.append(log)
    return states, logs


def epoch_means(logs, name):
    """Per epoch the mean over rows, sum(weight * value) / sum(weight), in float64."""
    return [
        np.average(
            [float(metrics[name]) for _, metrics in log], weights=[weight for weight, _ in log]
        )
        for log in logs
    ]


def assert_same(a, b):
    """Bit for bit, keys included."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def differs(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return any(not np.array_equal(one, other) for one, other in pairs)
