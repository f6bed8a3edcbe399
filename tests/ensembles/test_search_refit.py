"""Tests of the parameters that a search returns, and of what it returns without."""

import numpy as np
import pytest
from fits import VALIDATION, assert_same
from test_search import (
    EPOCHS,
    FOLDS,
    RATES,
    assert_close,
    fit_alone,
    fit_folds,
    search,
    search_once,
)

import jaxmlp


def test_the_best_is_trained_anew_on_all_rows_for_the_mean_of_the_best_numbers_of_epochs():
    best_epochs = np.mean([fit.best_epoch + 1 for fit in fit_folds(0.3)])
    again = fit_alone(0.3, FOLDS, epochs=int(best_epochs + 0.5))
    assert_close(search_once().params, again.params)


def test_with_validation_rows_the_best_member_is_the_result():
    result = search(validation=VALIDATION, refit=True)
    for row, rate in enumerate(RATES):
        alone = fit_alone(rate, 0, epochs=EPOCHS, patience=2, validation=VALIDATION)
        assert_close(result.table["score_mean"][row], alone.history["validation_loss"].min())
        assert_close(result.members.member(row), alone.params)
    assert_same(result.params, result.members.member(result.best))
    assert result.table["score_std"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("scoring", [{"folds": FOLDS}, {"validation": VALIDATION}])
def test_without_refit_there_are_no_parameters(scoring):
    assert search(**scoring).params is None


def test_numbers_are_of_one_type_in_all_candidates():
    # The refit sees a float for 1, as the sweep did.
    mixed, floats = (search(rates, refit=True) for rates in ([1, 3e3], [1.0, 3e3]))
    assert mixed.best_settings == {"learning_rate": 1}
    assert_same(mixed.params, floats.params)


def test_averaging_that_began_after_the_best_epoch_is_left_out_of_the_refit():
    early = search([3.0], swa_start=EPOCHS - 1, refit=True)
    best_epochs = early.members.best_epoch.mean() + 1
    assert best_epochs < EPOCHS - 1
    again = fit_alone(3.0, FOLDS, epochs=int(best_epochs + 0.5))
    assert_close(early.params, again.params)


def test_averaging_is_part_of_the_refit():
    late = search([0.003], swa_start=1, refit=True)
    assert late.table["best_epoch"][0] == EPOCHS - 1
    assert_close(late.params, fit_alone(0.003, FOLDS, epochs=EPOCHS, swa_start=1).params)


@pytest.mark.parametrize("scored", [True, False])
def test_an_interrupt_gives_the_table_of_what_was_reached(monkeypatch, scored):
    calls = []

    def interrupted_fit_members(*arguments, **settings):
        calls.append(settings["epochs"])
        result = jaxmlp.fit_members(*arguments, **settings)
        value = result.best_value if scored else np.full_like(result.best_value, np.nan)
        stopped_by = np.full(len(value), "interrupt")
        return result._replace(stopped_by=stopped_by, best_value=value)

    monkeypatch.setattr("jaxmlp.ensembles.searching.fit_members", interrupted_fit_members)
    if scored:
        result = search(refit=True)
        assert result.params is None
        assert result.table["stopped_by"].tolist() == ["interrupt"] * 3
    else:
        with pytest.raises(KeyboardInterrupt):
            search(refit=True)
    assert calls == [EPOCHS]
