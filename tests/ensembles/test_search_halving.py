"""Tests that halving drops the candidates that are behind, and leaves the others as they are."""

import functools

import numpy as np
import pytest
from fits import X
from test_search import FOLDS, search

import jaxmlp
from jaxmlp.ensembles import Halving
from jaxmlp.ensembles.scores import find_best_values
from jaxmlp.fitting import FIT_SETTINGS, complete, make_plan

RATES = [0.001, 0.1, 0.01, 3.0, 0.3, 30.0]
HALVING = Halving(first_epochs=1, factor=2)
# 6 candidates, 3 of them after epoch 1, 2 after 2, and 1 after 4 of 8 epochs.
RUNGS = {1: 3, 2: 2, 4: 1}


def halve(rates=RATES, /, **settings):
    return search(rates, **{"patience": None, "halving": HALVING} | settings)


@functools.cache
def search_whole(mode):
    monitor = {"min": "loss", "max": "accuracy"}[mode]
    return search(RATES, patience=None, monitor=monitor, mode=mode)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_at_each_rung_the_best_so_far_go_on_as_if_alone(mode):
    whole = search_whole(mode)
    result = halve(monitor=whole.monitor, mode=mode)
    history = whole.members.history[f"validation_{whole.monitor}"].astype(np.float64)
    cost = (history if mode == "min" else -history).reshape(len(RATES), FOLDS, -1)
    alive, epochs = list(range(len(RATES))), np.full(len(RATES), 8)
    for rung, survivors in RUNGS.items():
        so_far = cost[:, :, :rung].min(axis=2).mean(axis=1)
        ordered = sorted(alive, key=lambda row: so_far[row])
        epochs[ordered[survivors:]] = rung
        alive = sorted(ordered[:survivors])
    assert result.table["epochs"].tolist() == epochs.tolist()
    dropped = np.where(epochs < 8, "dropped", "epochs")
    assert result.table["stopped_by"].tolist() == dropped.tolist()
    for row, ran in enumerate(epochs):
        score = cost[row, :, :ran].min(axis=1).mean() * (1 if mode == "min" else -1)
        np.testing.assert_allclose(result.table["score_mean"][row], score, rtol=1e-6)
    assert result.best in alive
    np.testing.assert_array_equal(result.table["rank"][alive], 1)


def test_who_went_further_ranks_before_who_was_dropped():
    table = halve().table
    by_rank = table["epochs"][np.argsort(table["rank"])]
    assert by_rank.tolist() == sorted(by_rank.tolist(), reverse=True)


def test_a_candidate_that_met_nan_takes_no_place():
    with pytest.warns(RuntimeWarning, match="NaN or infinity"):
        result = halve([1e38, 0.3, 0.1], halving=Halving(first_epochs=2, factor=2))
    assert result.table["stopped_by"].tolist() == ["nonfinite", "epochs", "dropped"]


def test_a_member_that_ran_out_of_patience_is_no_bad_one():
    whole = search([0.001, 100.0, 30.0], patience=1)
    ended = whole.table["epochs"]
    assert ended[1] < 7
    # The one that is best has stopped; at the rung it is still the best.
    result = halve([0.001, 100.0], patience=1, halving=Halving(first_epochs=7, factor=2))
    best = int(np.argmin(whole.table["score_mean"][:2]))
    assert result.best == best
    assert result.table["stopped_by"][best] != "dropped"


@pytest.mark.parametrize("mode", ["min", "max"])
def test_best_values_so_far_are_those_of_the_members(mode):
    settings = {
        "monitor": {"min": "loss", "max": "accuracy"}[mode],
        "mode": mode,
        "patience": 2,
        "min_delta": 0.05,
    }
    with pytest.warns(RuntimeWarning, match="NaN or infinity"):
        members = search([1e38, *RATES], **settings).members
    chosen = complete("search", settings, FIT_SETTINGS)
    plan = make_plan(chosen, nonfinite="stop", epochs=100)
    best_value, is_bad = find_best_values(members.history, plan)
    np.testing.assert_array_equal(best_value, members.best_value)
    np.testing.assert_array_equal(is_bad, members.bad_step >= 0)


def test_architectures_are_dropped_as_others():
    configs = [
        jaxmlp.MLPConfig(in_features=4, hidden_features=hidden, out_features=3)
        for hidden in [(), (8,)]
    ]
    result = halve(
        loss=lambda h: jaxmlp.make_loss(h["config"], jaxmlp.losses.softmax_cross_entropy),
        params=lambda h, key: jaxmlp.init_params(h["config"], key=key),
        candidates=jaxmlp.ensembles.grid({"config": configs, "learning_rate": [0.001, 0.3]}),
        halving=Halving(first_epochs=2, factor=4),
        refit=True,
    )
    assert sorted(result.table["stopped_by"].tolist()) == ["dropped"] * 3 + ["epochs"]
    jaxmlp.apply(result.params, X, config=result.best_settings["config"])


def test_a_search_that_is_resumed_gives_the_same_table(tmp_path):
    expected = halve(refit=True)
    halve(checkpoint=tmp_path)
    again = halve(checkpoint=tmp_path, resume=True, refit=True)
    for name, column in expected.table.items():
        np.testing.assert_array_equal(column, again.table[name])
    np.testing.assert_array_equal(expected.params.output.kernel, again.params.output.kernel)
