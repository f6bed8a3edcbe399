"""Of several weight decays a recipe keeps the one by which held-out rows have the least loss."""

import dataclasses

import numpy as np
import pytest
from messy import SMALL
from sklearn.model_selection import cross_val_score

from jaxmlp.sklearn import MLPClassifier, MLPRegressor, MLPSearchCV
from jaxmlp.tabular import Recipe, TabularConfig, choose_recipe, pack_settings

pytestmark = pytest.mark.long

DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(120, 4))
Y = X[:, 0] - X[:, 1] + 0.1 * DRAWS.normal(size=120)
# With the last, kernels are zero after a few steps, and nothing is learned.
DECAYS = (0.02, 0.5, 60.0)


def recipe(decay, **settings):
    return dataclasses.replace(SMALL, weight_decay=decay, epochs=16, **settings)


def fitted(decay, validation=(), **settings):
    model = MLPRegressor(preset=recipe(decay, **settings), random_state=0)
    return model.fit(X, Y, **dict(validation))


def assert_close(one, other):
    """To rounding: six networks in one program and two may add in another order."""
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "given", [{}, {"X_val": X[::3] + 0.1, "y_val": Y[::3]}], ids=["folds", "rows"]
)
def test_it_is_the_network_that_its_decay_alone_trains(given):
    alone = [fitted(decay, given) for decay in DECAYS]
    # The least mean over members of held-out losses, after any epoch.
    best = int(np.argmin([min(model.validation_loss_curve_) for model in alone]))
    chosen = fitted(DECAYS, given)
    assert chosen.recipe_.weight_decay == DECAYS[best] != DECAYS[2]
    assert_close(chosen.validation_loss_curve_, alone[best].validation_loss_curve_)
    assert_close(chosen.predict(X), alone[best].predict(X))


def test_the_order_of_decays_does_not_matter():
    one, other = fitted(DECAYS), fitted(DECAYS[::-1])
    assert one.recipe_.weight_decay == other.recipe_.weight_decay
    assert_close(one.predict(X), other.predict(X))


@pytest.mark.parametrize("rows", [30, 120])
def test_the_first_is_taken_where_no_rows_are_held_out(rows):
    model = MLPRegressor(preset=recipe(DECAYS, folds=0), random_state=0).fit(X[:rows], Y[:rows])
    assert model.recipe_.weight_decay == DECAYS[0]


def test_training_ends_by_the_patience_of_what_is_kept():
    several, alone = (fitted(decay, patience=0) for decay in ((0.5, 60.0), 0.5))
    assert several.recipe_.weight_decay == 0.5
    assert several.n_iter_ == alone.n_iter_
    assert_close(several.predict(X), alone.predict(X))


def test_candidates_that_are_trained_together_choose_each_for_itself():
    y = (Y > 0).astype(int)
    recipes = [recipe(DECAYS), recipe(DECAYS, learning_rate=0.01)]
    search = MLPSearchCV(MLPClassifier(random_state=0), {"preset": recipes}, cv=2, refit=False)
    search.fit(X, y)
    theirs = [
        cross_val_score(MLPClassifier(preset=each, random_state=0), X, y, cv=2) for each in recipes
    ]
    # One row of 60 may fall on the other side by rounding.
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], np.mean(theirs, axis=1), atol=1 / 60
    )


def test_temperatures_are_of_the_members_that_are_kept():
    y = (Y > 0).astype(int)
    alone = MLPClassifier(preset=recipe(0.5), random_state=0, calibrate=True).fit(X, y)
    one = MLPClassifier(preset=recipe((0.5, 60.0)), random_state=0, calibrate=True).fit(X, y)
    assert one.recipe_.weight_decay == 0.5
    assert_close(one.temperature_, alone.temperature_)


@pytest.mark.parametrize(
    ("decay", "message"),
    [
        ((), r"weight_decay must have at least one number; got \(\)"),
        ((0.1, -1.0), "weight_decay must be finite and at least 0; got -1.0"),
        (float("inf"), "weight_decay must be finite and at least 0; got inf"),
    ],
    ids=str,
)
def test_they_are_numbers_of_at_least_0(decay, message):
    with pytest.raises(ValueError, match=message):
        Recipe(network=TabularConfig(), weight_decay=decay)


def test_one_training_has_one_decay():
    with pytest.raises(ValueError, match="weight_decay must be one number, of one training"):
        pack_settings(recipe(DECAYS), steps=1, dtype=np.float32)


@pytest.mark.parametrize("regression", [False, True])
def test_tables_of_few_rows_try_several(regression):
    assert len(choose_recipe(400, 5, regression=regression).weight_decays) > 1
    assert choose_recipe(600, 5, regression=regression).weight_decays == (0.02,)
