"""Tests that every member is what `fit` gives alone, however members are computed."""

import functools

import jax
import numpy as np
import optax
import pytest
from fits import CONFIG, LOSS, VALIDATION, X, Y, assert_same, fit, make_loader

import jaxmlp
from jaxmlp.ensembles import runs, stages

MEMBERS, EPOCHS = 3, 8
KEYS = jax.random.split(jax.random.key(5), MEMBERS)
SEEDS = [3, 1, 4]
RATES = np.array([0.01, 0.03, 0.3], np.float32)
ROW_WEIGHTS = jaxmlp.ensembles.bootstrap_weights(len(X), seeds=range(MEMBERS))
# No step draws from this one.
INIT_FOLD = np.uint32(2**32 - 1)

SETTINGS = {
    "patience": {"patience": 2},
    "last average": {"swa_start": 5, "validation": None, "accumulate_steps": 2},
    "bootstrap": {
        "row_weights": ROW_WEIGHTS,
        "ema_decay": 0.5,
        "monitor": "accuracy",
        "mode": "max",
    },
}


def init(key):
    return jaxmlp.init_params(CONFIG, key=key)


def make_optimizer(h):
    return optax.adam(h["learning_rate"])


def fit_members(chosen=slice(None), /, **settings):
    settings = {
        "epochs": EPOCHS,
        "keys": KEYS[chosen],
        "hyperparameters": {"learning_rate": RATES[chosen]},
        "seeds": np.array(SEEDS)[chosen],
        "validation": VALIDATION,
    } | settings
    if "row_weights" in settings:
        settings["row_weights"] = settings["row_weights"][chosen]
    return jaxmlp.fit_members(LOSS, make_optimizer, init, make_loader(), **settings)


@functools.cache
def fit_alone(name):
    settings = {"validation": VALIDATION} | SETTINGS[name]
    row_weights = settings.pop("row_weights", np.ones((MEMBERS, len(X)), np.float32))
    return [
        fit(
            make_loader(weight=make_loader().weight * row_weights[k], seed=SEEDS[k]),
            # An array, as the members have: a Python float is rounded elsewhere.
            optimizer=optax.adam(jax.numpy.asarray(RATES[k])),
            params=init(jax.random.fold_in(KEYS[k], INIT_FOLD)),
            key=KEYS[k],
            epochs=EPOCHS,
            **settings,
        )
        for k in range(MEMBERS)
    ]


@functools.cache
def fit_together(name, strategy):
    options = {"members_at_once": strategy} if isinstance(strategy, int) else {"strategy": strategy}
    return fit_members(**SETTINGS[name], **options)


@pytest.mark.parametrize("name", SETTINGS)
def test_one_at_a_time_each_member_equals_its_fit_alone_bit_for_bit(name):
    result = fit_together(name, 1)
    for k, alone in enumerate(fit_alone(name)):
        assert_same(result.member(k), alone.params)


@pytest.mark.parametrize("strategy", ["vmap", "shard", 2])
@pytest.mark.parametrize("name", ["patience", "bootstrap"])
def test_computed_together_each_member_equals_its_fit_alone(name, strategy):
    result = fit_together(name, strategy)
    # Batched matrix products round otherwise; 40 steps of Adam carry that on.
    for k, alone in enumerate(fit_alone(name)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
            result.member(k),
            alone.params,
        )


@pytest.mark.parametrize("strategy", ["vmap", "shard", 1, 2])
def test_each_member_stops_by_itself(strategy):
    result = fit_together("patience", strategy)
    alone = fit_alone("patience")
    assert result.stopped_by.tolist() == [one.stopped_by for one in alone]
    assert result.best_epoch.tolist() == [one.best_epoch for one in alone]
    ran = np.isfinite(result.history["loss"]).sum(axis=1)
    assert ran.tolist() == [len(one.history["epoch"]) for one in alone]
    assert len(set(ran.tolist())) > 1


@pytest.mark.parametrize("strategy", ["vmap", "shard", 1, 2])
def test_each_member_has_its_history(strategy):
    result = fit_together("patience", strategy)
    for k, alone in enumerate(fit_alone("patience")):
        for name in set(alone.history) - {"epoch"}:
            ran = len(alone.history[name])
            np.testing.assert_allclose(
                result.history[name][k, :ran], alone.history[name], rtol=2e-3, atol=2e-4
            )
            assert np.isnan(result.history[name][k, ran:]).all()


def test_history_has_the_metrics_of_fit():
    assert set(fit_together("patience", 1).history) == set(fit_alone("patience")[0].history) - {
        "epoch"
    }


def test_best_value_is_the_monitored_value_of_the_best_epoch():
    result = fit_together("patience", 1)
    best = result.history["validation_loss"][np.arange(MEMBERS), result.best_epoch]
    np.testing.assert_array_equal(result.best_value, best)
    np.testing.assert_array_equal(
        result.best_value, np.nanmin(result.history["validation_loss"], 1)
    )


def test_one_member_equals_fit():
    result = fit_members(slice(0, 1), patience=2)
    assert_same(result.member(0), fit_alone("patience")[0].params)


@pytest.mark.parametrize("strategy", ["vmap", "shard", 1, 2])
def test_the_order_of_members_does_not_matter(strategy):
    order = np.array([1, 2, 0])
    options = {"members_at_once": strategy} if isinstance(strategy, int) else {"strategy": strategy}
    shuffled = fit_members(order, patience=2, **options)
    for position, k in enumerate(order):
        assert_same(shuffled.member(position), fit_together("patience", strategy).member(k))


def test_threads_and_memory_do_not_change_the_result():
    expected = fit_together("patience", 1)
    for options in ({"threads": 1}, {"threads": 2}, {"memory": 1}):
        assert_same(fit_members(patience=2, **options).params, expected.params)


def test_without_seeds_members_share_the_order_of_the_loader():
    # Together, members of one order share the product of the first layer, which rounds otherwise.
    result = fit_members(seeds=None, members_at_once=1)
    seeds = [make_loader().seed] * MEMBERS
    assert_same(result.params, fit_members(seeds=seeds, members_at_once=1).params)


def test_stacked_parameters_are_a_start():
    params = jax.vmap(init)(jax.vmap(lambda key: jax.random.fold_in(key, INIT_FOLD))(KEYS))
    result = jaxmlp.fit_members(
        LOSS, optax.sgd(0.1), params, make_loader(), epochs=1, keys=KEYS, members_at_once=1
    )
    alone = [
        fit(
            optimizer=optax.sgd(0.1),
            params=jax.tree.map(lambda leaf, k=k: leaf[k], params),
            epochs=1,
            key=KEYS[k],
        )
        for k in range(MEMBERS)
    ]
    for k, one in enumerate(alone):
        assert_same(result.member(k), one.params)
    params.output.bias.block_until_ready()  # Not donated.


def test_the_loader_transform_is_compiled_into_the_steps():
    def double(batch):
        return batch._replace(x=2 * batch.x)

    loaders = make_loader(transform=double), make_loader(2 * X, Y)
    one, other = (
        jaxmlp.fit_members(LOSS, optax.sgd(0.1), init, loader, epochs=2, keys=KEYS)
        for loader in loaders
    )
    assert_same(one.params, other.params)


def test_a_whole_sweep_is_compacted_to_the_members_that_still_run(monkeypatch):
    expected = fit_together("patience", "vmap")
    monkeypatch.setattr(runs, "COMPILE_SECONDS", 0.0)
    monkeypatch.setattr("jaxmlp.ensembles.sweeps.CALL_SECONDS", 1e-9)
    sizes = []
    fill_up = runs.fill_up
    monkeypatch.setattr(
        runs,
        "fill_up",
        lambda kept, places: sizes.append(places) or fill_up(kept, places),
    )
    result = fit_members(patience=2, strategy="vmap")
    assert sizes
    assert sizes == sorted(sizes, reverse=True)
    assert result.stopped_by.tolist() == expected.stopped_by.tolist()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
        result.params,
        expected.params,
    )


def test_shard_computes_half_of_the_members_on_each_device(monkeypatch):
    shards = []

    def note(state):
        shards.append({s.device: s.data.shape[0] for s in state.epoch.addressable_shards})

    keep = runs._keep
    monkeypatch.setattr(runs, "_keep", lambda a, b, state: note(state) or keep(a, b, state))
    fit_members(strategy="shard", epochs=1)
    assert shards == [dict.fromkeys(jax.local_devices(), 2)]


def test_an_interrupt_returns_what_was_reached(monkeypatch):
    draw, make_hooks, made = runs.draw_index, stages.Hooks, []

    def draw_and_interrupt(sweep, members, first, until):
        if first == 2:
            made[-1].interrupted.set()
        return draw(sweep, members, first, until)

    def note_watch(*fields):
        made.append(make_hooks(*fields))
        return made[-1]

    monkeypatch.setattr(runs, "draw_index", draw_and_interrupt)
    monkeypatch.setattr(stages, "Hooks", note_watch)
    monkeypatch.setattr("jaxmlp.ensembles.sweeps.CALL_SECONDS", 1e-9)
    result = fit_members(threads=1, members_at_once=MEMBERS)
    assert result.stopped_by.tolist() == ["interrupt"] * MEMBERS
    assert np.isfinite(result.history["loss"]).sum(axis=1).tolist() == [2] * MEMBERS
    whole = fit_members(threads=1, members_at_once=MEMBERS, epochs=2)
    assert_same(result.params, whole.params)


def test_an_optimizer_may_hold_a_random_key():
    noise = optax.add_noise(0.01, 0.55, jax.random.key(7))
    optimizer = optax.chain(noise, optax.sgd(0.1))
    result = jaxmlp.fit_members(
        LOSS, optimizer, init, make_loader(), epochs=2, keys=KEYS[:2], strategy="vmap"
    )
    for k, row in enumerate(result.history["loss"]):
        params = init(jax.random.fold_in(KEYS[k], INIT_FOLD))
        alone = fit(optimizer=optimizer, params=params, key=KEYS[k], epochs=2)
        # Batched matrix products round otherwise.
        np.testing.assert_allclose(row, alone.history["loss"], rtol=1e-4)
