"""Programs are compiled once for functions of equal content."""

import functools

import jax
import numpy as np
import optax
import pytest
from compilations import compilations
from fits import KEY, X, Y

import jaxmlp
from jaxmlp.fitting.program_cache import ProgramCache, content_key

CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(5,), out_features=3)
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))


def make_loss():
    metrics = {"accuracy": jaxmlp.metrics.accuracy}
    return jaxmlp.make_loss(CONFIG, jaxmlp.losses.softmax_cross_entropy, metrics=metrics)


def train(rows=slice(None), *, rate=1e-2, epochs=4, seed=0, validation=None, **settings):
    loader = jaxmlp.DataLoader(X[rows], Y[rows], batch_size=12, shuffle=True, seed=seed)
    key = jax.random.key(seed)
    return jaxmlp.fit(
        *(make_loss(), optax.adam(rate), PARAMS, loader),
        epochs=epochs,
        key=key,
        validation=validation,
        **settings,
    )


def programs(counts):
    return {name: n for name, n in counts.items() if name in ("run_epochs", "run_steps", "_finish")}


@pytest.mark.parametrize("driver", ["auto", "epoch", "chunk"])
def test_seeds_folds_and_equal_functions_share_one_program(driver):
    train(driver=driver, validation=(X[:9], Y[:9]))
    with compilations() as counts:
        for seed in range(5):
            train(driver=driver, seed=seed, validation=(X[:9], Y[:9]))
        for fold in np.array_split(np.arange(len(X)), 4):
            rest = np.setdiff1d(np.arange(len(X)), fold)
            train(rest, driver=driver, validation=(X[fold], Y[fold]))
    assert programs(counts) == {}


def test_another_number_of_epochs_or_rows_shares_the_program():
    train(epochs=40)
    with compilations() as counts:
        train(epochs=41)
        train(slice(49), epochs=40)
    assert programs(counts) == {}


def test_another_learning_rate_compiles_once_more():
    train(rate=0.011)
    with compilations() as counts:
        train(rate=0.012)
        train(rate=0.011)
        train(rate=0.012)
    assert programs(counts) == {"run_epochs": 1}


def test_members_of_equal_functions_share_programs():
    def fit_members(epochs, rows):
        return jaxmlp.fit_members(
            make_loss(),
            lambda h: optax.adam(h["rate"]),
            lambda key: jaxmlp.init_params(CONFIG, key=key),
            jaxmlp.DataLoader(X[:rows], Y[:rows], batch_size=12),
            epochs=epochs,
            keys=jax.random.split(KEY, 2),
            hyperparameters={"rate": [0.1, 0.01]},
        )

    fit_members(5, 50)
    with compilations() as counts:
        fit_members(5, 50)
        fit_members(6, 50)
        fit_members(5, 49)
    assert not {"mapped", "call"} & counts.keys()
    assert not [name for name in counts if "run" in name or "start" in name]


def test_filled_up_rows_change_no_number():
    # Rows of both numbers are filled up to 64; 50 rows alone are the first ones of 64.
    result = train(slice(50), epochs=3, validation=(X[:9], Y[:9]))
    state = jaxmlp.init_state(PARAMS, optax.adam(1e-2), key=jax.random.key(0))
    step = jaxmlp.make_train_step(make_loss(), optax.adam(1e-2))
    loader = jaxmlp.DataLoader(X, Y, batch_size=12, shuffle=True, seed=0)
    for epoch in range(3):
        for batch in loader.epoch(epoch):
            state, _ = step(state, batch)
    jax.tree.map(np.testing.assert_array_equal, result.state.params, state.params)
    loss, metrics = make_loss()(state.params, jaxmlp.Batch(X[:9], Y[:9]), None)
    # A mean over 16 places instead of 9.
    np.testing.assert_allclose(result.history["validation_loss"][-1], loss, rtol=1e-6)
    assert result.history["validation_accuracy"][-1] == pytest.approx(float(metrics["accuracy"]))


def test_losses_of_equal_config_and_criterion_are_equal():
    assert make_loss() == make_loss()
    assert hash(make_loss()) == hash(make_loss())
    quantile = [functools.partial(jaxmlp.losses.quantile, levels=(q,)) for q in (0.1, 0.1, 0.9)]
    one, same, other = (jaxmlp.make_loss(CONFIG, criterion) for criterion in quantile)
    assert one == same
    assert one != other


VALUES = [0, 0.0, -0.0, 1, 1.0, True, "1", None, float("nan"), (1,), [1], {1: 2}, {2: 1}, 1j, b"1"]


def test_values_that_differ_have_keys_that_differ():
    keys = [content_key(lambda value=value: value) for value in VALUES]
    assert len(set(keys)) == len(VALUES)


OPTIMIZERS = {
    "adam": lambda: optax.adam(1e-3),
    "schedule and mask": lambda: optax.adamw(
        optax.cosine_decay_schedule(1e-3, 9), mask=jaxmlp.kernel_mask
    ),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, 0.9)),
    "partition": lambda: optax.partition(
        {"a": optax.adam(1e-3)}, lambda params: jax.tree.map(lambda _: "a", params)
    ),
    "MultiSteps": lambda: optax.MultiSteps(optax.adam(1e-3), 2),
    "injected": lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
    "lbfgs": lambda: optax.lbfgs(),
    "noise": lambda: optax.add_noise(0.1, 0.5, jax.random.key(3)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_new_optimizers_of_equal_settings_have_one_key(name):
    assert content_key(OPTIMIZERS[name]()) == content_key(OPTIMIZERS[name]())


def test_optimizers_of_other_settings_have_other_keys():
    keys = [content_key(optax.adam(1e-3, **s)) for s in ({}, {"b1": 0.8}, {"eps": 1e-6})]
    assert len(set(keys)) == 3


def test_a_cache_forgets_what_was_used_longest_ago():
    cache, made = ProgramCache(2), []

    def get(value):
        return cache.get(value, "name", lambda _: made.append(value) or value)

    for value in (1, 2, 1, 3, 1, 2):
        assert get(value) == value
    assert made == [1, 2, 3, 2]


def test_batches_are_evaluated_by_one_program():
    loss_fn, batches = make_loss(), [jaxmlp.Batch(X[:12], Y[:12])]
    first = jaxmlp.evaluate(loss_fn, PARAMS, batches)
    with compilations() as counts:
        assert jaxmlp.evaluate(make_loss(), PARAMS, batches) == first
    assert "outputs" not in counts


def test_a_loss_over_values_nested_too_deep_for_a_key_trains():
    nested = []
    for _ in range(400):
        nested = [nested]
    loss_fn = make_loss()

    def deep(params, batch, key):
        assert nested
        return loss_fn(params, batch, key)

    loader = jaxmlp.DataLoader(X, Y, batch_size=12)
    settings = {"epochs": 2, "key": KEY, "driver": "epoch"}
    result = jaxmlp.fit(deep, optax.adam(1e-2), PARAMS, loader, **settings)
    expected = jaxmlp.fit(loss_fn, optax.adam(1e-2), PARAMS, loader, **settings)
    jax.tree.map(np.testing.assert_array_equal, result.params, expected.params)
