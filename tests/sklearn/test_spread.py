"""How far the networks that an estimator averages differ."""

import dataclasses

import numpy as np
import pytest
from messy import SMALL

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(200, 4))
Y = np.digitize(X[:, 0] + DRAWS.normal(0, 1, 200), [-0.5, 0.5])
SETTINGS = {"random_state": 0}

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")]


def test_of_classes_it_is_that_of_the_members_probabilities():
    model = MLPClassifier(preset=SMALL, n_ensemble=3, **SETTINGS).fit(X, Y)
    members = model._compute_members(X, apart=True)
    assert members.shape == (3, 200, 3)
    np.testing.assert_allclose(model.predict_std(X), members.std(axis=0), atol=1e-7)
    np.testing.assert_allclose(model.predict_proba(X), members.mean(axis=0), atol=1e-6)
    binary = MLPClassifier(preset=SMALL, **SETTINGS).fit(X, Y > 1)
    assert np.ptp(binary.predict_std(X), axis=1).max() == 0


@pytest.mark.parametrize("several", [False, True])
def test_of_numbers_it_is_in_their_units(several):
    y = 100 * np.stack([X[:, 0], X[:, 1] ** 2], axis=1)
    y = y if several else y[:, 0]
    model = MLPRegressor(preset=SMALL, **SETTINGS).fit(X, y)
    larger = MLPRegressor(preset=SMALL, **SETTINGS).fit(X, 8 * y)
    assert model.predict_std(X).shape == y.shape
    # A power of 2 changes no digit.
    np.testing.assert_array_equal(larger.predict_std(X), 8 * model.predict_std(X))


def test_of_a_normal_distribution_it_is_the_whole():
    model = MLPRegressor("gaussian", preset=SMALL, **SETTINGS).fit(X, X[:, 0])
    mean, std = np.split(model._compute_members(X, apart=True).astype(float), 2, axis=2)
    whole = np.sqrt((std**2).mean(axis=0) + mean.var(axis=0))[:, 0]
    np.testing.assert_allclose(model.predict_std(X), whole * model.target_scale_, rtol=1e-6)
    np.testing.assert_array_equal(model.predict_std(X), model.predict_dist(X).std())


def test_members_of_one_network_count():
    network = dataclasses.replace(SMALL.network, members=3)
    recipe = dataclasses.replace(SMALL, network=network, members=1)
    model = MLPRegressor(preset=recipe, **SETTINGS).fit(X, X[:, 0])
    assert (model.predict_std(X) > 0).all()


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(alpha=1),
        MLPClassifier(preset="sklearn"),
        MLPRegressor(n_ensemble=1),
        MLPRegressor(preset="realmlp"),
    ],
)
def test_one_network_has_none(model):
    assert not hasattr(model, "predict_std")
    with pytest.raises(AttributeError) as caught:
        model.predict_std(X)
    assert "only available with several networks" in str(caught.value.__cause__)
    fitted = MLPRegressor(preset="sklearn", max_iter=1).fit(X, Y)
    assert not hasattr(fitted.set_params(preset="auto"), "predict_std")
