"""Heads of networks: losses and gradients by the formulas of papers, and names of predictions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import log_loss

from jaxmlp.sklearn.heads import Head, in_target_units
from jaxmlp.sklearn.regression import mean_and_deviation

RNG = np.random.default_rng(0)
LEVELS = (0.1, 0.5, 0.9)
HEADS = {
    "absolute_error": (Head("absolute_error"), ()),
    "huber": (Head("huber"), (0.7,)),
    "quantile": (Head("quantile", 3), LEVELS),
    "gaussian": (Head("gaussian", 2), ()),
}


def numpy_losses(loss, outputs, targets):
    """Losses of every row and target, and their gradients by output; the formulas of papers."""
    if loss == "quantile":
        q = np.array(LEVELS)
        residual = targets[:, :, None] - outputs.reshape(len(outputs), -1, 3)
        by_level = np.where(residual > 0, q * residual, (q - 1) * residual)
        slopes = np.where(residual > 0, -q, 1 - q) / 3
        return by_level.mean(axis=2), slopes.reshape(outputs.shape)
    if loss == "gaussian":
        mean, raw = np.split(outputs, 2, axis=1)
        std = np.log1p(np.exp(raw)) + 1e-3
        values = -scipy.stats.norm(mean, std).logpdf(targets)
        by_std = 1 / std - (targets - mean) ** 2 / std**3
        slopes = [(mean - targets) / std**2, by_std / (1 + np.exp(-raw))]
        return values, np.concatenate(slopes, axis=1)
    residual = outputs - targets
    if loss == "absolute_error":
        return np.abs(residual), np.sign(residual)
    near = np.abs(residual) < 0.7
    values = np.where(near, residual**2 / 2, 0.7 * (np.abs(residual) - 0.35))
    return values, np.where(near, residual, 0.7 * np.sign(residual))


@pytest.mark.parametrize("loss", HEADS)
def test_losses_and_gradients_are_those_of_the_formula(loss):
    head, options = HEADS[loss]
    outputs = RNG.normal(size=(50, 2 * head.outputs_per_target))
    targets = RNG.normal(size=(50, 2))
    values, slopes = numpy_losses(loss, outputs, targets)
    with jax.enable_x64(True):
        descended, told = head.row_losses(jnp.asarray(outputs), targets, jnp.asarray(options))
        gradient = jax.grad(lambda a: head.row_losses(a, targets, jnp.asarray(options))[0].sum())
        got = gradient(jnp.asarray(outputs))
    np.testing.assert_allclose(told, values.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(descended, values.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got, slopes, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_told_of_classes_is_scikit_learn_s_log_loss_and_descended_without_its_bound(dtype):
    outputs = np.array([[-90, 3.0], [2, 90], [0.5, -80], [-1, 1]], dtype)
    targets = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    bound = -np.log(np.finfo(dtype).eps)
    with jax.enable_x64(True):
        descended, told = Head("sigmoid_binary_cross_entropy").row_losses(
            jnp.asarray(outputs), jnp.asarray(targets, dtype), jnp.zeros(0)
        )
        several, of_several = Head("softmax_cross_entropy").row_losses(
            jnp.asarray(outputs), jnp.array([1, 0, 1, 1]), jnp.zeros(0)
        )
    assert told.dtype == several.dtype == dtype
    exact = np.logaddexp(0, np.where(targets, -outputs, outputs).astype(float))
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(descended, exact.sum(axis=1), rtol=rtol)
    bounded = np.clip(exact, np.finfo(dtype).eps, bound)
    np.testing.assert_allclose(told, bounded.sum(axis=1), rtol=rtol)
    differences = np.array([-93, 88, 80.5, -2.0])
    np.testing.assert_allclose(several, np.logaddexp(0, differences), rtol=rtol, atol=rtol)
    expected = [np.finfo(dtype).eps, bound, bound, np.logaddexp(0, -2.0)]
    np.testing.assert_allclose(of_several, expected, rtol=rtol)
    theirs = log_loss(np.array([1, 0, 1, 1]), scipy.special.softmax(outputs, axis=1))
    np.testing.assert_allclose(np.mean(np.asarray(of_several)), theirs, rtol=rtol)


@settings(deadline=None)  # the first compiles
@given(
    hnp.arrays(np.float64, (4, 6), elements=st.floats(-100, 100)),
    hnp.arrays(np.float64, (4, 2), elements=st.floats(-100, 100)),
)
def test_sorting_quantiles_never_raises_the_loss(outputs, targets):
    head, options = HEADS["quantile"]
    with jax.enable_x64(True):
        options, outputs = jnp.asarray(options), jnp.asarray(outputs)
        before = head.row_losses(outputs, targets, options).told
        after = head.row_losses(head.activate(outputs), targets, options).told
    assert (np.asarray(after) <= np.asarray(before) + 1e-12).all()


@pytest.mark.bad_input
def test_losses_of_other_names_are_refused():
    with pytest.raises(
        ValueError, match=r"loss must be one of .*'gaussian'.*; got 'target_scaling'"
    ):
        Head("target_scaling")


def test_units_are_those_of_rows_by_their_weight():
    y = np.array([[1.0, 5.0], [3.0, 5.0], [99.0, 0.0]])
    mean, scale = mean_and_deviation(y, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(mean, [2, 5])
    np.testing.assert_array_equal(scale, [1, 1])
    np.testing.assert_array_equal(mean_and_deviation(y, np.zeros(3)), [[0, 0], [1, 1]])


def test_heads_name_their_predictions_for_any_axes():
    outputs = jnp.asarray(RNG.normal(size=(5, 2, 6)), jnp.float32)
    options = jnp.asarray(LEVELS, jnp.float32)
    named = Head("quantile", 3).predictions(Head("quantile", 3).activate(outputs), options)
    assert {name: values.shape for name, values in named.items()} == {
        "prediction": (5, 2, 2),
        "quantiles": (5, 2, 2, 3),
    }
    scaled = in_target_units(named, np.array([1.0, 2.0]), np.array([10.0, 20.0]))
    np.testing.assert_allclose(
        scaled["quantiles"][..., 1, :], 20 * named["quantiles"][..., 1, :] + 2, rtol=1e-6
    )
    classes = Head("softmax_cross_entropy")
    probabilities = classes.predictions(classes.activate(outputs), ())["probabilities"]
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-6)
