"""What MLPRegressor learns with losses beyond scikit-learn's, against closed forms."""

import numpy as np
import pytest
from compilations import compilations
from sklearn.base import clone
from sklearn.metrics import mean_pinball_loss

from jaxmlp.sklearn import MLPRegressor

LOSSES = ["absolute_error", "gaussian", "huber", "quantile"]
LEVELS = (0.1, 0.5, 0.9)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + RNG.normal(size=120)
SEVERAL = np.stack([Y, 3 + np.sin(X[:, 0])], axis=1)
# One constant feature: no more can be learned than of the targets alone.
ALONE = RNG.gamma(2, 3, 401)
NOTHING = np.zeros((401, 1))

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def constant_model(loss, **arguments):
    adam = {"learning_rate_init": 0.05, "batch_size": 401, "n_iter_no_change": 2000, "tol": 0}
    model = MLPRegressor(loss, (), alpha=0, max_iter=2000, random_state=0, **(adam | arguments))
    return model.fit(NOTHING, ALONE)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_absolute_errors_tend_to_the_median(solver):
    prediction = constant_model("absolute_error", solver=solver).predict(NOTHING[:1])
    # Both step over the kink at the median.
    assert prediction == pytest.approx(np.median(ALONE), abs=1e-3)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_quantiles_are_those_of_the_targets(solver):
    model = constant_model("quantile", solver=solver, quantiles=(0.2, 0.6, 0.9))
    found = model.predict_quantiles(NOTHING[:1])[0]
    below = (ALONE[:, None] < found).mean(axis=0)
    # Between two targets the loss is nearly flat: a step over the kink moves some ranks of 401.
    np.testing.assert_allclose(below, [0.2, 0.6, 0.9], atol=0.015)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_gaussian_is_the_one_of_highest_likelihood(solver):
    dist = constant_model("gaussian", solver=solver).predict_dist(NOTHING[:1])
    assert dist.mean() == pytest.approx(ALONE.mean(), rel=1e-4)
    assert dist.std() == pytest.approx(ALONE.std(), rel=1e-4)


def test_huber_ends_at_its_own_minimum():
    model = constant_model("huber", solver="lbfgs", huber_delta=2.0)
    residual = ALONE - model.predict(NOTHING[:1])
    # Where the sum of residuals cut to +-delta is 0.
    assert np.clip(residual, -2, 2).mean() == pytest.approx(0, abs=1e-6)
    assert model.predict(NOTHING[:1]) < ALONE.mean() - 0.1


def test_huber_of_a_large_delta_is_the_squared_error():
    arguments = {"hidden_layer_sizes": (4,), "max_iter": 30, "random_state": 0}
    huber = MLPRegressor("huber", huber_delta=1e6, **arguments).fit(X, SEVERAL)
    squared = MLPRegressor("squared_error", **arguments).fit(X, SEVERAL)
    # Equal but for the rounding of r * (r - r / 2).
    np.testing.assert_allclose(huber.predict(X), squared.predict(X), rtol=1e-6)
    np.testing.assert_allclose(huber.loss_, squared.loss_, rtol=1e-6)


def test_a_gaussian_finds_where_targets_scatter():
    x = np.random.default_rng(1).uniform(-1, 1, (3000, 1))
    std = np.exp(x[:, 0])
    y = 100 + 5 * x[:, 0] + std * np.random.default_rng(2).normal(size=3000)
    model = MLPRegressor("gaussian", (20,), max_iter=100, learning_rate_init=0.01, random_state=0)
    dist = model.fit(x, y).predict_dist(x)
    assert np.abs(np.log(dist.std() / std)).mean() < 0.1
    assert np.abs(dist.mean() - 100 - 5 * x[:, 0]).mean() < 0.15
    within = (y > dist.interval(0.8)[0]) & (y < dist.interval(0.8)[1])
    assert within.mean() == pytest.approx(0.8, abs=0.02)


def test_the_gaussian_loss_is_scipys_of_targets_in_standard_units():
    arguments = {"solver": "lbfgs", "alpha": 0, "max_iter": 20, "random_state": 0}
    model = MLPRegressor("gaussian", (4,), **arguments).fit(X, SEVERAL)
    loss = -model.predict_dist(X).logpdf(SEVERAL).mean() - np.log(SEVERAL.std(axis=0)).mean()
    assert model.loss_ == pytest.approx(loss, rel=1e-9)
    np.testing.assert_allclose(model.target_mean_, SEVERAL.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.target_scale_, SEVERAL.std(axis=0), rtol=1e-12)


def test_a_gaussian_learns_the_same_in_any_units():
    arguments = {"hidden_layer_sizes": (4,), "max_iter": 20, "random_state": 0}
    one = MLPRegressor("gaussian", **arguments).fit(X, Y).predict_dist(X)
    other = MLPRegressor("gaussian", **arguments).fit(X, 1e6 * Y - 1e8).predict_dist(X)
    np.testing.assert_allclose(other.mean(), 1e6 * one.mean() - 1e8, rtol=1e-6)
    np.testing.assert_allclose(other.std(), 1e6 * one.std(), rtol=1e-6)


def test_a_gaussian_begins_at_that_of_all_targets():
    still = {"solver": "sgd", "learning_rate_init": 1e-12, "max_iter": 1, "random_state": 0}
    dist = MLPRegressor("gaussian", (4,), **still).fit(X, SEVERAL).predict_dist(X)
    np.testing.assert_allclose(dist.mean(), np.tile(SEVERAL.mean(axis=0), (120, 1)), rtol=1e-9)
    # Beside the softplus of 1 there is the smallest deviation.
    np.testing.assert_allclose(dist.std() / SEVERAL.std(axis=0), 1.001, rtol=1e-9)


def test_targets_that_do_not_scatter_have_the_smallest_deviation():
    arguments = {"solver": "lbfgs", "alpha": 0, "max_iter": 2000, "random_state": 0}
    y = 50 * X[:, 0]
    std = MLPRegressor("gaussian", (), **arguments).fit(X, y).predict_dist(X).std()
    assert std.min() >= 1e-3 * y.std()
    assert np.median(std) < 0.05 * y.std()
    assert MLPRegressor("gaussian", ()).fit(X, np.full(120, 7.0)).target_scale_ == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_of_k_is_k_rows(loss):
    weight = np.random.default_rng(3).integers(0, 3, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    arguments = {"max_iter": 10, "random_state": 0, "shuffle": False}
    model = MLPRegressor(loss, (4,), batch_size=len(X), **arguments)
    weighted = clone(model).fit(X, SEVERAL, sample_weight=weight)
    repeated = clone(model).set_params(batch_size=len(rows)).fit(X[rows], SEVERAL[rows])
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9, atol=1e-9)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)


@pytest.mark.parametrize("loss", ["gaussian", "quantile"])
def test_every_target_is_learned_as_if_it_were_alone(loss):
    """A linear model has one minimum, which the other target does not move."""
    arguments = {"solver": "lbfgs", "alpha": 0, "max_iter": 500, "tol": 1e-7, "random_state": 0}
    model = MLPRegressor(loss, (), **arguments)
    together = clone(model).fit(X, SEVERAL).predict(X)
    alone = np.stack([clone(model).fit(X, y).predict(X) for y in SEVERAL.T], axis=1)
    # Losses with kinks end near their minimum.
    np.testing.assert_allclose(together, alone, atol=1e-2 if loss == "gaussian" else 0.3)


@pytest.mark.parametrize("loss", LOSSES)
def test_early_stopping_keeps_the_weights_of_the_best_score(loss):
    arguments = {"early_stopping": True, "learning_rate_init": 0.02, "n_iter_no_change": 20}
    model = MLPRegressor(loss, (4,), max_iter=100, random_state=0, **arguments)
    unseen = np.random.default_rng(4).normal(size=X.shape)
    model.fit(X, SEVERAL, X_val=unseen, y_val=SEVERAL)
    score = model.score(unseen, SEVERAL)
    if loss == "quantile":
        quantiles = model.predict_quantiles(unseen)
        score = -np.mean(
            [
                mean_pinball_loss(SEVERAL, quantiles[..., place], alpha=level)
                for place, level in enumerate(LEVELS)
            ]
        )
    best = max(model.validation_scores_)
    assert model.best_validation_score_ == best == pytest.approx(score, rel=1e-12)


def test_other_numbers_of_a_loss_compile_nothing():
    arguments = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
    MLPRegressor("huber", **arguments).fit(X, Y)
    MLPRegressor("quantile", **arguments).fit(X, Y)
    with compilations() as counts:
        one = MLPRegressor("huber", huber_delta=0.1, **arguments).fit(X, Y)
        MLPRegressor("quantile", quantiles=(0.3, 0.4, 0.7), **arguments).fit(X, Y)
    assert not counts
    other = MLPRegressor("huber", huber_delta=5.0, **arguments).fit(X, Y)
    assert not np.array_equal(one.coefs_[0], other.coefs_[0])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_warm_start_keeps_the_units_of_the_targets(solver):
    model = MLPRegressor("gaussian", (4,), solver=solver, max_iter=3, random_state=0)
    model.set_params(warm_start=True).fit(X, Y)
    mean = model.target_mean_
    model.fit(X, 100 + Y)
    np.testing.assert_array_equal(model.target_mean_, mean)
    assert model.set_params(warm_start=False).fit(X, 100 + Y).target_mean_ > 90
