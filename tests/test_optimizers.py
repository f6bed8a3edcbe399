"""Tests that any optax optimizer runs in the training step as it does in a loop of its own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import init_state, kernel_mask, make_train_step

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype(np.float32)
TARGETS = (X @ RNG.normal(size=(3, 2)) + 0.5).astype(np.float32)
BATCH = (X, TARGETS)


def params():
    return {"kernel": jnp.full((3, 2), 0.1), "bias": jnp.zeros(2)}


def loss_fn(params, batch, _):
    x, targets = batch
    return jnp.mean((x @ params["kernel"] + params["bias"] - targets) ** 2), {}


SCHEDULE = optax.cosine_decay_schedule(0.1, 20)
OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.05),
    "adamw, kernels decayed": optax.adamw(0.05, weight_decay=0.1, mask=kernel_mask),
    "injected hyperparameters": optax.inject_hyperparams(optax.adam)(learning_rate=SCHEDULE),
    "lamb": optax.lamb(0.05),
    "lion": optax.lion(0.02),
    "adafactor": optax.adafactor(0.1),
    "several steps": optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(),
    "clipped": optax.chain(optax.clip_by_global_norm(0.5), optax.adam(0.05)),
    "averaged updates": optax.chain(optax.sgd(0.1), optax.ema(0.9)),
    "frozen bias": optax.partition(
        {"k": optax.adam(0.05), "b": optax.set_to_zero()}, {"kernel": "k", "bias": "b"}
    ),
    "plateau": optax.chain(
        optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=2, rtol=0.5, factor=0.5)
    ),
    "if finite": optax.apply_if_finite(optax.adam(0.05), 3),
    "schedule-free": optax.contrib.schedule_free_sgd(0.1),
    "lbfgs": optax.lbfgs(),
}
STEPS = 12


@functools.cache
def trained(name):
    """Losses, final params and optimizer state, and traces of the loss at first and in all."""
    calls = []

    def counting(*args):
        calls.append(1)
        return loss_fn(*args)

    optimizer = OPTIMIZERS[name]
    step = make_train_step(counting, optimizer)
    state = init_state(params(), optimizer, key=KEY)
    history, traces = [], []
    for _ in range(STEPS):
        state, values = step(state, BATCH)
        history.append(float(values["loss"]))
        traces.append(len(calls))
    return history, state, (traces[0], traces[-1])


def trained_by_optax(name):
    """The loop of optax's documentation."""
    optimizer = optax.with_extra_args_support(OPTIMIZERS[name])

    def value_fn(params):
        return loss_fn(params, BATCH, None)[0]

    @jax.jit
    def update(params, opt_state):
        value, grad = jax.value_and_grad(value_fn)(params)
        updates, opt_state = optimizer.update(
            grad, opt_state, params, value=value, grad=grad, value_fn=value_fn
        )
        return value, optax.apply_updates(params, updates), opt_state

    with jax.numpy_dtype_promotion("standard"):
        values, current = [], params()
        opt_state = optimizer.init(current)
        for _ in range(STEPS):
            value, current, opt_state = update(current, opt_state)
            values.append(float(value))
    return values, current, opt_state


@pytest.mark.parametrize("name", OPTIMIZERS)
class TestEveryOptimizer:
    def test_it_computes_what_optax_alone_computes(self, name):
        history, state, _ = trained(name)
        values, expected, opt_state = trained_by_optax(name)
        # The same operations in two programs: some ulp per step, in numbers near 1.
        close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
        close(history, values)
        jax.tree.map(close, state.params, expected)
        assert jax.tree.structure(state.opt_state) == jax.tree.structure(opt_state)

    def test_it_lowers_the_loss(self, name):
        history, *_ = trained(name)
        assert history[-1] < 0.9 * history[0]

    def test_it_compiles_once(self, name):
        *_, (first, last) = trained(name)
        assert first == last


def test_a_schedule_advances_with_every_step():
    _, state, _ = trained("injected hyperparameters")
    # The last of 12 steps is number 11.
    np.testing.assert_allclose(
        state.opt_state.hyperparams["learning_rate"], SCHEDULE(STEPS - 1), rtol=1e-6
    )


def test_a_plateau_lowers_the_learning_rate():
    _, state, _ = trained("plateau")
    assert state.opt_state[-1].scale < 1


def test_frozen_params_stay_as_they_are():
    _, state, _ = trained("frozen bias")
    np.testing.assert_array_equal(state.params["bias"], params()["bias"])


def test_params_change_in_every_second_of_two_accumulated_steps():
    optimizer = OPTIMIZERS["several steps"]
    step = make_train_step(loss_fn, optimizer)
    state = init_state(params(), optimizer, key=KEY)
    changed = []
    for _ in range(4):
        before = np.array(state.params["kernel"])
        state, _ = step(state, BATCH)
        changed.append(bool(np.any(before != state.params["kernel"])))
    assert changed == [False, True, False, True]


def test_lbfgs_reaches_the_least_squares_solution():
    _, state, _ = trained("lbfgs")
    design = np.c_[X, np.ones(16)]
    solution, *_ = np.linalg.lstsq(np.float64(design), np.float64(TARGETS))
    # Twelve steps on six coefficients; the loss is flat to float32 at the square root of its eps.
    np.testing.assert_allclose(state.params["kernel"], solution[:3], atol=1e-3)


def test_a_nonfinite_step_is_skipped_by_apply_if_finite():
    optimizer = OPTIMIZERS["if finite"]
    step = make_train_step(loss_fn, optimizer)
    state = init_state(params(), optimizer, key=KEY)
    state, values = step(state, (np.full_like(X, np.nan), TARGETS))
    assert np.isnan(values["loss"])
    np.testing.assert_array_equal(state.params["kernel"], params()["kernel"])
