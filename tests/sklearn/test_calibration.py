"""Temperatures that make probabilities honest, and how far networks differ."""

import dataclasses

import numpy as np
import pytest
from messy import SMALL
from scipy.special import expit, softmax
from sklearn.metrics import log_loss

from jaxmlp.sklearn import MLPClassifier, MLPRegressor
from jaxmlp.sklearn.calibration import Logits, choose_rows, fit_temperature, tempered_loss
from jaxmlp.sklearn.tables.preparation import prepare_rows

DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(200, 4))
Y = np.digitize(X[:, 0] + DRAWS.normal(0, 1, 200), [-0.5, 0.5])
SETTINGS = {"random_state": 0}
# Networks that are sure of themselves.
LIKE_SKLEARN = {"preset": "sklearn", "learning_rate_init": 0.02, "max_iter": 60, **SETTINGS}

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")]


def draw_logits(kind, *, members=1, entries=300):
    values = 3 * DRAWS.normal(size=(members, entries, 3))
    row = np.sort(DRAWS.integers(0, 100, entries))
    targets = DRAWS.integers(0, 3, 100)
    if kind == "labels":
        targets = (DRAWS.random((100, 3)) < 0.4).astype(float)
    return Logits(values, row, targets, DRAWS.exponential(size=100))


@pytest.mark.parametrize("kind", ["classes", "labels"])
@pytest.mark.parametrize("members", [1, 4])
def test_the_loss_is_that_of_mean_probabilities(kind, members):
    logits = draw_logits(kind, members=members)
    values = logits.values / 1.7
    by_member = softmax(values, axis=-1) if kind == "classes" else expit(values)
    probabilities = by_member.mean(axis=0)
    rows = np.unique(logits.row)
    mean = np.stack([probabilities[logits.row == row].mean(axis=0) for row in rows])
    targets, weight = logits.targets[rows], logits.weight[rows]
    if kind == "classes":
        expected = log_loss(targets, mean, sample_weight=weight, labels=[0, 1, 2])
    else:
        expected = sum(
            log_loss(targets[:, label], mean[:, label], sample_weight=weight) for label in range(3)
        )
    np.testing.assert_allclose(tempered_loss(logits, 1.7), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_no_temperature_near_is_better_and_one_is_never_worse(kind):
    logits = draw_logits(kind)
    found = fit_temperature(logits)
    least = tempered_loss(logits, found)
    assert least <= tempered_loss(logits, 1.0)
    if found < 9.9:
        assert least <= min(tempered_loss(logits, found * factor) for factor in (0.97, 1.03))


def test_honest_logits_stay_about_as_they_are():
    values = DRAWS.normal(size=(1, 20_000, 1))
    targets = (DRAWS.random((20_000, 1)) < expit(values[0])).astype(float)
    found = fit_temperature(Logits(values, np.arange(20_000), targets, np.ones(20_000)))
    # Its standard error is about 1 / sqrt(rows * 0.2).
    assert abs(found - 1) < 0.06


def test_rows_without_weight_tell_nothing():
    logits = draw_logits("classes")
    assert fit_temperature(logits._replace(weight=np.zeros(100))) == 1.0
    weight = np.where(np.arange(100) < 50, logits.weight, 0)
    half = logits.row < 50
    less = logits._replace(values=logits.values[:, half], row=logits.row[half], weight=weight)
    np.testing.assert_allclose(
        fit_temperature(logits._replace(weight=weight)), fit_temperature(less), rtol=1e-3
    )


def test_of_many_rows_some_are_chosen():
    weight = np.ones((1, 120_000))
    chosen = choose_rows(weight)
    assert len(chosen) == 40_000
    assert choose_rows(0 * weight).size == 0


def held_out_loss(model, x, y):
    return log_loss(y, model.predict_proba(x), labels=model.classes_)


def test_a_recipe_s_temperature_lowers_the_loss_on_rows_to_validate_on():
    rows = {"X_val": X[100:], "y_val": Y[100:]}
    plain = MLPClassifier(preset=SMALL, **SETTINGS).fit(X[:100], Y[:100], **rows)
    model = MLPClassifier(preset=SMALL, calibrate=True, **SETTINGS).fit(X[:100], Y[:100], **rows)
    assert plain.temperature_ == 1.0
    assert model.temperature_ != 1.0
    assert held_out_loss(model, X[100:], Y[100:]) < held_out_loss(plain, X[100:], Y[100:])


@pytest.mark.parametrize("n_ensemble", [1, 2])
def test_one_network_s_classes_stay_and_of_several_only_those_of_undecided_rows_change(n_ensemble):
    settings = {"preset": SMALL, "n_ensemble": n_ensemble, **SETTINGS}
    rows = {"X_val": X[100:], "y_val": Y[100:]}
    plain = MLPClassifier(**settings).fit(X[:100], Y[:100], **rows)
    model = MLPClassifier(calibrate=True, **settings).fit(X[:100], Y[:100], **rows)
    assert model.temperature_ != 1.0
    best = np.sort(plain.predict_proba(X), axis=1)
    # Logits of one network keep their order; the mean of softmaxes of several need not.
    decided = best[:, -1] - best[:, -2] > (0 if n_ensemble == 1 else 0.05)
    assert decided.sum() > 150
    np.testing.assert_array_equal(model.predict(X[decided]), plain.predict(X[decided]))


def test_members_are_looked_at_on_the_rows_that_each_did_not_see():
    model = MLPClassifier(preset=SMALL, calibrate=True, **SETTINGS).fit(X, Y)
    seen = []
    model._use_held_out = lambda compute: seen.append(compute())
    model.fit(X, Y)
    (logits,) = seen
    # Two folds and two members: every row once.
    np.testing.assert_array_equal(logits.row, np.arange(200))
    del model._use_held_out
    members = np.asarray(model._apply_members(model.members_, rows_of(model), same, apart=True))
    found = [
        np.flatnonzero(np.isclose(members[:, n], logits.values[0, n]).all(-1)) for n in range(200)
    ]
    assert {tuple(one) for one in found} == {(0,), (1,)}
    assert fit_temperature(logits) == model.fit(X, Y).temperature_


def same(outputs):
    return outputs


def rows_of(model):
    return prepare_rows(model.preparation_, X, dtype=np.float32)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    "y", [Y, Y > 1, np.stack([Y > 0, Y > 1], axis=1).astype(int)], ids=["classes", "two", "labels"]
)
def test_scikit_learn_s_training_is_calibrated_on_rows_set_aside(y, given):
    settings = LIKE_SKLEARN | {"early_stopping": not given}
    rows = {"X_val": X[150:], "y_val": y[150:]} if given else {}
    plain, model = (
        MLPClassifier(calibrate=calibrate, **settings).fit(X[:150], y[:150], **rows)
        for calibrate in (False, True)
    )
    for one, other in zip(plain.coefs_, model.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    # In float64, by two roundings.
    np.testing.assert_allclose(
        model.decision_function(X) * model.temperature_, plain.decision_function(X), rtol=1e-10
    )
    if given and y.ndim == 1:
        before, after = (held_out_loss(one, X[150:], y[150:]) for one in (plain, model))
        assert after < before


def test_a_refit_without_forgets_the_temperature():
    model = MLPClassifier(calibrate=True, early_stopping=True, **LIKE_SKLEARN).fit(X, Y)
    assert model.temperature_ != 1.0
    assert model.set_params(calibrate=False).fit(X, Y).temperature_ == 1.0


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"alpha": 1.0}, 200),
        ({"solver": "lbfgs", "early_stopping": True}, 200),
        ({"preset": SMALL}, 40),
        ({}, 40),
    ],
    ids=str,
)
def test_rows_to_calibrate_on_are_asked_for(settings, rows):
    with pytest.raises(ValueError, match="calibrate=True needs rows that are not trained on"):
        MLPClassifier(calibrate=True, **settings).fit(X[:rows], Y[:rows])
    with pytest.raises(ValueError, match="calibrate=True needs rows"):
        MLPClassifier(calibrate=True).partial_fit(X, Y, classes=[0, 1, 2])


class TestSpread:
    def test_of_classes_it_is_that_of_the_members_probabilities(self):
        model = MLPClassifier(preset=SMALL, n_ensemble=3, **SETTINGS).fit(X, Y)
        members = model._compute_members(X, apart=True)
        assert members.shape == (3, 200, 3)
        np.testing.assert_allclose(model.predict_std(X), members.std(axis=0), atol=1e-7)
        np.testing.assert_allclose(model.predict_proba(X), members.mean(axis=0), atol=1e-6)
        binary = MLPClassifier(preset=SMALL, **SETTINGS).fit(X, Y > 1)
        assert np.ptp(binary.predict_std(X), axis=1).max() == 0

    @pytest.mark.parametrize("several", [False, True])
    def test_of_numbers_it_is_in_their_units(self, several):
        y = 100 * np.stack([X[:, 0], X[:, 1] ** 2], axis=1)
        y = y if several else y[:, 0]
        model = MLPRegressor(preset=SMALL, **SETTINGS).fit(X, y)
        larger = MLPRegressor(preset=SMALL, **SETTINGS).fit(X, 8 * y)
        assert model.predict_std(X).shape == y.shape
        # A power of 2 changes no digit.
        np.testing.assert_array_equal(larger.predict_std(X), 8 * model.predict_std(X))

    def test_of_a_normal_distribution_it_is_the_whole(self):
        model = MLPRegressor("gaussian", preset=SMALL, **SETTINGS).fit(X, X[:, 0])
        mean, std = np.split(model._compute_members(X, apart=True).astype(float), 2, axis=2)
        whole = np.sqrt((std**2).mean(axis=0) + mean.var(axis=0))[:, 0]
        np.testing.assert_allclose(model.predict_std(X), whole * model.target_scale_, rtol=1e-6)
        np.testing.assert_array_equal(model.predict_std(X), model.predict_dist(X).std())

    def test_members_of_one_network_count(self):
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
    def test_one_network_has_none(self, model):
        assert not hasattr(model, "predict_std")
        with pytest.raises(AttributeError) as caught:
            model.predict_std(X)
        assert "only available with several networks" in str(caught.value.__cause__)
        fitted = MLPRegressor(preset="sklearn", max_iter=1).fit(X, Y)
        assert not hasattr(fitted.set_params(preset="auto"), "predict_std")
