"""Tests of precision, recall, F1, log loss and the confusion matrix against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import (
    Batch,
    MLPConfig,
    init_params,
    losses,
    make_loss,
    metrics,
)

ROWS, CLASSES = 200, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(ROWS, CLASSES)).astype(np.float32)
# Class 3 never occurs; class 4 is never predicted.
LOGITS[:, 4] = -10
TARGETS = np.array([0, 1, 2, 4])[RNG.integers(0, 4, ROWS)]
SCORES = RNG.normal(size=(ROWS, 1)).astype(np.float32)
LABELS = (SCORES[:, 0] + RNG.normal(size=ROWS) > 0).astype(np.int64)
# Sums of 200 positive float32 numbers: some 8 ulp.
CLOSE = {"rtol": 1e-6, "atol": 1e-7}

WEIGHTS = pytest.mark.parametrize(
    "weight", [None, RNG.gamma(2.0, size=ROWS).astype(np.float32)], ids=["unweighted", "weighted"]
)
SCIKIT_LEARN = {
    "precision": sklearn.metrics.precision_score,
    "recall": sklearn.metrics.recall_score,
    "f1": sklearn.metrics.f1_score,
}


@WEIGHTS
class TestAgainstScikitLearn:
    @pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
    @pytest.mark.parametrize("name", SCIKIT_LEARN)
    def test_averages_over_classes(self, name, average, weight):
        expected = SCIKIT_LEARN[name](
            TARGETS, LOGITS.argmax(axis=-1), average=average, sample_weight=weight, zero_division=0
        )
        value = getattr(metrics, name)(average)(LOGITS, TARGETS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    @pytest.mark.parametrize("average", ["binary", "macro", "micro", "weighted"])
    @pytest.mark.parametrize("name", SCIKIT_LEARN)
    def test_one_logit(self, name, average, weight):
        expected = SCIKIT_LEARN[name](
            LABELS, SCORES[:, 0] > 0, average=average, sample_weight=weight
        )
        value = getattr(metrics, name)(average)(SCORES, LABELS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    @pytest.mark.parametrize("name", SCIKIT_LEARN)
    def test_two_logits(self, name, weight):
        logits = np.concatenate([np.zeros_like(SCORES), SCORES], axis=-1)
        expected = SCIKIT_LEARN[name](LABELS, SCORES[:, 0] > 0, sample_weight=weight)
        np.testing.assert_allclose(
            getattr(metrics, name)()(logits, LABELS, weight), expected, **CLOSE
        )

    def test_log_loss(self, weight):
        exponentials = np.exp(np.float64(LOGITS))
        probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        expected = sklearn.metrics.log_loss(
            TARGETS, probabilities, sample_weight=weight, labels=range(CLASSES)
        )
        np.testing.assert_allclose(metrics.log_loss(LOGITS, TARGETS, weight), expected, **CLOSE)

    def test_log_loss_of_one_logit(self, weight):
        probability = 1 / (1 + np.exp(-np.float64(SCORES[:, 0])))
        expected = sklearn.metrics.log_loss(LABELS, probability, sample_weight=weight)
        np.testing.assert_allclose(metrics.log_loss(SCORES, LABELS, weight), expected, **CLOSE)

    def test_confusion_matrix(self, weight):
        expected = sklearn.metrics.confusion_matrix(
            TARGETS, LOGITS.argmax(axis=-1), sample_weight=weight, labels=range(CLASSES)
        )
        got = metrics.confusion_matrix(LOGITS, TARGETS, weight)
        np.testing.assert_allclose(got, expected, **CLOSE)

    def test_confusion_matrix_of_one_logit(self, weight):
        expected = sklearn.metrics.confusion_matrix(LABELS, SCORES[:, 0] > 0, sample_weight=weight)
        got = metrics.confusion_matrix(SCORES, LABELS, weight)
        np.testing.assert_allclose(got, expected, **CLOSE)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
@pytest.mark.parametrize("score", [-1.0, 1.0])
@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_what_would_be_0_by_0_is_0_as_in_scikit_learn(name, score, labels):
    scores = np.full((2, 1), score)
    expected = SCIKIT_LEARN[name](labels, [int(score > 0)] * 2, zero_division=0)
    assert getattr(metrics, name)()(scores, np.array(labels)) == expected


METRICS = [metrics.precision("macro"), metrics.recall("weighted"), metrics.log_loss]
METRICS += [metrics.f1("micro"), metrics.f1("macro")]


def total(count, cuts):
    parts = np.split(np.arange(ROWS), sorted(cuts))
    counts = [count(LOGITS[part], TARGETS[part], np.float32(part % 3)) for part in parts]
    return jax.tree.map(lambda *a: sum(a[1:], a[0]), *counts)


# Batches of few lengths, each of which compiles anew; 0 is one of them.
CUTS = st.lists(st.sampled_from([0, ROWS // 3, ROWS // 2, ROWS]), max_size=6)


@settings(deadline=None, max_examples=15)
@given(CUTS, st.sampled_from(METRICS))
def test_counts_over_any_batches_give_the_number_of_all_rows(cuts, metric):
    expected = metric(LOGITS, TARGETS, np.float32(np.arange(ROWS) % 3))
    np.testing.assert_allclose(metric.compute(total(metric.count, cuts)), expected, **CLOSE)


@settings(deadline=None, max_examples=15)
@given(CUTS)
def test_confusion_matrices_of_any_batches_add_up(cuts):
    expected = metrics.confusion_matrix(LOGITS, TARGETS, np.float32(np.arange(ROWS) % 3))
    np.testing.assert_array_equal(total(metrics.confusion_matrix, cuts), expected)


@pytest.mark.parametrize("metric", [*METRICS, metrics.f1(), metrics.confusion_matrix])
class TestBadRows:
    def test_a_nan_output_is_not_hidden(self, metric):
        logits = np.array([[0.0, np.nan], [0, 1]])
        assert np.isnan(metric(logits, np.array([0, 1]))).all()

    @pytest.mark.parametrize("label", [-1, 2, 0.5])
    def test_a_target_that_is_no_class_gives_nan(self, metric, label):
        assert np.isnan(metric(np.eye(2), np.array([label, 1]))).all()

    def test_they_do_not_count_at_weight_0(self, metric):
        logits, targets = np.array([[np.nan, 0], [0, 1], [1, 0]]), np.array([9, 1, 0])
        got = metric(logits, targets, np.array([0, 1, 1]))
        np.testing.assert_allclose(got, metric(logits[1:], targets[1:]))

    def test_shapes_that_do_not_match_are_refused(self, metric):
        with pytest.raises(ValueError, match=r"targets must have shape \(2,\); got \(3,\)"):
            metric(np.eye(2), np.zeros(3, int))


@pytest.mark.parametrize("metric", [*METRICS, metrics.f1()])
def test_without_rows_they_are_nan(metric):
    assert np.isnan(metric(np.zeros((0, 2), np.float32), np.zeros(0, int)))


@pytest.mark.parametrize("factory", [metrics.f1, metrics.precision, metrics.recall])
class TestAverages:
    @pytest.mark.bad_input
    def test_others_are_refused(self, factory):
        with pytest.raises(ValueError, match=r"average must be 'binary', .*; got 'samples'\."):
            factory("samples")

    def test_binary_refuses_several_classes(self, factory):
        with pytest.raises(ValueError, match="average='binary' needs at most two outputs; got 3"):
            factory()(np.zeros((2, 3)), np.zeros(2, int))

    def test_the_name_tells_it(self, factory):
        assert factory().name == factory.__name__
        assert factory("macro").name == f"macro_{factory.__name__}"


def test_they_are_metrics_of_a_loss_function():
    config = MLPConfig(in_features=CLASSES, out_features=3)
    named = {"f1": metrics.f1("macro"), "log_loss": metrics.log_loss}
    loss_fn = make_loss(config, losses.softmax_cross_entropy, metrics=named)
    params = init_params(config, key=jax.random.key(0))
    loss, values = jax.jit(loss_fn)(params, Batch(LOGITS, TARGETS % 3), None)
    assert set(values) == set(named)
    # The same sum in another order.
    np.testing.assert_allclose(values["log_loss"], loss, rtol=1e-6)
    assert jnp.isfinite(values["f1"])
