"""Temperatures that make probabilities honest."""

import functools

import numpy as np
import pytest
from messy import SMALL
from scipy.special import expit, softmax
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxmlp.sklearn import MLPClassifier
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


def penalised(logits, temperature):
    """Minus the logarithm of the posterior, by row: half a row of any class, and N(0, 0.4^2)."""
    rows = np.unique(logits.row)
    weight = logits.weight[rows]
    count = weight.sum() ** 2 / (weight**2).sum()
    values, targets = logits.values[0] / temperature, logits.targets[rows]
    by_entry = softmax(values, axis=-1) if targets.ndim == 1 else expit(values)
    mean = np.stack([by_entry[logits.row == row].mean(axis=0) for row in rows])
    share = 0.5 / (count + 0.5)
    if targets.ndim == 1:
        wanted = (1 - share) * np.eye(3)[targets] + share / 3
        by_row = -(wanted * np.log(mean)).sum(axis=1)
    else:
        wanted = (1 - share) * targets + share / 2
        by_row = -(wanted * np.log(mean) + (1 - wanted) * np.log(1 - mean)).sum(axis=1)
    loss = weight @ by_row / weight.sum()
    return loss + (np.log(temperature) / 0.4) ** 2 / 2 / count


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_no_temperature_is_likelier(kind):
    logits = draw_logits(kind)
    found = fit_temperature(logits)
    grid = np.exp(np.linspace(-1, np.log(10), 400))
    least = min(penalised(logits, temperature) for temperature in grid)
    assert penalised(logits, found) <= least
    assert penalised(logits, found) < penalised(logits, 1.0)


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_of_smoothed_targets_a_share_is_of_any_class(kind):
    logits, share = draw_logits(kind), 0.3
    own, half = tempered_loss(logits, 1.7), tempered_loss(logits, 1.7, share)
    others = []
    for number in range(3 if kind == "classes" else 2):
        targets = np.full_like(logits.targets, number)
        others.append(tempered_loss(logits._replace(targets=targets), 1.7))
    np.testing.assert_allclose(half, (1 - share) * own + share * np.mean(others), rtol=1e-12)


def test_few_rows_that_are_all_right_do_not_make_sure():
    """By the least log loss alone, the temperature would be as small as it may be."""
    logits = Logits(np.array([[[4.0, 0, 0]] * 10]), np.arange(10), np.zeros(10, int), np.ones(10))
    assert 0.7 < fit_temperature(logits) < 1.5
    # An error in 40 rows fits to a logit of 4, however high it is taken to be.
    for height in (4.0, 20.0):
        values, targets = np.zeros((1, 40, 2)), np.zeros(40, int)
        values[..., 0], targets[0] = height, 1
        found = fit_temperature(Logits(values, np.arange(40), targets, np.ones(40)))
        assert height / 8 < found < height / 3


@pytest.mark.parametrize(
    ("dtype", "factor"), [("float32", 1e-25), ("float32", 1e20), (float, 1e-200), (float, 1e200)]
)
def test_what_weights_are_multiplied_by_changes_nothing(dtype, factor):
    logits = draw_logits("classes")
    scaled = logits._replace(weight=(logits.weight * factor).astype(dtype))
    # Weights are rounded to 6e-8, and the search ends within 1e-4.
    np.testing.assert_allclose(fit_temperature(scaled), fit_temperature(logits), rtol=1e-4)


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_few_held_out_rows_do_little_harm(load):
    x, y = load(return_X_y=True)
    ratios = []
    for seed in range(6):
        x_train, x_test, y_train, y_test = train_test_split(
            x, y, test_size=0.4, stratify=y, random_state=seed
        )
        model = make_pipeline(
            StandardScaler(),
            MLPClassifier(
                preset="sklearn", early_stopping=True, calibrate=True, random_state=seed
            ).set_params(learning_rate_init=0.01, n_iter_no_change=200),
        )
        model.fit(x_train, y_train)
        temperature, logits = model[-1].temperature_, model.decision_function(x_test)
        activate = expit if logits.ndim == 1 else functools.partial(softmax, axis=1)
        calibrated, plain = (
            log_loss(y_test, activate(logits * factor)) for factor in (1.0, temperature)
        )
        ratios.append(calibrated / plain)
    # By the least log loss of the 34 or 9 rows alone it was 2.5 and 1.6 times that without.
    assert np.exp(np.mean(np.log(ratios))) < 1.1
    assert max(ratios) < 1.5


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
    model.set_params(calibrate=True, warm_start=True).fit(X, Y)
    assert model.temperature_ != 1.0
    assert model.set_params(calibrate=False).fit(X, Y).temperature_ == 1.0
    model.set_params(calibrate=True).fit(X, Y)
    again = model.set_params(calibrate=False, early_stopping=False).partial_fit(X, Y)
    assert again.temperature_ == 1.0


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
