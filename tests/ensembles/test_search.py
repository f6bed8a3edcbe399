"""Tests that a search scores its candidates as fits by hand would, and trains the best anew."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from compilations import compilations
from fits import LINEAR_CONFIG, ROWS, WEIGHT, X, Y, make_loader
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.neural_network import MLPClassifier

import jaxmlp
from jaxmlp import ensembles

FOLDS, EPOCHS, KEY = 2, 8, jax.random.key(7)
RATES = [0.003, 3.0, 0.3]
LOSS = jaxmlp.make_loss(
    LINEAR_CONFIG,
    jaxmlp.losses.softmax_cross_entropy,
    metrics={"accuracy": jaxmlp.metrics.accuracy},
)
# No step draws from this one.
INIT_FOLD = np.uint32(2**32 - 1)


def init(key):
    return jaxmlp.init_params(LINEAR_CONFIG, key=key)


def make_sgd(h):
    return optax.sgd(h["learning_rate"])


def search(rates=RATES, /, **settings):
    settings = {
        "loss": LOSS,
        "optimizer": make_sgd,
        "params": init,
        "data": make_loader(),
        "candidates": {"learning_rate": rates},
        "epochs": EPOCHS,
        "key": KEY,
        "patience": 2,
        "members_at_once": 1,
        "refit": False,
    } | settings
    if "validation" not in settings:
        settings = {"folds": FOLDS} | settings
    return jaxmlp.search(**settings)


@functools.cache
def search_once():
    return search(refit=True)


@functools.cache
def make_fixed_sgd(rate):
    # An array, as the members have: a Python float is rounded elsewhere.
    return optax.sgd(jnp.asarray(rate, jnp.float32))


def fit_alone(rate, number, factors=1, **settings):
    key = jax.random.fold_in(KEY, number)
    return jaxmlp.fit(
        LOSS,
        make_fixed_sgd(rate),
        init(jax.random.fold_in(key, INIT_FOLD)),
        make_loader(weight=WEIGHT * factors),
        key=key,
        **settings,
    )


def assert_close(a, b):
    # A traced rate is rounded where one that is known is folded into the program.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


@functools.cache
def fit_folds(rate):
    training, validation = ensembles.fold_weights(ROWS, FOLDS, seed=0)
    return [
        fit_alone(
            rate,
            fold,
            training[fold],
            epochs=EPOCHS,
            patience=2,
            validation=(X, Y, WEIGHT * validation[fold]),
        )
        for fold in range(FOLDS)
    ]


def test_scores_are_those_of_a_loop_of_fits_over_candidates_and_folds():
    table = search_once().table
    for row, rate in enumerate(RATES):
        fits = fit_folds(rate)
        values = [fit.history["validation_loss"][fit.best_epoch] for fit in fits]
        for fold, value in enumerate(values):
            assert_close(table[f"score_fold_{fold}"][row], value)
        np.testing.assert_allclose(table["score_mean"][row], np.mean(values), rtol=1e-5)
        np.testing.assert_allclose(table["score_std"][row], np.std(values), rtol=1e-4)
        assert table["best_epoch"][row] == np.mean([fit.best_epoch for fit in fits])
        assert table["epochs"][row] == np.mean([len(fit.history["epoch"]) for fit in fits])


def test_the_members_are_the_candidates_folds_one_after_the_other():
    result = search_once()
    for row, rate in enumerate(RATES):
        for fold, alone in enumerate(fit_folds(rate)):
            assert_close(result.members.member(row * FOLDS + fold), alone.params)


def test_the_best_has_the_lowest_score():
    result = search_once()
    assert result.best == int(np.argmin(result.table["score_mean"])) == 2
    assert result.best_settings == {"learning_rate": 0.3}
    assert (result.monitor, result.mode) == ("loss", "min")
    order = np.argsort(result.table["score_mean"])
    assert result.table["rank"][order].tolist() == [1, 2, 3]


def test_a_candidate_does_not_depend_on_the_others_or_on_their_order():
    table = search_once().table
    for order in ([1], [2, 0], [2, 1, 0]):
        other = search([RATES[row] for row in order]).table
        for name in set(table) - {"rank"}:
            np.testing.assert_array_equal(np.array(table[name])[order], other[name])


def test_of_equal_candidates_the_first_is_best():
    result = search([0.01, 0.3, 0.3, 0.3])
    assert result.table["rank"].tolist() == [4, 1, 2, 3]
    assert result.best == 1


def test_the_best_has_the_highest_score_where_that_is_better():
    result = search(monitor="accuracy", mode="max")
    accuracy = result.members.history["validation_accuracy"].reshape(3, FOLDS, EPOCHS)
    np.testing.assert_allclose(
        result.table["score_mean"], np.nanmax(accuracy, axis=2).mean(axis=1, dtype=np.float64)
    )
    assert result.best == int(np.argmax(result.table["score_mean"]))


def test_ranking_is_that_of_scikit_learn():
    rates = [0.001, 0.01, 0.00001]
    iris = load_iris()
    x, y = (iris.data / iris.data.std(axis=0)).astype(np.float32), iris.target
    _, validation = ensembles.fold_weights(len(x), 3, seed=0)
    peer = GridSearchCV(
        MLPClassifier((16,), batch_size=16, max_iter=30, tol=0, n_iter_no_change=100),
        {"learning_rate_init": rates},
        scoring="neg_log_loss",
        cv=PredefinedSplit(validation.argmax(axis=0)),
        refit=False,
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        peer.fit(x, y)
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=(16,), out_features=3)
    result = search(
        rates,
        loss=jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy),
        optimizer=lambda h: optax.adam(h["learning_rate"]),
        params=lambda key: jaxmlp.init_params(config, key=key),
        data=jaxmlp.DataLoader(x, y, batch_size=16, shuffle=True),
        epochs=30,
    )
    assert result.table["rank"].tolist() == peer.cv_results_["rank_test_score"].tolist()


def test_the_table_is_a_data_frame():
    candidates = {"learning_rate": np.float32([0.1, 0.2]), "decay": [(0.0,), (0.1, 0.2)]}

    def make_optimizer(h):
        return optax.chain(
            optax.add_decayed_weights(sum(h["decay"])), optax.sgd(h["learning_rate"])
        )

    result = search(candidates=candidates, optimizer=make_optimizer, patience=None)
    frame = pd.DataFrame(result.table)
    assert frame.columns.tolist() == [
        "learning_rate",
        "decay",
        "score_mean",
        "score_std",
        "score_fold_0",
        "score_fold_1",
        "rank",
        "best_epoch",
        "epochs",
        "stopped_by",
    ]
    assert len(frame) == 2
    assert frame["decay"].tolist() == [(0.0,), (0.1, 0.2)]
    assert frame["stopped_by"].tolist() == ["epochs", "epochs"]
    assert frame["epochs"].tolist() == [EPOCHS, EPOCHS]
    best = frame.sort_values("rank").iloc[0]
    assert {name: best[name] for name in candidates} == result.best_settings


def test_candidates_of_several_architectures_are_compared():
    deep = jaxmlp.MLPConfig(in_features=4, hidden_features=(8,), out_features=3)
    result = search(
        loss=lambda h: jaxmlp.make_loss(h["config"], jaxmlp.losses.softmax_cross_entropy),
        params=lambda h, key: jaxmlp.init_params(h["config"], key=key),
        candidates=ensembles.grid({"config": [LINEAR_CONFIG, deep], "learning_rate": [0.001, 0.3]}),
        refit=True,
    )
    jaxmlp.apply(result.params, X, config=result.best_settings["config"])
    linear = search_once().table["score_mean"][2]
    # A loss without accuracy is another program.
    np.testing.assert_allclose(result.table["score_mean"][1], linear, rtol=1e-5)


def test_folds_may_be_weights():
    dealt = ensembles.fold_weights(ROWS, FOLDS, seed=0)
    expected = search_once().table["score_mean"].tolist()
    assert search(folds=dealt).table["score_mean"].tolist() == expected
    other = search(folds=ensembles.fold_weights(ROWS, FOLDS, seed=1))
    assert other.table["score_mean"].tolist() != expected


def test_labels_are_spread_over_the_folds():
    dealt = ensembles.fold_weights(ROWS, FOLDS, seed=0, stratify=Y)
    one, other = search(stratify=Y), search(folds=dealt)
    assert one.table["score_mean"].tolist() == other.table["score_mean"].tolist()
    assert one.table["score_mean"].tolist() != search_once().table["score_mean"].tolist()


def test_a_candidate_that_met_nan_is_last_and_never_chosen():
    with pytest.warns(RuntimeWarning, match="NaN or infinity"):
        result = search([1e38, 0.003, 0.3])
    assert np.isnan(result.table["score_mean"][0])
    assert result.table["rank"].tolist() == [3, 2, 1]
    assert result.table["stopped_by"].tolist() == ["nonfinite", "epochs", "patience"]
    assert result.best_settings == {"learning_rate": 0.3}


def test_one_bad_fold_is_enough_for_a_score_of_nan():
    poisoned = make_loader(x=np.where(np.arange(ROWS)[:, None] == 0, 1e38, X))
    dealt = np.ones((2, 2, ROWS), np.float32)
    dealt[:, 0, 0] = 0
    with (
        pytest.warns(RuntimeWarning, match="1 of 2 members"),
        pytest.raises(ValueError, match=r"one of 1 candidates.*got none: 1 of 2 members met NaN"),
    ):
        search([0.1], data=poisoned, folds=tuple(dealt))


def test_a_search_again_compiles_nothing():
    search()
    with compilations() as counts:
        search(key=jax.random.key(8))
    assert not counts
