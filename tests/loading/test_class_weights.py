"""Tests of `class_weights`: a weight per row from a weight per class."""

import jax.numpy as jnp
import numpy as np
import pytest
from fits import LINEAR, X, Y, assert_same, differs, fit, make_loader

import jaxmlp

LABELS = np.array([0, 0, 0, 2, 2, 5])


def test_balanced_classes_weigh_the_same_in_all():
    weight = jaxmlp.class_weights(LABELS)
    totals = [weight[label == LABELS].sum() for label in (0, 2, 5)]
    # float32 sums of three numbers.
    np.testing.assert_allclose(totals, 2.0, rtol=1e-6)


def test_balanced_weights_are_scikit_learns():
    utils = pytest.importorskip("sklearn.utils")
    expected = utils.class_weight.compute_sample_weight("balanced", LABELS)
    np.testing.assert_allclose(jaxmlp.class_weights(LABELS), expected, rtol=1e-7)


def test_balanced_weights_have_mean_1():
    np.testing.assert_allclose(jaxmlp.class_weights(Y).mean(), 1, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int8])
def test_each_row_gets_the_weight_of_its_class(kind):
    weight = jaxmlp.class_weights(LABELS.astype(kind), {0: 1.0, 2: 0.5, 5: 4.0})
    assert weight.tolist() == [1, 1, 1, 0.5, 0.5, 4]


def test_labels_may_be_a_jax_array():
    expected = jaxmlp.class_weights(LABELS)
    np.testing.assert_array_equal(jaxmlp.class_weights(jnp.asarray(LABELS)), expected)


def test_labels_may_be_booleans():
    weight = jaxmlp.class_weights(np.array([True, False, False, False]))
    np.testing.assert_allclose(weight, [2, 2 / 3, 2 / 3, 2 / 3], rtol=1e-6)


def test_weights_are_float32_for_the_loader():
    assert jaxmlp.class_weights(LABELS).dtype == np.float32


def test_a_weight_of_2_is_the_row_twice():
    # The gradient of one batch: sum(w g) / sum(w).
    weight = jaxmlp.class_weights(Y, {0: 2.0, 1: 1.0, 2: 1.0})
    twice = np.flatnonzero(Y == 0)
    x, y = np.concatenate([X, X[twice]]), np.concatenate([Y, Y[twice]])
    weighted = fit(make_loader(weight=weight, batch_size=len(X)), **LINEAR)
    repeated = fit(make_loader(x, y, None, batch_size=len(x)), **LINEAR)
    np.testing.assert_allclose(
        # Sums over rows in another order, over five steps.
        weighted.params.output.kernel,
        repeated.params.output.kernel,
        rtol=1e-5,
        # Of kernels of size 0.1 to 0.5.
        atol=1e-6,
    )


def test_a_class_of_weight_0_is_not_learned():
    weight = jaxmlp.class_weights(Y, {0: 0.0, 1: 1.0, 2: 1.0})
    other_x = np.where((Y == 0)[:, None], 100, X).astype(np.float32)
    results = [fit(make_loader(x, weight=weight), **LINEAR) for x in (X, other_x)]
    assert_same(results[0].params, results[1].params)
    assert differs(results[0].params, fit(**LINEAR).params)


def test_weights_raise_the_recall_of_their_class():
    labels = (X[:, 0] + 0.5 * X[:, 1] > 1).astype(np.int64)
    recalls = []
    for weights in ({0: 1.0, 1: 0.1}, {0: 1.0, 1: 10.0}):
        loader = make_loader(y=labels, weight=jaxmlp.class_weights(labels, weights))
        params = fit(loader, **LINEAR).params
        logits = X @ np.asarray(params.output.kernel) + np.asarray(params.output.bias)
        recalls.append((logits.argmax(axis=-1) == 1)[labels == 1].mean())
    assert recalls[0] < recalls[1]


@pytest.mark.bad_input
@pytest.mark.parametrize("y", [np.ones(3), np.ones((3, 1), int), np.array(["a", "b"])])
def test_labels_that_are_no_classes_are_refused(y):
    with pytest.raises(TypeError, match=r"y must hold integer classes, shape \(rows,\); got"):
        jaxmlp.class_weights(y)


@pytest.mark.bad_input
@pytest.mark.parametrize("weights", [{}, {0: 1, 2: 1}, {0: 1, 2: 1, 5: 1, 6: 1}])
def test_weights_must_name_the_classes_that_occur(weights):
    with pytest.raises(ValueError, match=r"must name the classes that occur, \[0, 2, 5\]; got"):
        jaxmlp.class_weights(LABELS, weights)


@pytest.mark.bad_input
@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_class_weight_must_be_finite_and_at_least_0(weight):
    with pytest.raises(ValueError, match=r"at least 0|finite"):
        make_loader(y=LABELS, x=X[:6], weight=jaxmlp.class_weights(LABELS, {0: weight, 2: 1, 5: 1}))
