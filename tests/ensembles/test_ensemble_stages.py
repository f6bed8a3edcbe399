"""Tests of stages: members wait for each other, some are dropped, and the others go on exactly."""

import functools
from concurrent.futures import Future

import jax
import numpy as np
import optax
import pytest
from fits import LINEAR, LINEAR_CONFIG, VALIDATION, assert_same, make_loader

import jaxmlp
from jaxmlp.ensembles import runs, sweeps

MEMBERS, EPOCHS = 9, 7
KEYS = jax.random.split(jax.random.key(2), MEMBERS)
RATES = np.geomspace(0.001, 1.0, MEMBERS).astype(np.float32)
KEPT = np.array([False, True, False, False, True, True, False, True, False])
STRATEGIES = {
    "vmap": {"strategy": "vmap"},
    "one": {"members_at_once": 1},
    "two in two threads": {"members_at_once": 2, "threads": 2},
    "two on two devices": {"members_at_once": 2, "strategy": "shard"},
}


def init(key):
    return jaxmlp.init_params(LINEAR_CONFIG, key=key)


def make_optimizer(h):
    return optax.adam(h["learning_rate"])


def fit_members(chosen=slice(None), /, **settings):
    settings = {
        "epochs": EPOCHS,
        "keys": KEYS[chosen],
        "seeds": np.arange(MEMBERS)[chosen],
        "hyperparameters": {"learning_rate": RATES[chosen]},
        "validation": VALIDATION,
    } | settings
    return jaxmlp.fit_members(LINEAR["loss_fn"], make_optimizer, init, make_loader(), **settings)


@functools.cache
def fit_whole(strategy):
    return fit_members(**STRATEGIES[strategy])


def keep_by(stage_to_kept):
    return lambda epochs, _: stage_to_kept[epochs]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_is_kept_goes_on_as_if_the_others_had_never_been_dropped(strategy):
    again = KEPT & (np.arange(MEMBERS) > 4)
    keep = keep_by({2: KEPT, 5: again})
    result = fit_members(stages=(2, 5), keep=keep, **STRATEGIES[strategy])
    whole = fit_whole(strategy)
    for k in np.flatnonzero(again):
        assert_same(result.member(k), whole.member(k))
        assert_same(result.history["loss"][k], whole.history["loss"][k])
    ran = np.isfinite(result.history["loss"]).sum(axis=1)
    assert ran.tolist() == np.where(again, EPOCHS, np.where(KEPT, 5, 2)).tolist()
    assert result.stopped_by.tolist() == np.where(again, "epochs", "dropped").tolist()


def test_who_is_dropped_keeps_what_it_had():
    result = fit_members(stages=(2,), keep=keep_by({2: KEPT}))
    short = fit_members(epochs=2)
    for k in np.flatnonzero(~KEPT):
        assert_same(result.member(k), short.member(k))
        assert result.best_epoch[k] == short.best_epoch[k]


def test_keep_is_given_the_history_so_far():
    seen = {}

    def keep(epochs, history):
        seen[epochs] = {name: values.copy() for name, values in history.items()}
        return np.ones(MEMBERS, bool)

    result = fit_members(stages=(1, 4), keep=keep)
    assert list(seen) == [1, 4]
    for epochs, history in seen.items():
        assert list(history) == list(result.history)
        for name, values in history.items():
            np.testing.assert_array_equal(values, result.history[name][:, :epochs])


def test_members_of_several_architectures_wait_for_each_other():
    def make_init(h, key):
        config = jaxmlp.MLPConfig(in_features=4, hidden_features=h["hidden"], out_features=3)
        return jaxmlp.init_params(config, key=key)

    def make_loss(h):
        config = jaxmlp.MLPConfig(in_features=4, hidden_features=h["hidden"], out_features=3)
        return jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)

    def keep(epochs, history):
        assert np.isfinite(history["loss"]).sum(axis=1).tolist() == [epochs] * 4
        return np.array([True, False, False, True])

    def fit_kept(**settings):
        return jaxmlp.fit_members(
            make_loss,
            optax.sgd(0.1),
            make_init,
            make_loader(),
            epochs=3,
            keys=KEYS[:4],
            hyperparameters={"hidden": [(), (5,), (), (5,)]},
            **settings,
        )

    result = fit_kept(stages=[1], keep=keep)
    assert result.stopped_by.tolist() == ["epochs", "dropped", "dropped", "epochs"]
    whole = fit_kept()
    for k in (0, 3):
        assert_same(result.member(k), whole.member(k))


def test_nobody_is_kept():
    result = fit_members(stages=[1], keep=keep_by({1: np.zeros(MEMBERS, bool)}))
    assert result.stopped_by.tolist() == ["dropped"] * MEMBERS
    assert result.history["loss"].shape == (MEMBERS, EPOCHS)


def test_patience_before_a_stage_is_told_as_such():
    result = fit_members(
        epochs=40, patience=1, stages=[35], keep=keep_by({35: np.zeros(MEMBERS, bool)})
    )
    ran = np.isfinite(result.history["loss"]).sum(axis=1)
    expected = np.where(ran < 35, "patience", "dropped")
    assert set(expected) == {"patience", "dropped"}
    assert result.stopped_by.tolist() == expected.tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_few_members_left_are_computed_in_smaller_pieces_where_it_pays(monkeypatch, strategy):
    monkeypatch.setattr(runs, "COMPILE_SECONDS", 0.0)
    places = []
    fill_up = sweeps.fill_up
    monkeypatch.setattr(
        sweeps, "fill_up", lambda chosen, size: places.append(size) or fill_up(chosen, size)
    )
    kept = np.arange(MEMBERS) == 3
    result = fit_members(stages=[2], keep=keep_by({2: kept}), **STRATEGIES[strategy])
    assert places[-1] == (2 if "devices" in strategy else 1)
    jax.tree.map(
        # Batched matrix products round otherwise.
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        result.member(3),
        fit_whole(strategy).member(3),
    )


def test_calls_end_at_stages(monkeypatch):
    firsts = []
    draw = runs.draw_index

    def note(sweep, members, first, until):
        firsts.append((first, sweep.epochs_per_call))
        return draw(sweep, members, first, until)

    monkeypatch.setattr(runs, "draw_index", note)
    fit_members(epochs=12, stages=(3, 6), keep=lambda *_: np.ones(MEMBERS, bool), threads=1)
    # 3, 3 and 6 epochs: what is behind a stage is left out of its last call.
    assert set(firsts) == {(0, 8), (3, 8), (6, 8)}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"stages": [2]}, ValueError, "stages and keep have an effect together only"),
        ({"keep": lambda *_: KEPT}, ValueError, "stages and keep have an effect together only"),
        ({"stages": [2, 2], "keep": lambda *_: KEPT}, ValueError, "stages must increase"),
        ({"stages": [7], "keep": lambda *_: KEPT}, ValueError, "stages must increase.*epochs=7"),
        ({"stages": [0], "keep": lambda *_: KEPT}, ValueError, "stages must be"),
        ({"stages": [1], "keep": lambda *_: 1 * KEPT}, TypeError, "keep must return booleans"),
        ({"stages": [1], "keep": lambda *_: KEPT[1:]}, ValueError, r"shape \(9,\); got \(8,\)"),
    ],
)
def test_bad_stages_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        fit_members(**settings)


class OneAfterTheOther:
    """Runs what is submitted at once, as threads might."""

    def __init__(self, threads):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_no_member_is_trained_twice_though_others_come_as_far_meanwhile(monkeypatch):
    calls = []

    def train(group, batch, until, _):
        members = batch.positions[: batch.used]
        calls.append((until, *members))
        # Member k is at epoch k after the first stage, and takes one more in the next.
        group.progress.state.epoch[members] += members if until == 1 else 1

    monkeypatch.setattr(sweeps, "ThreadPoolExecutor", OneAfterTheOther)
    monkeypatch.setattr(sweeps, "train_member_batch", train)
    keep_all = lambda *_: np.ones(MEMBERS, bool)  # noqa: E731
    fit_members(stages=[1], keep=keep_all, members_at_once=1, threads=1, epochs=MEMBERS + 1)
    second = [member for until, *members in calls if until > 1 for member in members]
    assert sorted(second) == list(range(MEMBERS))


def test_an_interrupt_in_keep_returns_what_was_reached():
    def interrupt(*_):
        raise KeyboardInterrupt

    result = fit_members(stages=[2], keep=interrupt)
    assert (result.stopped_by == "interrupt").all()
    assert (np.isfinite(result.history["loss"]).sum(axis=1) == 2).all()
