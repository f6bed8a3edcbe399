"""Tests of the criteria for classes and labels against closed forms, scikit-learn and PyTorch."""

import functools
import math

import jax
import numpy as np
import pytest
import sklearn.metrics

from jaxmlp import losses

LOGITS = np.random.default_rng(0).normal(0, 3, (7, 4))
CLASSES = np.array([0, 3, 1, 1, 2, 0, 3])
LABELS = np.random.default_rng(1).integers(0, 2, (7, 4))

# Both sides round in float64, in sums of a few terms.
EXACT = {"rtol": 1e-12, "atol": 1e-14}


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@pytest.mark.usefixtures("x64")
class TestSoftmaxCrossEntropy:
    @pytest.mark.parametrize("classes", [2, 3, 10])
    def test_equal_logits_cost_the_logarithm_of_the_number_of_classes(self, classes):
        loss = losses.softmax_cross_entropy(np.full((1, classes), 5.0), np.array([1]))
        np.testing.assert_allclose(loss, [math.log(classes)], **EXACT)

    def test_two_logits_give_the_logistic_loss_of_their_difference(self):
        loss = losses.softmax_cross_entropy(np.array([[1.0, 3.0]]), np.array([0]))
        np.testing.assert_allclose(loss, [math.log(1 + math.exp(2))], **EXACT)

    def test_it_agrees_with_scikit_learn(self):
        probabilities = np.exp(log_softmax(LOGITS))
        expected = sklearn.metrics.log_loss(CLASSES, probabilities)
        loss = losses.softmax_cross_entropy(LOGITS, CLASSES)
        # scikit-learn takes logarithms of rounded probabilities.
        np.testing.assert_allclose(loss.mean(), expected, rtol=1e-10)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
    def test_it_agrees_with_torch(self, smoothing):
        torch = pytest.importorskip("torch")
        expected = torch.nn.functional.cross_entropy(
            torch.tensor(LOGITS),
            torch.tensor(CLASSES),
            label_smoothing=smoothing,
            reduction="none",
        )
        loss = losses.softmax_cross_entropy(LOGITS, CLASSES, label_smoothing=smoothing)
        np.testing.assert_allclose(loss, expected, **EXACT)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_it_agrees_with_torch_on_probabilities(self, smoothing):
        torch = pytest.importorskip("torch")
        probabilities = np.random.default_rng(2).dirichlet(np.ones(4), 7)
        expected = torch.nn.functional.cross_entropy(
            torch.tensor(LOGITS),
            torch.tensor(probabilities),
            label_smoothing=smoothing,
            reduction="none",
        )
        loss = losses.softmax_cross_entropy(LOGITS, probabilities, label_smoothing=smoothing)
        np.testing.assert_allclose(loss, expected, **EXACT)

    @pytest.mark.parametrize("smoothing", [0.0, 0.25, 0.999])
    def test_label_smoothing_spreads_its_mass_over_all_classes(self, smoothing):
        smooth = (1 - smoothing) * np.eye(4)[CLASSES] + smoothing / 4
        expected = -np.sum(smooth * log_softmax(LOGITS), axis=-1)
        loss = losses.softmax_cross_entropy(LOGITS, CLASSES, label_smoothing=smoothing)
        np.testing.assert_allclose(loss, expected, **EXACT)

    @pytest.mark.parametrize("smoothing", [0.0, 0.25])
    def test_classes_and_one_hot_probabilities_agree(self, smoothing):
        criterion = functools.partial(losses.softmax_cross_entropy, label_smoothing=smoothing)
        one_hot = np.eye(4)[CLASSES]
        np.testing.assert_allclose(criterion(LOGITS, CLASSES), criterion(LOGITS, one_hot), **EXACT)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
    def test_classes_may_be_any_integers(self, dtype):
        expected = losses.softmax_cross_entropy(LOGITS, CLASSES)
        loss = losses.softmax_cross_entropy(LOGITS, CLASSES.astype(dtype))
        np.testing.assert_array_equal(loss, expected)

    def test_it_keeps_batch_axes(self):
        logits = LOGITS[:6].reshape(2, 3, 4)
        loss = losses.softmax_cross_entropy(logits, CLASSES[:6].reshape(2, 3))
        expected = losses.softmax_cross_entropy(LOGITS[:6], CLASSES[:6])
        np.testing.assert_allclose(loss, np.reshape(expected, (2, 3)), **EXACT)


@pytest.mark.usefixtures("x64")
class TestSigmoidBinaryCrossEntropy:
    @pytest.mark.parametrize(("target", "sign"), [(1, -1), (0, 1)])
    def test_it_is_the_logistic_loss(self, target, sign):
        loss = losses.sigmoid_binary_cross_entropy(np.array([[2.0]]), np.array([target]))
        np.testing.assert_allclose(loss, [math.log(1 + math.exp(sign * 2))], **EXACT)

    def test_it_agrees_with_scikit_learn(self):
        loss = losses.sigmoid_binary_cross_entropy(LOGITS[:, :1], LABELS[:, 0])
        expected = sklearn.metrics.log_loss(LABELS[:, 0], 1 / (1 + np.exp(-LOGITS[:, 0])))
        # scikit-learn takes logarithms of rounded probabilities.
        np.testing.assert_allclose(loss.mean(), expected, rtol=1e-10)

    @pytest.mark.parametrize("targets", [LABELS, LABELS * 0.7 + 0.1], ids=["labels", "probable"])
    def test_it_agrees_with_torch(self, targets):
        torch = pytest.importorskip("torch")
        expected = torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(LOGITS), torch.tensor(targets, dtype=torch.float64), reduction="none"
        ).mean(dim=-1)
        loss = losses.sigmoid_binary_cross_entropy(LOGITS, targets)
        np.testing.assert_allclose(loss, expected, **EXACT)

    def test_boolean_labels_are_0_and_1(self):
        loss = losses.sigmoid_binary_cross_entropy(LOGITS, LABELS.astype(bool))
        np.testing.assert_array_equal(loss, losses.sigmoid_binary_cross_entropy(LOGITS, LABELS))


@pytest.mark.usefixtures("x64")
class TestHinge:
    @pytest.mark.parametrize(
        ("score", "target", "expected"),
        [(0.5, 1, 0.5), (2.0, 1, 0.0), (-0.5, 1, 1.5), (0.5, 0, 1.5), (-2.0, 0, 0.0)],
    )
    def test_it_is_the_shortfall_from_a_margin_of_1(self, score, target, expected):
        loss = losses.hinge(np.array([[score]]), np.array([target]))
        np.testing.assert_allclose(loss, [expected], **EXACT)

    def test_it_agrees_with_scikit_learn(self):
        loss = losses.hinge(LOGITS[:, :1], LABELS[:, 0])
        expected = sklearn.metrics.hinge_loss(LABELS[:, 0], LOGITS[:, 0])
        np.testing.assert_allclose(loss.mean(), expected, **EXACT)

    def test_boolean_labels_are_0_and_1(self):
        loss = losses.hinge(LOGITS, LABELS.astype(bool))
        np.testing.assert_array_equal(loss, losses.hinge(LOGITS, LABELS))


@pytest.mark.parametrize("size", [1e4, 1e30])
@pytest.mark.parametrize(
    ("criterion", "signs", "target", "loss_in_sizes"),
    [
        (losses.softmax_cross_entropy, [1, -1], 0, 0),
        (losses.softmax_cross_entropy, [1, -1], 1, 2),
        (losses.sigmoid_binary_cross_entropy, [1], 1, 0),
        (losses.sigmoid_binary_cross_entropy, [1], 0, 1),
        (losses.sigmoid_binary_cross_entropy, [-1], 1, 1),
    ],
)
class TestExtremeLogits:
    def test_the_loss_is_linear_in_them(self, criterion, signs, target, loss_in_sizes, size):
        logits = np.array([signs], np.float32) * np.float32(size)
        loss = criterion(logits, np.array([target]))
        # Two roundings of float32.
        np.testing.assert_allclose(loss, [loss_in_sizes * size], rtol=2.4e-7)

    def test_the_gradient_is_the_error_of_the_probability(
        self, criterion, signs, target, loss_in_sizes, size
    ):
        logits = np.array([signs], np.float32) * np.float32(size)
        gradient = jax.grad(lambda z: criterion(z, np.array([target])).sum())(logits)
        # The largest logit has probability 1, so the error of a wrong row is 1.
        expected = np.sign(loss_in_sizes) * np.array([signs])
        np.testing.assert_array_equal(gradient, expected)
