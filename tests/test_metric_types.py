"""Tests that a metric depends on the numbers that it is given, whatever their types and sizes."""

import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import metrics

RNG = np.random.default_rng(0)
VOTES = RNG.integers(0, 5, (60, 3))
CLASSES = RNG.integers(0, 3, 60)
WEIGHT = RNG.gamma(2.0, size=60).astype(np.float32)
OF_CLASSES = {
    "accuracy": metrics.accuracy,
    "top_k_accuracy": metrics.top_k_accuracy(2),
    "balanced_accuracy": metrics.balanced_accuracy,
    "calibration_error": metrics.calibration_error(5),
    "log_loss": metrics.log_loss,
    "precision": metrics.precision("macro"),
    "recall": metrics.recall("macro"),
    "f1": metrics.f1("weighted"),
    "confusion_matrix": metrics.confusion_matrix,
}
OF_NUMBERS = {"rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2}


def roc_auc(outputs, targets, weight=None):
    return metrics.roc_auc(outputs[:, :2], targets > 0, weight)


EVERY = [*((metric, CLASSES) for metric in [*OF_CLASSES.values(), roc_auc])]
EVERY += [(metric, VOTES + 0.5 * np.float32(RNG.integers(0, 2, VOTES.shape))) for metric in
          OF_NUMBERS.values()]  # fmt: skip
IDS = [*OF_CLASSES, "roc_auc", *OF_NUMBERS]
IS_A_SUM = metrics.confusion_matrix


@pytest.mark.parametrize(("metric", "targets"), EVERY, ids=IDS)
class TestTypes:
    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.float16])
    def test_outputs_of_any_type_count_as_the_numbers_that_they_are(self, metric, targets, dtype):
        got = metric(VOTES.astype(dtype), targets, WEIGHT)
        np.testing.assert_array_equal(got, metric(VOTES.astype(np.float32), targets, WEIGHT))

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float16, ml_dtypes.bfloat16])
    def test_weights_of_any_type_count_as_the_numbers_that_they_are(self, metric, targets, dtype):
        weight = WEIGHT.astype(dtype)
        got = metric(VOTES.astype(np.float32), targets, weight)
        expected = metric(VOTES.astype(np.float32), targets, weight.astype(np.float32))
        np.testing.assert_array_equal(got, expected)


WITHOUT_SUMS = [(metric, targets) for metric, targets in EVERY if metric is not IS_A_SUM]


@pytest.mark.parametrize(
    ("metric", "targets"), WITHOUT_SUMS, ids=[name for name in IDS if name != IS_A_SUM.__name__]
)
class TestScaleOfWeights:
    @pytest.mark.parametrize("exponent", [-1000, -130, -30, 30, 120, 1000])
    def test_the_scale_of_weights_does_not_count(self, metric, targets, exponent):
        got = metric(VOTES, targets, np.ldexp(np.float64(WEIGHT), exponent))
        np.testing.assert_array_equal(got, metric(VOTES, targets, WEIGHT))

    @pytest.mark.parametrize("exponent", [-110, 110])
    def test_the_scale_of_weights_does_not_count_under_jit(self, metric, targets, exponent):
        compiled = jax.jit(metric)
        got = compiled(VOTES, targets, np.ldexp(WEIGHT, exponent))
        np.testing.assert_array_equal(got, compiled(VOTES, targets, WEIGHT))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("which", [0, 1, 2])
def test_float64_of_outputs_targets_or_weights_is_kept(which):
    arguments = [np.ones((2, 1), np.float32), np.ones((2, 1), np.float32), np.ones(2, np.float32)]
    arguments[which] = np.float64(arguments[which]) * (1 + 1e-12)
    value = metrics.mae(*arguments)
    assert value.dtype == np.float64
    # A weight does not change the mean, an output or a target does.
    np.testing.assert_allclose(value, 0 if which == 2 else 1e-12, rtol=1e-3)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16])
def test_numbers_of_few_bits_do_not_overflow(dtype):
    outputs, targets = np.full((300, 1), 100, dtype), np.zeros((300, 1), dtype)
    assert metrics.rmse(outputs, targets) == metrics.mae(outputs, targets) == 100


class TestConstantTargets:
    @pytest.mark.parametrize("outputs", [[1.0, 2.0, 4.0], [3.0, 3.0, 3.0], [3.0, 3.0, 3.5]])
    @pytest.mark.parametrize("weight", [None, np.array([0.3, 0.1, 2.0])])
    def test_r2_is_that_of_scikit_learn(self, outputs, weight):
        targets = np.full(3, 3.0)
        expected = sklearn.metrics.r2_score(targets, outputs, sample_weight=weight)
        assert metrics.r2(np.array(outputs)[:, None], targets, weight) == expected

    def test_one_constant_output_of_two_counts_as_in_scikit_learn(self):
        targets = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]])
        outputs = targets + np.array([[0.0, 0.5]])
        expected = sklearn.metrics.r2_score(targets, outputs)
        np.testing.assert_allclose(metrics.r2(outputs, targets), expected, rtol=1e-6)

    @settings(deadline=None, max_examples=30)
    @given(
        st.floats(-1e6, 1e6, width=32), st.lists(st.integers(1, 9), min_size=1, max_size=20),
        st.booleans(),
    )  # fmt: skip
    def test_it_is_that_of_scikit_learn_in_any_batches(self, value, sizes, perfect):
        counts = None
        for size in sizes:
            targets = np.full((size, 1), value, np.float32)
            batch = metrics.r2.count(targets if perfect else targets + 1e6, targets, None)
            counts = batch if counts is None else jax.tree.map(jnp.add, counts, batch)
        assert metrics.r2.compute(counts) == float(perfect)

    def test_nan_is_not_hidden(self):
        assert np.isnan(metrics.r2(np.array([[np.nan], [3.0]]), np.array([3.0, 3.0])))


class TestInfiniteLogits:
    def test_auc_ranks_them_first_and_last(self):
        scores, labels = np.array([-np.inf, 0.5, 0.2, np.inf]), np.array([0, 0, 1, 1])
        # Of four pairs, only (0.5, 0.2) is in the wrong order.
        assert metrics.roc_auc(scores[:, None], labels) == 0.75

    def test_auc_of_two_logits_ranks_them_first_and_last(self):
        logits = np.array([[0, -np.inf], [0, 0.5], [0, 0.2], [-np.inf, 0]])
        assert metrics.roc_auc(logits, np.array([0, 0, 1, 1])) == 0.75

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_auc_is_nan_where_two_infinite_logits_are_unordered(self, value):
        logits = np.array([[value, value], [0, 1]])
        assert np.isnan(metrics.roc_auc(logits, np.array([0, 1])))
        rows, labels = np.append(logits, [[1, 0]], axis=0), np.array([0, 1, 0])
        assert metrics.roc_auc(rows, labels, np.array([0, 1, 1])) == 1

    @pytest.mark.parametrize(
        ("row", "label", "loss"),
        [
            ([0, 0, -math.inf], 0, math.log(2)),
            ([0, 0, -math.inf], 2, math.inf),
            ([0, math.inf, 5], 1, 0),
            ([0, math.inf, 5], 2, math.inf),
            ([math.inf], 1, 0),
            ([-math.inf], 0, 0),
            ([-math.inf], 1, math.inf),
        ],
    )
    def test_log_loss_is_the_limit(self, row, label, loss):
        np.testing.assert_allclose(metrics.log_loss(np.array([row]), np.array([label])), loss)

    def test_two_certain_classes_have_no_log_loss(self):
        assert np.isnan(metrics.log_loss(np.array([[np.inf, np.inf]]), np.array([0])))

    def test_a_masked_class_is_calibrated_with_the_others(self):
        value = metrics.calibration_error(2)(np.array([[0, 0, -np.inf]]), np.array([0]))
        np.testing.assert_allclose(value, 0.5)

    def test_a_certain_and_right_row_is_calibrated(self):
        assert metrics.calibration_error()(np.array([[0, np.inf]]), np.array([1])) == 0


@pytest.mark.bad_input
@pytest.mark.parametrize("factory", [metrics.top_k_accuracy, metrics.calibration_error])
@pytest.mark.parametrize("value", ["2", 2.5, None, True])
def test_numbers_of_guesses_and_bins_are_ints(factory, value):
    with pytest.raises(TypeError, match="must be an int of at least 1; got"):
        factory(value)
