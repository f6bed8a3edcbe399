"""Tests of what members may differ in: numbers without compiling anew, and architectures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compilations import CountingLoss, compilations
from fits import X, Y, assert_same, make_loader

import jaxmlp

CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=3)
LINEAR = jaxmlp.MLPConfig(in_features=4, out_features=3)
KEYS = jax.random.split(jax.random.key(0), 4)
LOSS = jaxmlp.make_loss(CONFIG, jaxmlp.losses.softmax_cross_entropy)
LINEAR_LOSS = jaxmlp.make_loss(LINEAR, jaxmlp.losses.softmax_cross_entropy)
SGD = optax.sgd(0.1)
# A traced number is rounded where a Python float is folded into the program: 10 steps apart.
RTOL = 1e-4


def init(key, config=CONFIG):
    return jaxmlp.init_params(config, key=key)


init_linear = functools.partial(init, config=LINEAR)


def fit_members(loss=LOSS, optimizer=SGD, params=init, data=None, **settings):
    settings = {"epochs": 2, "keys": KEYS} | settings
    data = make_loader() if data is None else data
    return jaxmlp.fit_members(loss, optimizer, params, data, **settings)


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=RTOL, atol=1e-6), a, b)


def make_adamw(h):
    schedule = optax.linear_schedule(h["learning_rate"], h["last_rate"], 5)
    return optax.adamw(schedule, b1=h["b1"], b2=h["b2"], weight_decay=h["weight_decay"])


def make_smoothed(h):
    criterion = functools.partial(
        jaxmlp.losses.softmax_cross_entropy, label_smoothing=h["label_smoothing"]
    )
    return jaxmlp.make_loss(CONFIG, criterion)


def make_dropping(h):
    return jaxmlp.make_loss(
        CONFIG, jaxmlp.losses.softmax_cross_entropy, dropout_rate=h["dropout_rate"]
    )


NUMBERS = {
    "optimizer": (
        {"optimizer": make_adamw},
        {
            "learning_rate": [0.01, 0.02],
            "last_rate": [0.001, 0.01],
            "b1": [0.8, 0.9],
            "b2": [0.99, 0.999],
            "weight_decay": [0.0, 0.1],
        },
    ),
    "label smoothing": ({"loss": make_smoothed}, {"label_smoothing": [0.0, 0.2]}),
    "dropout": ({"loss": make_dropping}, {"dropout_rate": [0.0, 0.4]}),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_traced_numbers_give_what_python_numbers_give(name):
    makers, hyperparameters = NUMBERS[name]
    result = fit_members(**makers, keys=KEYS[:2], hyperparameters=hyperparameters)
    k = 1
    chosen = {name: values[k] for name, values in hyperparameters.items()}
    fixed = {name: make(chosen) for name, make in makers.items()}
    assert_close(result.member(k), fit_members(**fixed, keys=KEYS[k : k + 1]).member(0))
    assert not np.allclose(result.history["loss"][0, -1], result.history["loss"][1, -1])


def test_a_sweep_is_compiled_once_whatever_its_numbers():
    def make_optimizer(h):
        return optax.sgd(h["learning_rate"])

    loss, loader = CountingLoss(LINEAR_LOSS), make_loader()
    for rates in ([0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]):
        fit_members(
            loss, make_optimizer, init_linear, loader, hyperparameters={"learning_rate": rates}
        )
    assert loss.traces == {"training": 1}


def test_each_architecture_is_compiled_once():
    made = []

    def make_loss(h):
        made.append(h["config"])
        return jaxmlp.make_loss(h["config"], jaxmlp.losses.softmax_cross_entropy)

    with compilations() as counts:
        fit_members(
            make_loss,
            params=lambda h, key: jaxmlp.init_params(h["config"], key=key),
            hyperparameters={"config": [LINEAR, CONFIG, LINEAR, CONFIG]},
        )
    # Once to initialise and once to run; the loss is not needed for the first.
    assert counts["mapped"] == 4
    assert set(made) == {LINEAR, CONFIG}


@functools.cache
def fit_groups():
    return fit_members(
        lambda h: jaxmlp.make_loss(h["config"], jaxmlp.losses.softmax_cross_entropy),
        lambda h: optax.sgd(h["learning_rate"]),
        lambda h, key: jaxmlp.init_params(h["config"], key=key),
        hyperparameters={
            "config": [LINEAR, CONFIG, LINEAR, CONFIG],
            "learning_rate": [0.1, 0.2, 0.3, 0.4],
        },
    )


def test_members_are_grouped_by_architecture():
    groups = fit_groups().groups
    assert [group.numbers.tolist() for group in groups] == [[0, 2], [1, 3]]
    assert [group.settings for group in groups] == [{"config": LINEAR}, {"config": CONFIG}]
    assert groups[0].params.output.kernel.shape == (2, 4, 3)


def test_a_member_of_a_group_equals_the_member_alone():
    result = fit_groups()
    alone = fit_members(
        optimizer=lambda h: optax.sgd(h["learning_rate"]),
        keys=KEYS[3:],
        hyperparameters={"learning_rate": [0.4]},
        members_at_once=1,
    )
    assert_close(result.member(3), alone.member(0))
    assert_close(result.history["loss"][3], alone.history["loss"][0])


def test_members_of_several_architectures_have_no_stacked_parameters():
    with pytest.raises(ValueError, match=r"members of one architecture.*2 groups"):
        _ = fit_groups().params


def test_a_member_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="number must be an int of at least 0 and below 4; got 4"):
        fit_groups().member(4)


def test_dropout_of_rate_0_is_none():
    assert_same(
        fit_members(make_dropping, hyperparameters={"dropout_rate": np.zeros(4)}).params,
        fit_members().params,
    )


@pytest.mark.bad_input
def test_a_traced_dropout_rate_in_a_config_tells_where_it_belongs():
    def make_loss(h):
        config = jaxmlp.MLPConfig(
            in_features=4, hidden_features=(8,), out_features=3, dropout_rate=h["dropout_rate"]
        )
        return jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)

    with pytest.raises(TypeError, match="dropout_rate must be a number") as caught:
        fit_members(make_loss, hyperparameters={"dropout_rate": [0.0, 0.1, 0.2, 0.3]})
    assert "make_loss(config, criterion, dropout_rate=...)" in caught.value.__notes__[0]


def test_dropout_rate_of_apply_replaces_that_of_the_config():
    dropping = jaxmlp.MLPConfig(
        in_features=4, hidden_features=(8,), out_features=3, dropout_rate=0.3
    )
    params, key = init(KEYS[0]), jax.random.key(1)
    expected = jaxmlp.apply(params, X, config=dropping, key=key)
    given = jaxmlp.apply(params, X, config=CONFIG, key=key, dropout_rate=0.3)
    traced = jax.jit(
        lambda rate: jaxmlp.apply(params, X, config=CONFIG, key=key, dropout_rate=rate)
    )(jnp.asarray(0.3))
    np.testing.assert_array_equal(given, expected)
    np.testing.assert_allclose(traced, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", ["apply", "make_loss"])
def test_dropout_rates_that_make_no_sense_are_refused(function):
    def call(config, rate):
        if function == "make_loss":
            return jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy, dropout_rate=rate)
        params = init(KEYS[0], config)
        return jaxmlp.apply(params, X, config=config, key=KEYS[1], dropout_rate=rate)

    with pytest.raises(ValueError, match=r"dropout_rate must be in \[0, 1\); got 1.0"):
        call(CONFIG, 1.0)
    with pytest.raises(ValueError, match=r"dropout_rate acts on hidden layers"):
        call(LINEAR, 0.5)


def test_weights_of_folds_give_the_fits_on_the_subsets():
    training, validation = jaxmlp.ensembles.fold_weights(len(X), 2, seed=0)
    loader = jaxmlp.DataLoader(X, Y, batch_size=len(X))
    result = fit_members(
        data=loader,
        keys=KEYS[:2],
        epochs=5,
        row_weights=training,
        validation=loader,
        validation_weights=validation,
    )
    for fold in range(2):
        chosen = training[fold] > 0
        alone = fit_members(
            data=jaxmlp.DataLoader(X[chosen], Y[chosen], batch_size=int(chosen.sum())),
            keys=KEYS[fold : fold + 1],
            epochs=5,
            validation=(X[~chosen], Y[~chosen]),
        )
        # Sums over a whole batch in another order.
        assert_close(result.member(fold), alone.member(0))
        for name, values in alone.history.items():
            assert_close(result.history[name][fold], values[0])


@pytest.mark.parametrize("weighed", [False, True])
def test_validation_rows_are_those_that_a_member_is_validated_on(weighed):
    rows = np.array([[0, 2, 5], [1, 2, 2]])
    weights = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 3.0]])
    told = {"validation_weights": weights} if weighed else {}
    settings = {"keys": KEYS[:2], "validation": (X, Y), "strategy": "vmap"}
    result = fit_members(**settings, validation_rows=rows, **told)
    everywhere = np.zeros((2, len(X)))
    for member in range(2):
        np.add.at(everywhere[member], rows[member], weights[member] if weighed else 1)
    same = fit_members(**settings, validation_weights=everywhere)
    # Sums over rows in another order.
    assert_close(result.history, same.history)
    assert_same(result.params, same.params)


@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_bools_make_groups_in_arrays_too(array):
    def make_fast(h):
        return optax.sgd(0.1 if h["fast"] else 0.01)

    result = fit_members(
        optimizer=make_fast, hyperparameters={"fast": array([True, False, True])}, keys=KEYS[:3]
    )
    assert [group.numbers.tolist() for group in result.groups] == [[0, 2], [1]]


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_traced_dropout_rate_out_of_range_gives_nan(rate):
    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    apply = functools.partial(jaxmlp.apply, config=CONFIG, key=jax.random.key(1))
    outputs = jax.jit(lambda rate: apply(params, X, dropout_rate=rate))(rate)
    assert np.isnan(outputs).all()
