"""What MLPRegressor gives with losses beyond scikit-learn's, and which of them it refuses."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import r2_score

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

LOSSES = ["absolute_error", "gaussian", "huber", "quantile"]
LEVELS = (0.1, 0.5, 0.9)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + RNG.normal(size=120)
SEVERAL = np.stack([Y, 3 + np.sin(X[:, 0])], axis=1)

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")]


def test_methods_give_a_row_each_and_an_axis_for_several_targets():
    quantile = MLPRegressor("quantile", (4,), max_iter=2, random_state=0)
    gaussian = MLPRegressor("gaussian", (4,), max_iter=2, random_state=0)
    for y, targets in ((Y, ()), (SEVERAL, (2,))):
        assert quantile.fit(X, y).predict_quantiles(X).shape == (120, *targets, 3)
        assert quantile.predict(X).shape == (120, *targets)
        assert gaussian.fit(X, y).predict_quantiles(X).shape == (120, *targets, 3)
        assert gaussian.predict_dist(X).logpdf(y).shape == y.shape
        assert quantile.n_outputs_ == gaussian.n_outputs_ == (targets or (1,))[0]


@pytest.mark.parametrize(
    ("quantiles", "place"), [((0.1, 0.4, 0.9), 1), ((0.7, 0.8, 0.9), 0), ((0.4, 0.6), 0)]
)
def test_a_prediction_is_the_quantile_nearest_to_the_median(quantiles, place):
    model = MLPRegressor("quantile", (4,), max_iter=5, quantiles=quantiles, random_state=0)
    model.fit(X, SEVERAL)
    np.testing.assert_array_equal(model.predict(X), model.predict_quantiles(X)[..., place])
    assert model.score(X, SEVERAL) == r2_score(SEVERAL, model.predict(X))


def test_quantiles_do_not_cross():
    levels = np.linspace(0.05, 0.95, 19)
    model = MLPRegressor("quantile", (4,), max_iter=3, quantiles=levels, random_state=0).fit(
        X, SEVERAL
    )
    raw = model._compute_outputs(X, activated=False).reshape(120, 2, 19)
    assert (np.diff(raw, axis=-1) < 0).any()
    assert (np.diff(model.predict_quantiles(X), axis=-1) >= 0).all()


def test_a_gaussian_has_any_quantile():
    model = MLPRegressor("gaussian", (4,), max_iter=3, random_state=0).fit(X, Y)
    dist = model.predict_dist(X)
    for levels, given_levels in ((LEVELS, None), ([0.3, 0.99], [0.3, 0.99])):
        expected = dist.ppf(np.array(levels)[:, None]).T
        np.testing.assert_allclose(model.predict_quantiles(X, given_levels), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), dist.mean())


def test_of_trained_quantiles_some_may_be_asked_for():
    model = MLPRegressor("quantile", (4,), max_iter=3, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(
        model.predict_quantiles(X, quantiles=[0.1, 0.9]), model.predict_quantiles(X)[:, [0, 2]]
    )
    with pytest.raises(ValueError, match=r"was trained for, \[0.1, 0.5, 0.9\]; got \[0.2\]"):
        model.predict_quantiles(X, quantiles=[0.2, 0.5])


def test_methods_are_there_with_their_loss_alone():
    assert hasattr(MLPRegressor("gaussian"), "predict_dist")
    assert hasattr(MLPRegressor("quantile"), "predict_quantiles")
    assert not hasattr(MLPRegressor("quantile"), "predict_dist")
    assert not hasattr(MLPClassifier(), "predict_dist")
    with pytest.raises(AttributeError, match="predict_quantiles") as error:
        MLPRegressor("huber").predict_quantiles(X)
    assert "only available with loss='quantile' or loss='gaussian'; got loss='huber'" in str(
        error.value.__cause__
    )
    fitted = MLPRegressor("gaussian", (4,), max_iter=1).fit(X, Y).set_params(loss="huber")
    assert fitted.predict_dist(X).std().shape == (120,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"huber_delta": 2.0}, "huber_delta has no effect with loss='squared_error'"),
        ({"quantiles": [0.5]}, "quantiles have no effect with loss='squared_error'"),
        ({"quantiles": [0.5], "loss": "huber"}, "quantiles have no effect with loss='huber'"),
    ],
)
def test_numbers_of_another_loss_are_warned_of(arguments, message):
    with pytest.warns(UserWarning, match=message):
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, **arguments).fit(X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantiles": (0.5, 0.1)}, r"quantiles must be increasing.*got \(0.5, 0.1\)"),
        ({"quantiles": (0.0, 0.5)}, "quantiles must be increasing"),
        ({"quantiles": (0.5, 1.0)}, "quantiles must be increasing"),
        ({"quantiles": ()}, "quantiles must be increasing"),
        ({"quantiles": ["a"]}, "quantiles must be increasing"),
        ({"quantiles": (0.5, np.nan)}, "quantiles must be increasing"),
        ({"quantiles": 0.5}, "'quantiles' parameter of MLPRegressor must be an array-like"),
        ({"huber_delta": 0}, "'huber_delta' parameter of MLPRegressor must be a float in the rang"),
        ({"loss": "mse"}, "'loss' parameter of MLPRegressor must be a str among"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**({"loss": "quantile"} | arguments)).fit(X, Y)


def test_partial_fits_go_on_with_the_first_units():
    model = MLPRegressor("gaussian", (4,), random_state=0).partial_fit(X[:60], Y[:60])
    np.testing.assert_allclose(model.partial_fit(X, Y).target_mean_, Y[:60].mean())
    with pytest.raises(ValueError, match=r"\[3, 4, 2\] units; got \[3, 4, 3\]"):
        model.set_params(loss="quantile").partial_fit(X, Y)


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_tables_stay_in_it_and_copies_predict_the_same(loss):
    model = MLPRegressor(loss, (4,), max_iter=3, random_state=0).fit(X.astype(np.float32), Y)
    assert {a.dtype.name for a in (*model.coefs_, *model.intercepts_)} == {"float32"}
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(X), model.predict(X))
    assert model.out_activation_ == "identity"
