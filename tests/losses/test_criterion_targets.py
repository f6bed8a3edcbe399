"""Tests of what every criterion takes as targets: shapes, types and ranges."""

import functools
import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxmlp import losses

OUTPUTS = np.random.default_rng(0).normal(0, 1, (6, 3)).astype(np.float32)
# In the domain of every criterion.
TARGETS = np.random.default_rng(1).integers(0, 2, (6, 3))

PER_OUTPUT = [
    losses.absolute_error,
    losses.hinge,
    losses.huber,
    losses.poisson,
    losses.sigmoid_binary_cross_entropy,
    losses.squared_error,
]
ALL = [
    *[(criterion, TARGETS) for criterion in PER_OUTPUT],
    (losses.softmax_cross_entropy, TARGETS[:, 0]),
    (functools.partial(losses.quantile, levels=(0.1, 0.5, 0.9)), TARGETS[:, 0]),
    (lambda outputs, targets: losses.gaussian(outputs[..., :2], targets), TARGETS[:, 0]),
]
NAMES = [*[criterion.__name__ for criterion in PER_OUTPUT], "softmax", "quantile", "gaussian"]


@pytest.mark.parametrize("criterion", PER_OUTPUT)
class TestShapes:
    def test_the_loss_of_a_row_is_the_mean_over_its_outputs(self, criterion):
        columns = [criterion(OUTPUTS[:, [k]], TARGETS[:, k]) for k in range(3)]
        # Means of three float32 numbers near 1 in another order.
        np.testing.assert_allclose(
            criterion(OUTPUTS, TARGETS), np.mean(columns, axis=0), rtol=1e-6, atol=1e-7
        )

    def test_a_vector_of_targets_is_a_column(self, criterion):
        vector = criterion(OUTPUTS[:, :1], TARGETS[:, 0])
        np.testing.assert_array_equal(vector, criterion(OUTPUTS[:, :1], TARGETS[:, :1]))

    def test_one_output_and_a_vector_do_not_broadcast_to_a_square(self, criterion):
        loss = criterion(OUTPUTS[:, :1], TARGETS[:, 0])
        row_by_row = [criterion(OUTPUTS[i, :1], TARGETS[i, :1]) for i in range(6)]
        # One row alone may be rounded otherwise: 8 ulp of numbers near 1.
        np.testing.assert_allclose(loss, np.array(row_by_row), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize(
        ("outputs", "targets"),
        [
            ((6, 3), (6,)),
            ((3, 3), (3,)),
            ((6, 3), (6, 1)),
            ((6, 3), (1, 3)),
            ((6, 3), (3,)),
            ((6, 1), (6, 3)),
            ((6, 1), (1, 6)),
            ((6, 1), (5,)),
            ((6, 1), ()),
            ((6, 3), (6, 3, 1)),
        ],
    )
    def test_targets_do_not_broadcast(self, criterion, outputs, targets):
        message = f"{criterion.__name__} needs targets of shape {outputs}, one per output; got "
        with pytest.raises(ValueError, match=re.escape(f"{message}{targets}.")):
            criterion(np.zeros(outputs, np.float32), np.zeros(targets, np.float32))


@pytest.mark.parametrize(("criterion", "targets"), ALL, ids=NAMES)
class TestEveryCriterion:
    def test_it_returns_one_loss_per_row(self, criterion, targets):
        assert criterion(OUTPUTS, targets).shape == (6,)

    def test_it_keeps_batch_axes(self, criterion, targets):
        loss = criterion(OUTPUTS.reshape(2, 3, 3), targets.reshape(2, 3, *targets.shape[1:]))
        np.testing.assert_array_equal(loss, criterion(OUTPUTS, targets).reshape(2, 3))

    def test_it_is_the_same_under_jit(self, criterion, targets):
        # Fused arithmetic rounds otherwise: 8 ulp of numbers near 1.
        np.testing.assert_allclose(
            jax.jit(criterion)(OUTPUTS, targets), criterion(OUTPUTS, targets), rtol=1e-6, atol=1e-7
        )

    def test_it_can_be_vmapped(self, criterion, targets):
        rows = jax.vmap(criterion)(OUTPUTS, targets)
        np.testing.assert_allclose(rows, criterion(OUTPUTS, targets), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float32])
    def test_the_loss_has_the_type_of_the_outputs(self, criterion, targets, dtype):
        assert criterion(OUTPUTS.astype(dtype), targets).dtype == dtype

    def test_complex_targets_are_refused(self, criterion, targets):
        message = "targets must be a real NumPy or JAX array; got an array of complex64"
        with pytest.raises(TypeError, match=message):
            criterion(OUTPUTS, targets.astype(np.complex64))

    @pytest.mark.bad_input
    def test_strings_are_refused(self, criterion, targets):
        message = "targets must be a real NumPy or JAX array; got an array of <U"
        with pytest.raises(TypeError, match=message):
            criterion(OUTPUTS, targets.astype(str))

    @pytest.mark.bad_input
    def test_a_list_is_refused(self, criterion, targets):
        message = "targets must be a real NumPy or JAX array; got a list"
        with pytest.raises(TypeError, match=message):
            criterion(OUTPUTS, targets.tolist())


# Two rows: the first target is right, the second out of range.
OUT_OF_RANGE = [
    (losses.softmax_cross_entropy, np.array([1, 3]), r"\[0, 2\]; got values in \[1, 3\]"),
    (losses.softmax_cross_entropy, np.array([1, -1]), r"\[0, 2\]; got values in \[-1, 1\]"),
    (
        losses.sigmoid_binary_cross_entropy,
        np.array([[1, 0, 1], [0, 2, 0]]),
        r"\[0, 1\]; got values in \[0, 2\]",
    ),
    (
        losses.sigmoid_binary_cross_entropy,
        np.array([[1, 0, 1], [0, -0.5, 0]]),
        r"\[0, 1\]; got values in \[-0.5, 1\]",
    ),
    (losses.hinge, np.array([[1, 0, 1], [0, -1, 0]]), r"\[0, 1\]; got values in \[-1, 1\]"),
    (losses.poisson, np.array([[9, 0, 1], [0, -1, 0]]), r"\[0, inf\]; got values in \[-1, 9\]"),
]


@pytest.mark.parametrize(("criterion", "targets", "message"), OUT_OF_RANGE)
def test_targets_out_of_range_are_refused(criterion, targets, message):
    with pytest.raises(ValueError, match=f"{criterion.__name__} needs targets in {message}"):
        criterion(OUTPUTS[:2], targets)


@pytest.mark.parametrize(("criterion", "targets"), [row[:2] for row in OUT_OF_RANGE])
def test_targets_out_of_range_give_nan_under_jit(criterion, targets):
    loss = jax.jit(criterion)(OUTPUTS[:2], targets)
    np.testing.assert_array_equal(np.isnan(loss), [False, True])


@pytest.mark.parametrize(
    ("criterion", "targets"),
    [
        *[(criterion, TARGETS.astype(np.float32)) for criterion in PER_OUTPUT],
        (losses.softmax_cross_entropy, TARGETS[:, 0]),
    ],
)
def test_targets_may_be_constants_under_jit(criterion, targets):
    constants = jnp.asarray(targets)
    loss = jax.jit(lambda outputs: criterion(outputs, constants))(OUTPUTS)
    np.testing.assert_allclose(loss, criterion(OUTPUTS, targets), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("criterion", PER_OUTPUT)
def test_no_rows_give_no_losses(criterion):
    assert criterion(OUTPUTS[:0], TARGETS[:0]).shape == (0,)


def test_a_hinge_label_between_0_and_1_gives_nan():
    loss = losses.hinge(OUTPUTS[:2, :1], np.array([1.0, 0.5]))
    np.testing.assert_array_equal(np.isnan(loss), [False, True])


class TestSoftmaxTargets:
    @pytest.mark.parametrize(
        ("targets", "error", "message"),
        [
            (TARGETS, TypeError, r"needs integer targets of shape \(6,\); got int32\[6, 3\]"),
            (
                TARGETS[:, 0].astype(np.float32),
                TypeError,
                r"needs floating targets of shape \(6, 3\); got float32\[6\]",
            ),
            (TARGETS[:5, 0], ValueError, r"needs integer targets of shape \(6,\); got int32\[5\]"),
            (
                np.zeros((6, 4), np.float32),
                ValueError,
                r"needs floating targets of shape \(6, 3\); got float32\[6, 4\]",
            ),
            (TARGETS[:, :1], TypeError, r"needs integer targets of shape \(6,\); got int32\[6, 1"),
        ],
    )
    def test_the_shape_must_fit_the_type(self, targets, error, message):
        with pytest.raises(
            error, match=message + ".*Give integer classes per row, .*, or floating"
        ):
            losses.softmax_cross_entropy(OUTPUTS, targets)

    def test_one_class_is_refused(self):
        message = r"at least 2 classes.*got logits.shape=\(6, 1\). Use sigmoid_binary_cross_entropy"
        with pytest.raises(ValueError, match=message):
            losses.softmax_cross_entropy(OUTPUTS[:, :1], TARGETS[:, 0])

    @pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
    def test_label_smoothing_must_be_in_range(self, smoothing):
        message = rf"label_smoothing must be in \[0, 1\); got {smoothing}"
        with pytest.raises(ValueError, match=message):
            losses.softmax_cross_entropy(OUTPUTS, TARGETS[:, 0], label_smoothing=smoothing)
