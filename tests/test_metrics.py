"""Tests of every metric against scikit-learn, on all rows at once."""

import math

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import sklearn.metrics

from jaxmlp import metrics

ROWS, CLASSES = 200, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(ROWS, CLASSES)).astype(np.float32)
TARGETS = RNG.integers(0, CLASSES, ROWS)
# Rounded, so that scores tie.
SCORES = RNG.normal(size=(ROWS, 1)).round(1).astype(np.float32)
LABELS = (SCORES[:, 0] + RNG.normal(size=ROWS) > 0).astype(np.int64)
NUMBERS = RNG.normal(size=(ROWS, 3)).astype(np.float32)
PREDICTIONS = (NUMBERS + RNG.normal(0, 0.5, size=(ROWS, 3))).astype(np.float32)

WEIGHTS = pytest.mark.parametrize(
    "weight",
    [
        None,
        RNG.gamma(2.0, size=ROWS).astype(np.float32),
        RNG.integers(0, 3, ROWS).astype(np.float32),
    ],
    ids=["unweighted", "weighted", "some of weight 0"],
)

# Sums of 200 positive float32 numbers, computed in blocks: some 8 ulp.
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


@WEIGHTS
class TestAgainstScikitLearn:
    def test_accuracy(self, weight):
        expected = sklearn.metrics.accuracy_score(
            TARGETS, LOGITS.argmax(axis=-1), sample_weight=weight
        )
        np.testing.assert_allclose(metrics.accuracy(LOGITS, TARGETS, weight), expected, **CLOSE)

    def test_accuracy_of_one_logit(self, weight):
        expected = sklearn.metrics.accuracy_score(LABELS, SCORES[:, 0] > 0, sample_weight=weight)
        np.testing.assert_allclose(metrics.accuracy(SCORES, LABELS, weight), expected, **CLOSE)

    @pytest.mark.parametrize("k", range(1, CLASSES + 1))
    @pytest.mark.filterwarnings("ignore:'k' .* will result in a perfect score")
    def test_top_k_accuracy(self, weight, k):
        expected = sklearn.metrics.top_k_accuracy_score(TARGETS, LOGITS, k=k, sample_weight=weight)
        value = metrics.top_k_accuracy(k)(LOGITS, TARGETS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    def test_top_k_accuracy_of_one_logit(self, weight):
        expected = metrics.accuracy(SCORES, LABELS, weight)
        np.testing.assert_allclose(metrics.top_k_accuracy(1)(SCORES, LABELS, weight), expected)
        assert metrics.top_k_accuracy(2)(SCORES, LABELS, weight) == 1

    def test_balanced_accuracy(self, weight):
        expected = sklearn.metrics.balanced_accuracy_score(
            TARGETS, LOGITS.argmax(axis=-1), sample_weight=weight
        )
        value = metrics.balanced_accuracy(LOGITS, TARGETS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    def test_balanced_accuracy_of_one_logit(self, weight):
        expected = sklearn.metrics.balanced_accuracy_score(
            LABELS, SCORES[:, 0] > 0, sample_weight=weight
        )
        value = metrics.balanced_accuracy(SCORES, LABELS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    def test_roc_auc_with_ties(self, weight):
        expected = sklearn.metrics.roc_auc_score(LABELS, SCORES[:, 0], sample_weight=weight)
        np.testing.assert_allclose(metrics.roc_auc(SCORES, LABELS, weight), expected, **CLOSE)

    def test_roc_auc_of_two_logits(self, weight):
        logits = LOGITS[:, :2]
        score = logits[:, 1] - logits[:, 0]
        expected = sklearn.metrics.roc_auc_score(LABELS, score, sample_weight=weight)
        np.testing.assert_allclose(metrics.roc_auc(logits, LABELS, weight), expected, **CLOSE)

    def test_r2_is_the_uniform_average_over_outputs(self, weight):
        expected = sklearn.metrics.r2_score(NUMBERS, PREDICTIONS, sample_weight=weight)
        np.testing.assert_allclose(metrics.r2(PREDICTIONS, NUMBERS, weight), expected, **CLOSE)

    def test_rmse_of_one_output(self, weight):
        expected = sklearn.metrics.root_mean_squared_error(
            NUMBERS[:, 0], PREDICTIONS[:, 0], sample_weight=weight
        )
        value = metrics.rmse(PREDICTIONS[:, :1], NUMBERS[:, 0], weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    def test_rmse_is_the_root_of_the_mean_over_rows_and_outputs(self, weight):
        squared = sklearn.metrics.mean_squared_error(NUMBERS, PREDICTIONS, sample_weight=weight)
        value = metrics.rmse(PREDICTIONS, NUMBERS, weight)
        np.testing.assert_allclose(value, math.sqrt(squared), **CLOSE)

    def test_mae(self, weight):
        expected = sklearn.metrics.mean_absolute_error(NUMBERS, PREDICTIONS, sample_weight=weight)
        np.testing.assert_allclose(metrics.mae(PREDICTIONS, NUMBERS, weight), expected, **CLOSE)


def expected_calibration_error(confidence, correct, weight, bins):
    """Guo et al. 2017, equation 3: sum over bins of |B| / n * |accuracy - confidence|."""
    weight = np.ones(len(confidence)) if weight is None else np.float64(weight)
    total = 0.0
    for lower, upper in zip(np.arange(bins) / bins, np.arange(1, bins + 1) / bins, strict=True):
        inside = (confidence > lower) & (confidence <= upper)
        if weight[inside].sum() > 0:
            gap = np.average(correct[inside], weights=weight[inside]) - np.average(
                confidence[inside], weights=weight[inside]
            )
            total += weight[inside].sum() * abs(gap)
    return total / weight.sum()


@WEIGHTS
@pytest.mark.parametrize("bins", [1, 7, 15])
class TestCalibrationError:
    def test_it_agrees_with_its_definition(self, weight, bins):
        exponentials = np.exp(np.float64(LOGITS))
        probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
        expected = expected_calibration_error(
            probabilities.max(axis=-1), LOGITS.argmax(axis=-1) == TARGETS, weight, bins
        )
        value = metrics.calibration_error(bins)(LOGITS, TARGETS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)

    def test_one_logit_agrees_with_the_definition(self, weight, bins):
        probability = 1 / (1 + np.exp(-np.float64(SCORES[:, 0])))
        confidence = np.maximum(probability, 1 - probability)
        expected = expected_calibration_error(
            confidence, (SCORES[:, 0] > 0) == LABELS, weight, bins
        )
        value = metrics.calibration_error(bins)(SCORES, LABELS, weight)
        np.testing.assert_allclose(value, expected, **CLOSE)


def test_a_sure_and_right_network_is_calibrated():
    assert metrics.calibration_error()(100 * jnp.eye(3), np.arange(3)) == 0


def test_a_sure_and_wrong_network_has_a_calibration_error_of_1():
    assert metrics.calibration_error()(100 * jnp.eye(3), np.array([1, 2, 0])) == 1


def test_a_confidence_at_the_edge_of_two_bins_belongs_to_the_lower_one():
    # Confidence 1/2 and wrong, confidence 3/4 and right.
    logits = jnp.array([[0.0], [math.log(3)]])
    value = metrics.calibration_error(2)(logits, np.array([1, 1]))
    np.testing.assert_allclose(value, (1 / 2 + 1 / 4) / 2, **CLOSE)


def test_a_logit_of_0_is_read_as_class_0():
    assert metrics.accuracy(jnp.zeros((1, 1)), np.array([0])) == 1


@pytest.mark.parametrize("target", range(4))
def test_the_best_guess_is_the_class_that_accuracy_counts_even_in_a_tie(target):
    logits, targets = jnp.array([[0.0, 1.0, 1.0, 1.0]]), np.array([target])
    assert metrics.top_k_accuracy(1)(logits, targets) == metrics.accuracy(logits, targets)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_of_classes_that_tie_k_are_guessed(k):
    value = metrics.top_k_accuracy(k)(jnp.zeros((4, 4)), np.arange(4))
    assert value == k / 4


@pytest.mark.parametrize("mean", [0.0, 1e4, 1e5])
def test_r2_is_sound_for_many_targets_with_a_large_mean(mean):
    rng = np.random.default_rng(1)
    targets = (mean + rng.normal(size=(10_000, 1))).astype(np.float32)
    predictions = (targets + rng.normal(0, 0.5, size=(10_000, 1))).astype(np.float32)
    expected = sklearn.metrics.r2_score(np.float64(targets), np.float64(predictions))
    # Differences of neighbouring float32 numbers are exact; what is left are sums of squares.
    np.testing.assert_allclose(metrics.r2(predictions, targets), expected, rtol=2e-6)


@pytest.mark.parametrize("metric", [metrics.rmse, metrics.mae])
def test_sums_over_many_rows_keep_their_precision(metric):
    errors = np.full((1_000_000, 1), 0.1, np.float32)
    # Adding up one by one would lose 4 digits; the error is that of few blocks.
    np.testing.assert_allclose(metric(errors, np.zeros_like(errors)), 0.1, rtol=1e-5)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
class TestHalfPrecision:
    def test_neighbouring_large_classes_are_told_apart(self, dtype):
        logits = np.zeros((1, 3000), dtype)
        logits[0, 2049] = 1
        assert metrics.accuracy(logits, np.array([2048])) == 0

    def test_counts_of_many_rows_are_exact(self, dtype):
        logits = np.zeros((3001, 2), dtype)
        _, weight = metrics.accuracy.count(logits, np.zeros(3001, int), None)
        assert weight == 3001
