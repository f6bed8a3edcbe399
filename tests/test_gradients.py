"""Gradients of the loss and ten optimizer steps against the oracle in float64."""

import functools
from typing import NamedTuple

import jax
import numpy as np
import optax
import pytest
import reference
import reference_losses
import reference_optimizers
from networks import NORMS, make_config, make_inputs, make_params

import jaxmlp
from jaxmlp import losses
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS

pytestmark = pytest.mark.usefixtures("x64")

# Sums of up to 18 terms through forward and backward pass: measured below 20 eps.
RTOL = 128 * float(np.finfo(np.float64).eps)
ROWS = 6
WEIGHTS = np.array([1.0, 0.0, 2.5, 0.5, 1.0, 3.0])


class Case(NamedTuple):
    """A criterion, its oracle, their options, and targets that suit it."""

    criterion: object
    oracle: object
    out_features: int
    targets: np.ndarray
    options: dict = {}  # noqa: RUF012 - never written to

    def bound(self):
        return functools.partial(self.criterion, **self.options)

    def row_losses(self, outputs):
        targets = self.targets
        is_column = self.criterion is not losses.softmax_cross_entropy and targets.ndim == 1
        return self.oracle(outputs, targets[:, None] if is_column else targets, **self.options)


def make_cases():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 4, ROWS)
    probabilities = rng.dirichlet(np.ones(4), ROWS)
    labels = rng.integers(0, 2, (ROWS, 3))
    numbers = rng.normal(size=(ROWS, 3))
    counts = rng.poisson(2.0, (ROWS, 3))
    of = reference_losses
    smoothing, levels = {"label_smoothing": 0.1}, {"levels": (0.1, 0.5, 0.9)}
    softmax, binary = losses.softmax_cross_entropy, losses.sigmoid_binary_cross_entropy
    return {
        "classes": Case(softmax, of.softmax_cross_entropy, 4, classes),
        "smoothed_classes": Case(softmax, of.softmax_cross_entropy, 4, classes, smoothing),
        "probabilities": Case(softmax, of.softmax_cross_entropy, 4, probabilities),
        "smoothed_probabilities": Case(
            softmax, of.softmax_cross_entropy, 4, probabilities, smoothing
        ),
        "labels": Case(binary, of.sigmoid_binary_cross_entropy, 3, labels),
        "one_label": Case(binary, of.sigmoid_binary_cross_entropy, 1, labels[:, 0]),
        "label_probabilities": Case(
            binary, of.sigmoid_binary_cross_entropy, 4, probabilities
        ),
        "hinge": Case(losses.hinge, of.hinge, 3, labels),
        "squared_error": Case(losses.squared_error, of.squared_error, 3, numbers),
        "one_number": Case(losses.squared_error, of.squared_error, 1, numbers[:, 0]),
        "absolute_error": Case(losses.absolute_error, of.absolute_error, 3, numbers),
        "huber": Case(losses.huber, of.huber, 3, numbers, {"delta": 0.7}),
        "poisson": Case(losses.poisson, of.poisson, 3, counts),
        "gaussian": Case(losses.gaussian, of.gaussian, 6, numbers, {"min_scale": 0.05}),
        "quantile": Case(losses.quantile, of.quantile, 9, numbers, levels),
    }  # fmt: skip


CASES = make_cases()
X = make_inputs((ROWS, 5))


def loss_and_gradient(config, params, case, weight=None):
    loss_fn = jaxmlp.make_loss(config, case.bound())
    batch = jaxmlp.Batch(X, case.targets, weight)
    (loss, _), gradient = jax.value_and_grad(loss_fn, has_aux=True)(params, batch, None)
    return loss, gradient


def oracle_loss_and_gradient(config, params, case, weight=None):
    row_losses, d_outputs = case.row_losses(reference.forward(params, X, config))
    loss, d_outputs = reference_losses.weighted_mean(row_losses, d_outputs, weight)
    return loss, reference.backward(params, X, config, d_outputs)


def assert_gradient_equals_the_oracle(config, case, weight=None):
    params = make_params(config)
    got = loss_and_gradient(config, params, case, weight)
    wanted = oracle_loss_and_gradient(config, params, case, weight)
    assert float(got[0]) == pytest.approx(float(wanted[0]), rel=RTOL)
    reference.assert_close(got[1], wanted[1], RTOL)


def test_every_criterion_has_a_case():
    tested = {case.criterion.__name__ for case in CASES.values()}
    # Not criteria, but what `gaussian` predicts, and what scales targets.
    others = {"gaussian_parameters", "in_target_units", "target_scaling"}
    assert tested == set(losses.__all__) - others


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_every_criterion_equals_the_oracle(name, weight):
    config = make_config(
        hidden_features=(6,), activation="tanh", param_dtype="float64",
        out_features=CASES[name].out_features,
    )  # fmt: skip
    assert_gradient_equals_the_oracle(config, CASES[name], weight)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", [*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS])
def test_the_gradient_of_every_activation_and_norm_equals_the_oracle(activation, norm):
    config = make_config(
        hidden_features=(6, 6, 6), activation=activation, norm=norm, residual=True,
        param_dtype="float64",
    )  # fmt: skip
    assert_gradient_equals_the_oracle(config, CASES["squared_error"])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("hidden_features", [(6,), (6, 4), (7, 5, 6)])
def test_the_gradient_without_bias_equals_the_oracle(hidden_features, norm):
    config = make_config(
        hidden_features=hidden_features, activation="swiglu", norm=norm, use_bias=False,
        param_dtype="float64",
    )  # fmt: skip
    assert_gradient_equals_the_oracle(config, CASES["squared_error"])


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_gradient_of_a_linear_model_equals_the_oracle(use_bias):
    config = make_config(use_bias=use_bias, param_dtype="float64")
    assert_gradient_equals_the_oracle(config, CASES["squared_error"])


@pytest.mark.parametrize("name", [*ELEMENTWISE_ACTIVATIONS, "softmax"])
def test_the_gradient_through_an_output_activation_equals_the_oracle(name):
    config = make_config(hidden_features=(6,), output_activation=name, param_dtype="float64")
    assert_gradient_equals_the_oracle(config, CASES["squared_error"])


OPTIMIZERS = {
    "sgd_momentum": (
        optax.sgd(0.1, momentum=0.9),
        lambda _: reference_optimizers.Momentum(0.1, momentum=0.9),
    ),
    "adam": (optax.adam(0.02), lambda _: reference_optimizers.AdamW(0.02)),
    "adamw": (
        optax.adamw(0.02, weight_decay=0.3, mask=jaxmlp.kernel_mask),
        lambda decayed: reference_optimizers.AdamW(0.02, weight_decay=0.3, decayed=decayed),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_optimizer_steps_equal_the_oracle(name):
    case = CASES["classes"]
    config = make_config(
        hidden_features=(6, 6), activation="gelu", norm="layer", residual=True, out_features=4,
        param_dtype="float64",
    )  # fmt: skip
    params = make_params(config)
    rule, make_oracle = OPTIMIZERS[name]
    train_step = jaxmlp.make_train_step(jaxmlp.make_loss(config, case.bound()), rule)
    state = jaxmlp.init_state(params, rule, key=jax.random.key(0))
    paths, arrays = zip(*jax.tree.leaves_with_path(params), strict=True)
    oracle = make_oracle([path[-1].name == "kernel" for path in paths])
    for _ in range(10):
        state, metrics = train_step(state, jaxmlp.Batch(X, case.targets, WEIGHTS))
        params = jax.tree.unflatten(jax.tree.structure(params), arrays)
        loss, gradient = oracle_loss_and_gradient(config, params, case, WEIGHTS)
        assert float(metrics["loss"]) == pytest.approx(loss, rel=10 * RTOL)
        arrays = oracle.step(arrays, jax.tree.leaves(gradient))
    # Adam divides by the root of v, so small gradients keep their relative error: ten steps of it.
    for got, wanted in zip(jax.tree.leaves(state.params), arrays, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=10 * RTOL, atol=10 * RTOL)
