"""Tests that counts add up over batches, and of rows, outputs and shapes that are not ordinary."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import metrics

ROWS = 24
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(ROWS, 3)).astype(np.float32)
CLASSES = RNG.integers(0, 3, ROWS)
NUMBERS = RNG.normal(size=(ROWS, 3)).astype(np.float32)
WEIGHT = RNG.integers(0, 3, ROWS).astype(np.float32)

ON_CLASSES = [
    metrics.accuracy,
    metrics.top_k_accuracy(2),
    metrics.balanced_accuracy,
    metrics.calibration_error(5),
]
ON_NUMBERS = [metrics.rmse, metrics.mae, metrics.r2]
SUMMED = [(metric, CLASSES) for metric in ON_CLASSES] + [(m, NUMBERS) for m in ON_NUMBERS]
SUMMED_NAMES = [metric.name for metric, _ in SUMMED]


def auc_of_three(outputs, targets, weight=None):
    """`roc_auc` on the first of three logits, so that it can be tested beside the metrics."""
    return metrics.roc_auc(outputs[..., :1], jnp.asarray(targets) == 1, weight)


EVERY = [*SUMMED, (auc_of_three, CLASSES)]
EVERY_NAMES = [*SUMMED_NAMES, "roc_auc"]

# Sums of 24 float32 numbers near 1 in another order.
CLOSE = {"rtol": 2e-6, "atol": 1e-6}


def add_up(counts):
    return jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *counts)


each_metric = pytest.mark.parametrize(("metric", "targets"), EVERY, ids=EVERY_NAMES)


@pytest.mark.parametrize(("metric", "targets"), SUMMED, ids=SUMMED_NAMES)
class TestSums:
    def test_counts_of_ragged_batches_add_up_to_the_number_of_all_rows(self, metric, targets):
        count = jax.jit(metric.count)
        # 10 rows, none, 10 and 4.
        counts = [
            count(LOGITS[a:b], targets[a:b], WEIGHT[a:b])
            for a, b in itertools.pairwise([0, 10, 10, 20, ROWS])
        ]
        expected = metric(LOGITS, targets, WEIGHT)
        np.testing.assert_allclose(metric.compute(add_up(counts)), expected, **CLOSE)

    @settings(derandomize=True, deadline=None, max_examples=30)
    @given(batch=st.lists(st.integers(0, 3), min_size=ROWS, max_size=ROWS))
    def test_counts_of_any_division_into_batches_add_up(self, metric, targets, batch):
        count = jax.jit(metric.count)
        # Rows of other batches are there as padding.
        counts = [
            count(LOGITS, targets, np.where(np.array(batch) == number, WEIGHT, 0))
            for number in range(4)
        ]
        expected = metric(LOGITS, targets, WEIGHT)
        np.testing.assert_allclose(metric.compute(add_up(counts)), expected, **CLOSE)

    def test_calling_it_is_counting_and_computing(self, metric, targets):
        counts = metric.count(LOGITS, targets, WEIGHT)
        assert metric(LOGITS, targets, WEIGHT) == metric.compute(counts)

    def test_counts_are_a_tuple_of_arrays(self, metric, targets):
        counts = metric.count(LOGITS, targets, WEIGHT)
        assert isinstance(counts, tuple)
        assert all(isinstance(count, jax.Array) for count in counts)

    def test_counts_of_no_rows_are_0(self, metric, targets):
        counts = metric.count(LOGITS[:0], targets[:0], WEIGHT[:0])
        assert not any(np.any(count) for count in counts)


@each_metric
class TestEveryMetric:
    def test_it_is_a_scalar(self, metric, targets):
        assert metric(LOGITS, targets).shape == ()

    def test_it_is_the_same_under_jit(self, metric, targets):
        value = jax.jit(metric)(LOGITS, targets, WEIGHT)
        np.testing.assert_allclose(value, metric(LOGITS, targets, WEIGHT), **CLOSE)

    def test_it_can_be_vmapped(self, metric, targets):
        stacked = jnp.stack([LOGITS, -2 * LOGITS])
        values = jax.vmap(metric, in_axes=(0, None, None))(stacked, targets, WEIGHT)
        expected = [metric(logits, targets, WEIGHT) for logits in (LOGITS, -2 * LOGITS)]
        np.testing.assert_allclose(values, np.array(expected), **CLOSE)

    def test_batch_axes_count_as_rows(self, metric, targets):
        value = metric(
            LOGITS.reshape(4, 6, 3),
            targets.reshape(4, 6, *targets.shape[1:]),
            WEIGHT.reshape(4, 6),
        )
        np.testing.assert_allclose(value, metric(LOGITS, targets, WEIGHT), **CLOSE)

    def test_no_weight_is_a_weight_of_1(self, metric, targets):
        assert metric(LOGITS, targets) == metric(LOGITS, targets, np.ones(ROWS, np.float32))

    def test_an_integer_weight_is_a_number_of_copies(self, metric, targets):
        copies = WEIGHT.astype(int)
        repeated = metric(np.repeat(LOGITS, copies, axis=0), np.repeat(targets, copies, axis=0))
        np.testing.assert_allclose(metric(LOGITS, targets, WEIGHT), repeated, **CLOSE)

    @pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.float64])
    def test_weights_may_be_of_any_real_type(self, metric, targets, dtype):
        weight = (WEIGHT > 0).astype(dtype)
        assert metric(LOGITS, targets, weight) == metric(LOGITS, targets, WEIGHT > 0)

    def test_an_output_that_is_nan_gives_nan(self, metric, targets):
        outputs = LOGITS.copy()
        outputs[5, 0] = np.nan
        assert np.isnan(metric(outputs, targets))

    def test_rows_of_weight_0_are_ignored_even_if_nan(self, metric, targets):
        outputs, numbers = LOGITS.copy(), targets.astype(np.float32)
        outputs[WEIGHT == 0] = np.nan
        numbers[WEIGHT == 0] = np.nan
        value = metric(outputs, numbers, WEIGHT)
        assert value == metric(LOGITS, targets, WEIGHT)

    def test_rows_of_weight_0_alone_give_nan(self, metric, targets):
        assert np.isnan(metric(LOGITS, targets, np.zeros(ROWS, np.float32)))

    def test_no_rows_give_nan(self, metric, targets):
        assert np.isnan(metric(LOGITS[:0], targets[:0]))

    @pytest.mark.bad_input
    @pytest.mark.parametrize("shape", [(), (1,), (ROWS, 1), (ROWS - 1,)])
    def test_weights_do_not_broadcast(self, metric, targets, shape):
        message = re.escape(f"weight must have shape ({ROWS},); got {shape}")
        with pytest.raises(ValueError, match=message):
            metric(LOGITS, targets, np.ones(shape, np.float32))

    @pytest.mark.parametrize("shape", [(), (1,), (ROWS - 1,), (ROWS, 2), (1, 3), (ROWS, 3, 1)])
    def test_targets_do_not_broadcast(self, metric, targets, shape):
        with pytest.raises(ValueError, match=r"targets must have shape \(.*\); got \("):
            metric(LOGITS, np.zeros(shape, targets.dtype))


@pytest.mark.parametrize("metric", [*ON_CLASSES, auc_of_three], ids=[*SUMMED_NAMES[:4], "roc_auc"])
def test_class_metrics_refuse_probabilities_as_targets(metric):
    message = r"targets must have shape \(24,\); got \(24, 3\)"
    with pytest.raises(ValueError, match=message):
        metric(LOGITS, np.eye(3)[CLASSES])


@pytest.mark.parametrize("metric", ON_CLASSES, ids=SUMMED_NAMES[:4])
@pytest.mark.parametrize("wrong", [-1, 3, 0.5])
def test_a_target_that_is_no_class_gives_nan(metric, wrong):
    targets = CLASSES.astype(np.float32)
    targets[7] = wrong
    assert np.isnan(metric(LOGITS, targets))


@pytest.mark.parametrize("wrong", [-1, 2, 0.5])
def test_roc_auc_of_a_target_other_than_0_and_1_is_nan(wrong):
    targets = (CLASSES == 1).astype(np.float32)
    targets[7] = wrong
    assert np.isnan(metrics.roc_auc(LOGITS[:, :1], targets))


@pytest.mark.parametrize("label", [0, 1])
def test_roc_auc_of_one_class_alone_is_nan(label):
    assert np.isnan(metrics.roc_auc(LOGITS[:, :1], np.full(ROWS, label)))


def test_roc_auc_refuses_more_than_two_outputs():
    with pytest.raises(ValueError, match="one score or two logits per row; got 3 outputs"):
        metrics.roc_auc(LOGITS, CLASSES)


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.balanced_accuracy, metrics.roc_auc])
def test_a_column_of_labels_is_a_vector_for_one_output(metric):
    labels = CLASSES == 1
    assert metric(LOGITS[:, :1], labels[:, None]) == metric(LOGITS[:, :1], labels)


@pytest.mark.parametrize("metric", ON_NUMBERS, ids=SUMMED_NAMES[4:])
def test_a_vector_of_numbers_is_a_column_for_one_output(metric):
    column = metric(LOGITS[:, :1], NUMBERS[:, :1])
    assert metric(LOGITS[:, :1], NUMBERS[:, 0]) == column


@pytest.mark.parametrize("metric", ON_NUMBERS, ids=SUMMED_NAMES[4:])
def test_a_target_that_is_nan_gives_nan(metric):
    targets = NUMBERS.copy()
    targets[3, 1] = np.nan
    assert np.isnan(metric(LOGITS, targets))


def test_balanced_accuracy_is_over_the_classes_that_occur():
    logits = jnp.array([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    # Class 0: two of two rows right; class 1: none of two; class 2 does not occur.
    value = metrics.balanced_accuracy(logits, np.array([0, 0, 1, 1]))
    assert value == 0.5


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_at_least_1(k):
    with pytest.raises(ValueError, match=f"k must be an int of at least 1; got {k}"):
        metrics.top_k_accuracy(k)


def test_k_must_not_exceed_the_number_of_classes():
    with pytest.raises(ValueError, match="k must be at most the number of classes, 3; got 4"):
        metrics.top_k_accuracy(4)(LOGITS, CLASSES)


@pytest.mark.parametrize("bins", [0, -1])
def test_bins_must_be_at_least_1(bins):
    with pytest.raises(ValueError, match=f"bins must be an int of at least 1; got {bins}"):
        metrics.calibration_error(bins)


def test_metrics_carry_their_names():
    assert [metrics.top_k_accuracy(3).name, metrics.accuracy.name] == ["top_3_accuracy", "accuracy"]
