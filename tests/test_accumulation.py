"""Tests that a batch cut into micro-batches trains as the whole batch does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import (
    Batch,
    DataLoader,
    MLPConfig,
    init_params,
    init_state,
    losses,
    make_loss,
    make_train_step,
    metrics,
    weighted_mean,
)

CONFIG = MLPConfig(in_features=4, hidden_features=(8,), out_features=3, activation="tanh")
LOSS_FN = make_loss(CONFIG, losses.softmax_cross_entropy, metrics={"accuracy": metrics.accuracy})
SGD = optax.sgd(0.5)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 12)
WEIGHT = RNG.gamma(2.0, size=12).astype(np.float32)


def last_batch(rows, weight=None):
    """A batch of 12 with so many real rows."""
    (batch,) = DataLoader(X[:rows], Y[:rows], weight, batch_size=12)
    return batch


BATCHES = {
    "unweighted": Batch(X, Y),
    "weighted": Batch(X, Y, WEIGHT),
    "padded within a micro-batch": last_batch(11),
    "padded by whole micro-batches": last_batch(3),
    "padded and weighted": last_batch(3, WEIGHT[:3]),
    "of very different weights": Batch(X, Y, np.geomspace(1e-3, 1e3, 12, dtype=np.float32)),
}


@functools.cache
def make_step(loss_fn, optimizer, accumulate_steps):
    return make_train_step(loss_fn, optimizer, accumulate_steps=accumulate_steps)


def step_once(batch, accumulate_steps, *, loss_fn=LOSS_FN, optimizer=SGD, params=None):
    """Params and metrics after one step."""
    params = init_params(CONFIG, key=KEY) if params is None else params
    step = make_step(loss_fn, optimizer, accumulate_steps)
    state, values = step(init_state(params, optimizer, key=KEY), batch)
    return state.params, values


def assert_close(a, b):
    # One step on numbers near 1, whose sums over 12 rows are rounded in another order.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("accumulate_steps", [2, 4, 12])
def test_loss_metrics_and_params_are_those_of_the_whole_batch(name, accumulate_steps):
    batch = BATCHES[name]
    assert_close(step_once(batch, accumulate_steps), step_once(batch, 1))


def test_a_batch_without_weights_may_be_any_pytree():
    def loss_fn(params, batch, _):
        error = batch["x"] @ params["w"] - batch["nested"][0]
        return jnp.mean(error**2), {"mean_error": jnp.mean(error)}

    batch = {"x": X, "nested": [X[:, 0]]}
    kwargs = {"loss_fn": loss_fn, "params": {"w": jnp.ones(4)}}
    assert_close(step_once(batch, 3, **kwargs), step_once(batch, 1, **kwargs))


def test_a_batch_of_weight_0_changes_nothing():
    params, values = step_once(Batch(X, Y, np.zeros(12, np.float32)), 3)
    assert_close(params, init_params(CONFIG, key=KEY))
    assert values["loss"] == 0


def test_nan_in_a_micro_batch_with_weight_is_not_hidden():
    x = X.copy()
    x[7] = np.nan
    _, values = step_once(Batch(x, Y, WEIGHT), 3)
    assert np.isnan(values["loss"])


def test_micro_batch_i_draws_from_fold_in_of_the_step_key_and_i():
    def loss_fn(params, _, key):
        return jnp.sum(params["w"]), {"draw": jax.random.uniform(key)}

    _, values = step_once(jnp.ones(6), 3, loss_fn=loss_fn, params={"w": jnp.ones(2)})
    step_key = jax.random.fold_in(KEY, 0)
    draws = [jax.random.uniform(jax.random.fold_in(step_key, i)) for i in range(3)]
    # A mean of three float32 numbers.
    np.testing.assert_allclose(values["draw"], np.mean(draws), rtol=1e-6)


def test_metrics_are_means_over_rows():
    def loss_fn(params, batch, _):
        return jnp.sum(params["w"]), {"first": jnp.mean(batch.x)}

    batch = Batch(jnp.array([1.0, 5.0, 9.0]), weight=jnp.array([2.0, 1.0, 0.0]))
    _, values = step_once(batch, 3, loss_fn=loss_fn, params={"w": jnp.ones(2)})
    # (2 * 1 + 1 * 5 + 0 * 9) / 3
    np.testing.assert_allclose(values["first"], 7 / 3, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_params_keep_their_type(dtype):
    def loss_fn(params, batch, _):
        return jnp.mean((batch.astype(dtype) @ params["w"]) ** 2), {}

    params, _ = step_once(X, 3, loss_fn=loss_fn, params={"w": jnp.ones(4, dtype)})
    assert params["w"].dtype == dtype


def test_the_loss_is_traced_once_per_step_whatever_the_number_of_micro_batches():
    calls = []

    def loss_fn(params, batch, key):
        calls.append(1)
        return LOSS_FN(params, batch, key)

    step = make_train_step(loss_fn, SGD, accumulate_steps=6)
    state = init_state(init_params(CONFIG, key=KEY), SGD, key=KEY)
    state, _ = step(state, BATCHES["weighted"])
    traces = len(calls)
    for _ in range(9):
        state, _ = step(state, BATCHES["padded and weighted"])
    assert len(calls) == traces <= 2


def test_a_line_search_sees_the_loss_of_the_whole_batch():
    def loss_fn(params, batch, _):
        return weighted_mean((batch.x @ params["w"] - batch.y) ** 2, batch.weight), {}

    batch = Batch(X, X[:, 0], WEIGHT)
    kwargs = {
        "loss_fn": loss_fn,
        "optimizer": optax.lbfgs(memory_size=2),
        "params": {"w": jnp.ones(4)},
    }
    assert_close(step_once(batch, 3, **kwargs), step_once(batch, 1, **kwargs))


def test_it_can_be_scanned():
    batches = jax.tree.map(lambda leaf: np.stack([leaf]), BATCHES["weighted"])
    state = init_state(init_params(CONFIG, key=KEY), SGD, key=KEY)
    state, values = jax.lax.scan(make_step(LOSS_FN, SGD, 4), state, batches)
    values = jax.tree.map(jnp.squeeze, values)
    assert_close((state.params, values), step_once(BATCHES["weighted"], 4))


def test_it_can_be_vmapped_over_states():
    params = [init_params(CONFIG, key=key) for key in jax.random.split(KEY, 3)]
    states = [init_state(member, SGD, key=KEY) for member in params]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    step = jax.vmap(make_step(LOSS_FN, SGD, 4), in_axes=(0, None))
    together, _ = step(stacked, BATCHES["weighted"])
    one_by_one = [step_once(BATCHES["weighted"], 4, params=member)[0] for member in params]
    assert_close(together.params, jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one))
