"""Losses of MLPRegressor beyond scikit-learn's: what they tend to, and what their methods give."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from compilations import compilations
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.metrics import mean_pinball_loss, r2_score

from jaxmlp.sklearn import MLPClassifier, MLPRegressor
from jaxmlp.sklearn.heads import Head, in_target_units
from jaxmlp.sklearn.regression import mean_and_deviation

RNG = np.random.default_rng(0)
LEVELS = (0.1, 0.5, 0.9)
HEADS = {
    "absolute_error": (Head("absolute_error"), ()),
    "huber": (Head("huber"), (0.7,)),
    "quantile": (Head("quantile", 3), LEVELS),
    "gaussian": (Head("gaussian", 2), ()),
}
X = RNG.normal(size=(120, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + RNG.normal(size=120)
SEVERAL = np.stack([Y, 3 + np.sin(X[:, 0])], axis=1)
# One constant feature: no more can be learned than of the targets alone.
ALONE = RNG.gamma(2, 3, 401)
NOTHING = np.zeros((401, 1))

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def constant_model(loss, **arguments):
    adam = {"learning_rate_init": 0.05, "batch_size": 401, "n_iter_no_change": 2000, "tol": 0}
    model = MLPRegressor(loss, (), alpha=0, max_iter=2000, random_state=0, **(adam | arguments))
    return model.fit(NOTHING, ALONE)


def numpy_losses(loss, outputs, targets):
    """Losses of every row and target, and their gradients by output; the formulas of papers."""
    if loss == "quantile":
        q = np.array(LEVELS)
        residual = targets[:, :, None] - outputs.reshape(len(outputs), -1, 3)
        by_level = np.where(residual > 0, q * residual, (q - 1) * residual)
        slopes = np.where(residual > 0, -q, 1 - q) / 3
        return by_level.mean(axis=2), slopes.reshape(outputs.shape)
    if loss == "gaussian":
        mean, raw = np.split(outputs, 2, axis=1)
        std = np.log1p(np.exp(raw)) + 1e-3
        values = -scipy.stats.norm(mean, std).logpdf(targets)
        by_std = 1 / std - (targets - mean) ** 2 / std**3
        slopes = [(mean - targets) / std**2, by_std / (1 + np.exp(-raw))]
        return values, np.concatenate(slopes, axis=1)
    residual = outputs - targets
    if loss == "absolute_error":
        return np.abs(residual), np.sign(residual)
    near = np.abs(residual) < 0.7
    values = np.where(near, residual**2 / 2, 0.7 * (np.abs(residual) - 0.35))
    return values, np.where(near, residual, 0.7 * np.sign(residual))


@pytest.mark.parametrize("loss", HEADS)
def test_losses_and_gradients_are_those_of_the_formula(loss):
    head, options = HEADS[loss]
    outputs = RNG.normal(size=(50, 2 * head.outputs_per_target))
    targets = RNG.normal(size=(50, 2))
    values, slopes = numpy_losses(loss, outputs, targets)
    with jax.enable_x64(True):
        descended, told = head.row_losses(jnp.asarray(outputs), targets, jnp.asarray(options))
        gradient = jax.grad(lambda a: head.row_losses(a, targets, jnp.asarray(options))[0].sum())
        got = gradient(jnp.asarray(outputs))
    np.testing.assert_allclose(told, values.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(descended, values.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got, slopes, rtol=1e-10)


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


def test_targets_that_do_not_scatter_have_the_smallest_deviation():
    arguments = {"solver": "lbfgs", "alpha": 0, "max_iter": 2000, "random_state": 0}
    y = 50 * X[:, 0]
    std = MLPRegressor("gaussian", (), **arguments).fit(X, y).predict_dist(X).std()
    assert std.min() >= 1e-3 * y.std()
    assert np.median(std) < 0.05 * y.std()
    assert MLPRegressor("gaussian", ()).fit(X, np.full(120, 7.0)).target_scale_ == 1


@pytest.mark.parametrize("loss", HEADS)
def test_a_weight_of_k_is_k_rows(loss):
    weight = np.random.default_rng(3).integers(0, 3, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    arguments = {"max_iter": 10, "random_state": 0, "shuffle": False}
    model = MLPRegressor(loss, (4,), batch_size=len(X), **arguments)
    weighted = clone(model).fit(X, SEVERAL, sample_weight=weight)
    repeated = clone(model).set_params(batch_size=len(rows)).fit(X[rows], SEVERAL[rows])
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)
    assert weighted.loss_ == pytest.approx(repeated.loss_, rel=1e-9)


def test_units_are_those_of_rows_by_their_weight():
    y = np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 0.0]])
    mean, scale = mean_and_deviation(y, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(mean, [2, 5])
    np.testing.assert_array_equal(scale, [1, 1])
    np.testing.assert_array_equal(mean_and_deviation(y, np.zeros(3)), [[0, 0], [1, 1]])


@pytest.mark.parametrize("loss", ["gaussian", "quantile"])
def test_every_target_is_learned_as_if_it_were_alone(loss):
    """A linear model has one minimum, which the other target does not move."""
    arguments = {"solver": "lbfgs", "alpha": 0, "max_iter": 500, "tol": 1e-7, "random_state": 0}
    model = MLPRegressor(loss, (), **arguments)
    together = clone(model).fit(X, SEVERAL).predict(X)
    alone = np.stack([clone(model).fit(X, y).predict(X) for y in SEVERAL.T], axis=1)
    # Losses with kinks end near their minimum.
    np.testing.assert_allclose(together, alone, atol=1e-2 if loss == "gaussian" else 0.3)


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


@settings(deadline=None)  # the first compiles
@given(
    hnp.arrays(np.float64, (4, 6), elements=st.floats(-100, 100)),
    hnp.arrays(np.float64, (4, 2), elements=st.floats(-100, 100)),
)
def test_sorting_quantiles_never_raises_the_loss(outputs, targets):
    head, options = HEADS["quantile"]
    with jax.enable_x64(True):
        options, outputs = jnp.asarray(options), jnp.asarray(outputs)
        before = head.row_losses(outputs, targets, options).told
        after = head.row_losses(head.activate(outputs), targets, options).told
    assert (np.asarray(after) <= np.asarray(before) + 1e-12).all()


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
def test_numbers_of_another_loss_are_warned_of_from_the_line_of_the_user(arguments, message):
    with pytest.warns(UserWarning, match=message) as warned:
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, **arguments).fit(X, Y)
    assert any(w.filename == __file__ for w in warned if "no effect" in str(w.message))


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


@pytest.mark.parametrize("loss", HEADS)
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


def test_partial_fits_go_on_with_the_first_units():
    model = MLPRegressor("gaussian", (4,), random_state=0).partial_fit(X[:60], Y[:60])
    np.testing.assert_allclose(model.partial_fit(X, Y).target_mean_, Y[:60].mean())
    with pytest.raises(ValueError, match=r"\[3, 4, 2\] units; got \[3, 4, 3\]"):
        model.set_params(loss="quantile").partial_fit(X, Y)


@pytest.mark.parametrize("loss", HEADS)
def test_float32_tables_stay_in_it_and_copies_predict_the_same(loss):
    model = MLPRegressor(loss, (4,), max_iter=3, random_state=0).fit(X.astype(np.float32), Y)
    assert {a.dtype.name for a in (*model.coefs_, *model.intercepts_)} == {"float32"}
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(X), model.predict(X))
    assert model.out_activation_ == "identity"


def test_heads_name_their_predictions_for_any_axes():
    outputs = jnp.asarray(RNG.normal(size=(5, 2, 6)), jnp.float32)
    options = jnp.asarray(LEVELS, jnp.float32)
    named = Head("quantile", 3).predictions(Head("quantile", 3).activate(outputs), options)
    assert {name: values.shape for name, values in named.items()} == {
        "prediction": (5, 2, 2),
        "quantiles": (5, 2, 2, 3),
    }
    scaled = in_target_units(named, np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    np.testing.assert_allclose(
        scaled["quantiles"][..., 1, :], 20 * named["quantiles"][..., 1, :] + 2, rtol=1e-6
    )
    classes = Head("softmax_cross_entropy")
    probabilities = classes.predictions(classes.activate(outputs), ())["probabilities"]
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-6)
