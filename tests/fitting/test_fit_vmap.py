"""Tests that a whole run can be vmapped: members with parameters, keys and orders of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import CONFIG, LOSS, VALIDATION, X, Y, fit, make_loader

import jaxmlp
from jaxmlp.fitting import Plan, init_fit_state, program

MEMBERS, EPOCHS = 3, 8
OPTIMIZER = optax.adam(0.03)
SETTINGS = {"loss_fn": LOSS, "optimizer": OPTIMIZER, "epochs": EPOCHS, "validation": VALIDATION}
PARAMS = [jaxmlp.init_params(CONFIG, key=jax.random.key(10 + i)) for i in range(MEMBERS)]
KEYS = [jax.random.key(20 + i) for i in range(MEMBERS)]
LOADERS = [make_loader(X, Y, seed=30 + i) for i in range(MEMBERS)]

FEATURES = {
    "patience": {"patience": 2},
    "moving average, skipping": {"patience": 2, "ema_decay": 0.5, "nonfinite": "skip"},
    "plain average": {"swa_start": 2},
}


@functools.cache
def run_members(name):
    """Returns the three runs by themselves, and all in one program."""
    settings = FEATURES[name]
    alone = [
        fit(loader, params=params, key=key, **SETTINGS, **settings)
        for loader, params, key in zip(LOADERS, PARAMS, KEYS, strict=True)
    ]
    nonfinite = settings.get("nonfinite", "raise")
    fields = {k: v for k, v in settings.items() if k != "nonfinite"}
    plan = Plan(**fields, skip_nonfinite=nonfinite == "skip")
    states = [
        init_fit_state(jaxmlp.init_state(params, OPTIMIZER, key=key), plan, validated=True)
        for params, key in zip(PARAMS, KEYS, strict=True)
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    orders = [[loader.index(e).astype(np.int32) for e in range(EPOCHS)] for loader in LOADERS]
    rows = jax.tree.map(jnp.asarray, jaxmlp.Batch(X, Y, LOADERS[0].weight))
    validation = jax.tree.map(jnp.asarray, jaxmlp.Batch(*VALIDATION))
    steps = jnp.int32(len(LOADERS[0]))
    run = functools.partial(program.run_epochs, LOSS, OPTIMIZER, plan, steps=steps, vmapped=True)
    together = jax.jit(jax.vmap(run, in_axes=(0, None, 0, None, None)))(
        stacked, rows, jnp.asarray(orders), np.int32(EPOCHS), validation
    )
    return alone, together


@pytest.fixture(params=FEATURES)
def runs(request):
    return run_members(request.param)


def member(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def assert_close(a, b):
    # Batched matrix products round otherwise; 60 steps carry that on.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-3, atol=2e-4), a, b)


def test_members_stop_at_epochs_of_their_own():
    alone, _ = run_members("patience")
    ended = [len(result.history["epoch"]) for result in alone]
    assert len(set(ended)) == MEMBERS
    assert min(ended) < EPOCHS


def test_each_member_runs_as_many_epochs_as_alone(runs):
    alone, (_, metrics) = runs
    expected = [len(result.history["epoch"]) for result in alone]
    assert metrics["ran"].sum(axis=1).tolist() == expected


def test_each_member_has_its_best_epoch(runs):
    alone, (state, _) = runs
    assert state.best_epoch.tolist() == [result.best_epoch for result in alone]


def test_each_member_has_its_best_parameters(runs):
    alone, (state, _) = runs
    for index, result in enumerate(alone):
        assert_close(member(state.best_params, index), result.params)


def test_each_member_has_its_last_state(runs):
    alone, (state, _) = runs
    for index, result in enumerate(alone):
        last = member(state.train, index)
        assert int(last.step) == int(result.state.step)
        assert_close((last.params, last.opt_state), (result.state.params, result.state.opt_state))


def test_each_member_has_its_history(runs):
    alone, (_, metrics) = runs
    for index, result in enumerate(alone):
        ran = np.asarray(metrics["ran"][index])
        for name in set(result.history) - {"epoch"}:
            np.testing.assert_allclose(
                metrics[name][index][ran], result.history[name], rtol=2e-3, atol=2e-4
            )


def test_members_differ():
    alone, _ = run_members("patience")
    losses = {float(result.history["loss"][0]) for result in alone}
    assert len(losses) == MEMBERS
