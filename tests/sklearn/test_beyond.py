"""What the estimators have and scikit-learn's own MLP has not."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification
from sklearn.metrics import recall_score
from sklearn.utils.class_weight import compute_sample_weight

from jaxmlp.sklearn import MLPClassifier, MLPRegressor
from jaxmlp.sklearn.solvers.orders import ShuffledOrders

X, Y = load_iris(return_X_y=True)
SEEN, UNSEEN = slice(0, None, 2), slice(1, None, 2)
LABELLED, LABELS = make_multilabel_classification(100, random_state=0)

pytestmark = [
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def assert_same(one, other):
    for a, b in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 3, 2: 0.5}])
def test_class_weights_are_the_sample_weights_that_scikit_learn_makes_of_them(solver, class_weight):
    settings = {"preset": "sklearn", "solver": solver, "max_iter": 20, "random_state": 0}
    rows = np.r_[0:90, 100:130]
    weight = np.random.default_rng(0).uniform(1, 2, len(rows))
    made = weight * compute_sample_weight(class_weight, Y[rows])
    one = MLPClassifier(class_weight=class_weight, **settings)
    assert_same(
        one.fit(X[rows], Y[rows], sample_weight=weight),
        MLPClassifier(**settings).fit(X[rows], Y[rows], sample_weight=made),
    )


def test_balanced_classes_find_more_of_a_rare_one():
    x, y = make_classification(600, weights=[0.95], class_sep=0.5, random_state=0)
    plain, balanced = (
        MLPClassifier(preset="sklearn", class_weight=weight, max_iter=100, random_state=0).fit(x, y)
        for weight in (None, "balanced")
    )
    assert recall_score(y, balanced.predict(x)) > recall_score(y, plain.predict(x)) + 0.1


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_class_weighs_a_finite_number_of_at_least_0(wrong):
    with pytest.raises(ValueError, match=r"class_weight\[2\] must be finite and at least 0"):
        MLPClassifier(class_weight={0: 1, 1: 1, 2: wrong}).fit(X, Y)


def test_a_weight_of_no_class_of_y_is_warned_of():
    model = MLPClassifier(preset="sklearn", class_weight={0: 1, 1: 1, 2: 1, 7: 2}, max_iter=1)
    with pytest.warns(UserWarning, match=r"class_weight has \[7\], which are no classes of y"):
        model.fit(X, Y)


def test_several_labels_have_a_weight_each():
    each = [{0: 1, 1: 2}] * LABELS.shape[1]
    weighted = MLPClassifier(preset="sklearn", class_weight=each, max_iter=5, random_state=0).fit(
        LABELLED, LABELS
    )
    weight = compute_sample_weight(each, LABELS)
    plain = MLPClassifier(preset="sklearn", max_iter=5, random_state=0).fit(
        LABELLED, LABELS, sample_weight=weight
    )
    assert_same(weighted, plain)


def test_balanced_classes_of_a_part_are_refused():
    with pytest.raises(ValueError, match="not supported for partial_fit, since not all rows"):
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


def test_rows_to_validate_on_are_scored_after_every_epoch_and_change_nothing():
    settings = {"preset": "sklearn", "max_iter": 12, "random_state": 0}
    validation = {"X_val": X[UNSEEN], "y_val": Y[UNSEEN]}
    scored = MLPClassifier(**settings).fit(X[SEEN], Y[SEEN], **validation)
    plain = MLPClassifier(**settings).fit(X[SEEN], Y[SEEN])
    assert_same(scored, plain)
    assert plain.validation_scores_ is None
    assert scored.loss_curve_ == plain.loss_curve_
    assert len(scored.validation_scores_) == 12
    assert scored.validation_scores_[-1] == scored.score(X[UNSEEN], Y[UNSEEN])


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_early_stopping_keeps_the_weights_that_are_best_on_them(kind):
    settings = {"early_stopping": True, "learning_rate_init": 0.01, "random_state": 0}
    validation = {"X_val": X[UNSEEN], "y_val": Y[UNSEEN]}
    estimator = kind(n_iter_no_change=20, max_iter=400, **settings)
    estimator.fit(X[SEEN], Y[SEEN], **validation)
    assert estimator.n_iter_ < 400
    # R2 is rounded otherwise in the order of another batch.
    best = pytest.approx(max(estimator.validation_scores_), rel=1e-12)
    assert estimator.score(X[UNSEEN], Y[UNSEEN]) == estimator.best_validation_score_ == best


def test_weights_of_rows_to_validate_on_count():
    settings = {"preset": "sklearn", "max_iter": 3, "random_state": 0}
    weight = np.arange(len(X[UNSEEN]), dtype=float)
    rows = {"X_val": X[UNSEEN], "y_val": Y[UNSEEN], "sample_weight_val": weight}
    estimator = MLPClassifier(**settings).fit(X[SEEN], Y[SEEN], **rows)
    score = estimator.score(X[UNSEEN], Y[UNSEEN], sample_weight=weight)
    assert estimator.validation_scores_[-1] == score


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ({"X_val": X}, {}, "X_val and y_val must be given together"),
        ({"X_val": X, "y_val": Y}, {"solver": "lbfgs"}, "X_val has no effect with solver='lbfgs'"),
        ({"X_val": X[:, :2], "y_val": Y}, {}, "X has 2 features, but MLPClassifier is expecting 4"),
        ({"X_val": X, "y_val": Y + 1}, {}, "classes not in `self.classes_`"),
    ],
)
def test_bad_rows_to_validate_on_are_refused(given, settings, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**settings).fit(X, Y, **given)


@pytest.mark.parametrize("activation", ["gelu", "silu", "sigmoid", "mish"])
def test_our_activations_are_taken(activation):
    estimator = MLPClassifier(
        preset="sklearn", activation=activation, max_iter=200, random_state=0
    ).fit(X, Y)
    assert estimator.score(X, Y) > 0.9


def test_decisions_are_the_logits_of_probabilities():
    several = MLPClassifier(preset="sklearn", max_iter=20, random_state=0).fit(X, Y)
    logits = several.decision_function(X)
    np.testing.assert_allclose(
        np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), several.predict_proba(X)
    )
    two = MLPClassifier(preset="sklearn", max_iter=20, random_state=0).fit(X, Y == 0)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-two.decision_function(X))), two.predict_proba(X)[:, 1]
    )


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 100])
def test_predictions_do_not_depend_on_the_rows_beside_them(rows):
    estimator = MLPClassifier(preset="sklearn", max_iter=10, random_state=0).fit(X, Y)
    whole = estimator.predict_proba(np.tile(X, (10, 1)))
    # For another number of rows, XLA may add up the 100 units in another order.
    np.testing.assert_allclose(
        estimator.predict_proba(X[:rows]), whole[:rows], rtol=100 * np.finfo(float).eps
    )


def test_a_fit_with_the_same_random_state_gives_the_same_bits():
    fits = [
        MLPClassifier(preset="sklearn", max_iter=10, random_state=1).fit(X, Y) for _ in range(2)
    ]
    assert_same(*fits)


def test_negative_weights_and_counts_are_refused():
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        MLPClassifier(preset="sklearn").fit(X, Y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="loss='poisson' requires non-negative y; got -1"):
        MLPRegressor(loss="poisson").fit(X, Y - 1)


def test_a_solver_begins_where_another_one_has_trained_before():
    model = MLPClassifier(preset="sklearn", solver="adam", max_iter=3, random_state=0).fit(X, Y)
    model.set_params(solver="sgd").partial_fit(X, Y)
    fresh = MLPClassifier(solver="sgd", random_state=0, max_iter=3).fit(X, Y)
    before = MLPClassifier(preset="sklearn", solver="adam", max_iter=3, random_state=0).fit(X, Y)
    fresh.coefs_, fresh.intercepts_ = before.coefs_, before.intercepts_
    del fresh._optimizer_state
    assert_same(model, fresh.partial_fit(X, Y))


def test_other_layers_are_refused_where_training_goes_on():
    model = MLPClassifier(preset="sklearn", warm_start=True, max_iter=3, random_state=0).fit(X, Y)
    message = r"go on with the layers.*\[4, 100, 3\] units; got \[4, 7, 3\]"
    with pytest.raises(ValueError, match=message):
        model.set_params(hidden_layer_sizes=7).fit(X, Y)
    several = MLPRegressor(preset="sklearn", max_iter=3, random_state=0).fit(X, X[:, :2])
    with pytest.raises(ValueError, match=r"got \[4, 100, 3\]"):
        several.partial_fit(X, X[:, :3])


@pytest.mark.parametrize("first", [{}, {"X_val": X, "y_val": Y}])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_warm_start_may_look_at_what_the_fit_before_did_not(first, early_stopping):
    model = MLPClassifier(preset="sklearn", warm_start=True, max_iter=3, random_state=0).fit(
        X, Y, **first
    )
    model.set_params(early_stopping=early_stopping).fit(X, Y, X_val=X, y_val=Y)
    assert len(model.loss_curve_) == 6
    assert len(model.validation_scores_) == (6 if first else 3)
    model.set_params(early_stopping=False).fit(X, Y)
    assert np.isfinite(model.best_loss_)


def test_orders_of_epochs_that_are_over_are_forgotten():
    orders = ShuffledOrders(2**17, np.random.RandomState(0))
    drawn = [orders.order(epoch) for epoch in range(40)]
    assert len({order.tobytes() for order in drawn}) == 40
    tracked = sum(order.nbytes for order in orders._orders)
    assert tracked == 8 * drawn[0].nbytes
    again = ShuffledOrders(2**17, np.random.RandomState(0))
    np.testing.assert_array_equal(again.order(39), drawn[39])


def test_orders_that_were_forgotten_are_drawn_again():
    orders = ShuffledOrders(2**17, np.random.RandomState(0))
    drawn = [orders.order(epoch) for epoch in range(12)]
    for epoch in (11, 4, 3, 5):
        np.testing.assert_array_equal(orders.order(epoch), drawn[epoch])


@pytest.mark.parametrize("drawn", [3, 20, 80])
def test_a_generator_is_wound_back_over_any_number_of_orders(drawn):
    generators = [np.random.RandomState(0) for _ in range(2)]
    for generator, epochs in zip(generators, (3, drawn), strict=True):
        orders = ShuffledOrders(5, generator)
        orders.order(epochs - 1)
        orders.wind_back(3)
    assert generators[0].randint(2**31) == generators[1].randint(2**31)
