"""Tests of losses and their gradients at very large and small numbers, infinities and kinks."""

import functools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import reference_losses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model._sgd_fast import Hinge

from jaxmlp import losses

INF = float("inf")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def value_and_slope(criterion, outputs, targets):
    """Of one row: the loss, and its gradient with respect to the outputs."""

    def loss(outputs):
        return jnp.sum(criterion(outputs, targets))

    value, slope = jax.value_and_grad(loss)(jnp.asarray(outputs))
    return np.float64(value), np.asarray(slope, np.float64)


class TestGaussian:
    @pytest.mark.parametrize(
        ("dtype", "raw", "target"),
        [
            *((np.float32, 10.0**k, 3 * 10.0**k) for k in (0, 5, 10, 15, 20, 30, 37)),
            *((np.float32, -80.0, y) for y in (1e-3, 1.0, 1e6)),
            *((np.float16, raw, y) for raw, y in ((20, 60), (300, 10), (-5, 0.02), (6e4, 6e4))),
            *((ml_dtypes.bfloat16, 10.0**k, 3 * 10.0**k) for k in (0, 10, 30)),
        ],
    )
    def test_value_and_gradient_are_those_of_float64(self, dtype, raw, target):
        outputs, targets = np.array([[0, raw]], dtype), np.array([[target]], dtype)
        value, slope = value_and_slope(losses.gaussian, outputs, targets)
        expected, d_outputs = reference_losses.gaussian(np.float64(outputs), np.float64(targets))
        # A few roundings of the outputs' type; below its smallest number, none of its digits.
        close = {"rtol": 8 * float(ml_dtypes.finfo(dtype).eps)}
        np.testing.assert_allclose(value, expected[0], **close)
        smallest = float(ml_dtypes.finfo(dtype).tiny)
        np.testing.assert_allclose(slope, d_outputs, atol=smallest, **close)

    @pytest.mark.parametrize("min_scale", [1e-20, 1e-10, 1e10, 1e20])
    def test_gradients_at_any_min_scale_are_those_of_float64(self, min_scale):
        criterion = functools.partial(losses.gaussian, min_scale=min_scale)
        outputs, targets = np.float32([[0, -200]]), np.float32([[3 * min_scale]])
        value, slope = value_and_slope(criterion, outputs, targets)
        expected, d_outputs = reference_losses.gaussian(
            np.float64(outputs), np.float64(targets), min_scale=min_scale
        )
        np.testing.assert_allclose(value, expected[0], rtol=1e-6)
        np.testing.assert_allclose(slope, d_outputs, rtol=1e-6, atol=1e-37)

    def test_second_derivatives_are_those_of_float64(self):
        with jax.enable_x64(True):
            point = jnp.array([0.3, -0.4])

            def loss(outputs):
                return losses.gaussian(outputs[None], np.array([1.2]))[0]

            step = 1e-6
            shifts = step * np.eye(2)
            slopes = [(jax.grad(loss)(point + s) - jax.grad(loss)(point - s)) for s in shifts]
            # Central differences: error step**2, and rounding 1e-16 / step.
            expected = np.stack(slopes) / (2 * step)
            np.testing.assert_allclose(jax.hessian(loss)(point), expected, rtol=1e-7)


class TestHuber:
    @pytest.mark.parametrize("delta", [1e-30, 1e-3, 1.0, 1e4, 1e8, 1e30, INF])
    @pytest.mark.parametrize("residual", [-100.0, -1.0, -0.01, 0.0, 0.01, 1.0, 1e10])
    def test_value_and_gradient_are_those_of_pytorch(self, torch, residual, delta):
        outputs, targets = np.float32([[residual]]), np.zeros((1, 1), np.float32)
        criterion = functools.partial(losses.huber, delta=delta)
        value, slope = value_and_slope(criterion, outputs, targets)
        point = torch.tensor([residual], requires_grad=True, dtype=torch.float64)
        loss = torch.nn.functional.huber_loss(point, torch.zeros(1).double(), delta=delta)
        loss.backward()
        np.testing.assert_allclose(value, loss.item(), rtol=1e-6, atol=1e-37)
        np.testing.assert_allclose(slope, [[point.grad.item()]], rtol=1e-6)

    def test_the_second_derivative_is_1_within_delta_and_0_beyond(self):
        def loss(output):
            return losses.huber(output[None, None], np.zeros(1, np.float32))[0]

        second = jax.vmap(jax.grad(jax.grad(loss)))(jnp.array([-2.0, -0.5, 0.0, 0.5, 2.0]))
        np.testing.assert_array_equal(second, [0, 1, 1, 1, 0])


class TestKinks:
    @pytest.mark.parametrize("label", [0, 1])
    def test_hinge_has_the_slope_of_scikit_learn_and_pytorch(self, torch, label):
        sign = 2.0 * label - 1
        _, slope = value_and_slope(losses.hinge, np.float32([[sign]]), np.array([label]))
        assert slope == Hinge(1.0).py_dloss(sign, sign) == -sign
        margin = torch.tensor([1.0], requires_grad=True)
        torch.nn.functional.hinge_embedding_loss(margin, torch.tensor([-1])).backward()
        assert margin.grad.item() == -1

    def test_absolute_error_has_the_slope_of_pytorch(self, torch):
        _, slope = value_and_slope(losses.absolute_error, np.ones((1, 1), np.float32), np.ones(1))
        point = torch.ones(1, requires_grad=True)
        torch.nn.functional.l1_loss(point, torch.ones(1)).backward()
        assert slope == point.grad.item() == 0


class TestInfiniteLogits:
    LOGITS = np.float32([[1.0, -INF, 2.0], [0.0, 0.5, -INF]])

    @pytest.mark.parametrize(
        "targets",
        [np.array([2, 0]), np.float32([[0.25, 0, 0.75], [0.5, 0.5, 0]]), np.array([1, 2])],
        ids=["classes", "probabilities", "masked classes"],
    )
    def test_a_masked_class_costs_what_it_does_in_pytorch(self, torch, targets):
        got = losses.softmax_cross_entropy(self.LOGITS, targets)
        log_p = torch.log_softmax(torch.tensor(self.LOGITS).double(), dim=-1).numpy()
        weights = np.eye(3)[targets] if targets.ndim == 1 else np.float64(targets)
        # 0 log 0 = 0
        expected = -np.sum(weights * np.where(weights == 0, 0, log_p), axis=-1)
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    @pytest.mark.parametrize(
        "targets", [np.array([2, 0]), np.float32([[0.25, 0, 0.75], [0.5, 0.5, 0]])]
    )
    def test_gradients_are_softmax_minus_target(self, torch, targets):
        _, slope = value_and_slope(losses.softmax_cross_entropy, self.LOGITS, targets)
        soft = torch.softmax(torch.tensor(self.LOGITS), dim=-1).numpy()
        wanted = soft - (np.eye(3)[targets] if targets.ndim == 1 else targets)
        np.testing.assert_allclose(slope, wanted, atol=1e-6)

    def test_a_traced_smoothing_of_0_changes_nothing(self):
        targets = np.array([2, 0])
        got = jax.jit(
            lambda s: losses.softmax_cross_entropy(self.LOGITS, targets, label_smoothing=s)
        )(0.0)
        plain = losses.softmax_cross_entropy(self.LOGITS, targets)
        np.testing.assert_allclose(got, plain, rtol=1e-6)

    @pytest.mark.parametrize(
        ("logit", "label", "loss"),
        [(INF, 1, 0), (INF, 0, INF), (-INF, 0, 0), (-INF, 1, INF), (INF, 0.5, INF)],
    )
    def test_a_sure_label_costs_nothing_or_infinity(self, logit, label, loss):
        criterion = losses.sigmoid_binary_cross_entropy
        value, slope = value_and_slope(criterion, np.float32([[logit]]), np.float32([label]))
        assert value == loss
        np.testing.assert_allclose(slope, [[(logit > 0) - label]])

    @pytest.mark.parametrize(("count", "loss"), [(0, 0), (2, INF)])
    def test_a_rate_of_0_explains_no_count_but_0(self, count, loss):
        assert losses.poisson(np.float32([[-INF]]), np.array([count])) == loss


PROBABILITIES = {
    "negative": ([1.25, -0.25, 0.0], r"\[ 1\.25 -0\.25  0\.  \], which sum to 1\."),
    "above 1": ([0.5, 0.5, 0.25], "which sum to 1.25"),
    "nothing": ([0.0, 0.0, 0.0], "which sum to 0"),
    "logits": ([2.0, -1.0, 3.0], "which sum to 4"),
}


@pytest.mark.parametrize("name", PROBABILITIES)
class TestTargetsThatAreNoProbabilities:
    def test_they_are_refused(self, name):
        targets, got = PROBABILITIES[name]
        rows = np.float32([[1, 0, 0], targets])
        message = "needs targets of at least 0 that sum to 1 in every row; got .*" + got
        with pytest.raises(ValueError, match=message):
            losses.softmax_cross_entropy(np.zeros((2, 3), np.float32), rows)

    def test_they_give_nan_under_jit(self, name):
        rows = np.float32([[1, 0, 0], PROBABILITIES[name][0]])
        got = jax.jit(losses.softmax_cross_entropy)(np.zeros((2, 3), np.float32), rows)
        np.testing.assert_array_equal(np.isnan(got), [False, True])


@settings(deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=2, max_size=50),
    st.sampled_from([np.float16, ml_dtypes.bfloat16, np.float32, np.float64]),
)
def test_a_softmax_rounded_to_any_type_is_taken_as_probabilities(logits, dtype):
    exponentials = np.exp(np.array(logits) - max(logits))
    targets = (exponentials / exponentials.sum()).astype(dtype)[None]
    loss = losses.softmax_cross_entropy(np.zeros(targets.shape, np.float32), targets)
    # Of uniform logits, log(classes) times the sum of the targets.
    np.testing.assert_allclose(loss, np.log(len(logits)), rtol=0.01)
