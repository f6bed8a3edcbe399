"""Tests of targets in standard units: the same as standardising them by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import losses

generator = np.random.default_rng(0)
X = generator.normal(size=(40, 3)).astype(np.float32)
Y = (1e3 * generator.normal(size=(40, 2)) + 5e4).astype(np.float32)
MEAN, STD = Y.astype(np.float64).mean(axis=0), Y.astype(np.float64).std(axis=0)
# Subtracting a mean of 50 deviations leaves that part of float32's digits.
RTOL = 50 * float(np.finfo(np.float32).eps)

CRITERIA = {
    "squared_error": (losses.squared_error, 2),
    "absolute_error": (losses.absolute_error, 2),
    "huber": (functools.partial(losses.huber, delta=0.5), 2),
    "quantile": (functools.partial(losses.quantile, levels=(0.1, 0.9)), 4),
    "gaussian": (losses.gaussian, 4),
}


def make(name, **settings):
    criterion, outputs = CRITERIA[name]
    config = jaxmlp.MLPConfig(in_features=3, hidden_features=(5,), out_features=outputs)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    return jaxmlp.make_loss(config, criterion, **settings), params, config, criterion


def test_the_statistics_are_those_of_numpy_in_float64():
    scaling = losses.target_scaling(Y)
    np.testing.assert_allclose(scaling.mean, MEAN, rtol=1e-7)
    np.testing.assert_allclose(scaling.scale, STD, rtol=1e-6)


def test_a_constant_target_has_scale_1():
    assert losses.target_scaling(np.full(7, 0.1)).scale.tolist() == [1.0]


@pytest.mark.parametrize("name", CRITERIA)
def test_the_loss_is_that_of_targets_standardised_by_hand(name):
    scaling = losses.target_scaling(Y)
    scaled, params, *_ = make(name, target_scaling=scaling)
    plain, *_ = make(name)
    by_hand = ((Y - MEAN) / STD).astype(np.float32)
    got = jax.value_and_grad(lambda p: scaled(p, jaxmlp.Batch(X, Y), None)[0])(params)
    want = jax.value_and_grad(lambda p: plain(p, jaxmlp.Batch(X, by_hand), None)[0])(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=RTOL, atol=RTOL), got, want)


@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber"])
def test_predictions_are_in_the_units_of_the_targets(name):
    scaling = losses.target_scaling(Y)
    _, params, config, criterion = make(name, target_scaling=scaling)
    outputs = jaxmlp.predict(params, X, config=config)
    got = losses.in_target_units(outputs, scaling, criterion=criterion)
    np.testing.assert_allclose(got, np.asarray(outputs, np.float64) * STD + MEAN, rtol=1e-6)


def test_each_level_of_a_quantile_has_the_units_of_its_target():
    scaling = losses.target_scaling(Y)
    criterion = CRITERIA["quantile"][0]
    got = losses.in_target_units(np.array([[0.0, 1, 0, 1]]), scaling, criterion=criterion)
    want = [MEAN[0], MEAN[0] + STD[0], MEAN[1], MEAN[1] + STD[1]]
    np.testing.assert_allclose(got[0], want, rtol=1e-6)


def test_a_quantile_without_its_levels_is_refused():
    outputs, scaling = np.zeros((1, 4)), losses.target_scaling(Y)
    with pytest.raises(ValueError, match=r"quantile without levels. Give functools.partial"):
        losses.in_target_units(outputs, scaling, criterion=losses.quantile)


def test_a_gaussian_gives_mean_and_deviation_in_the_units_of_the_targets():
    scaling = losses.target_scaling(Y)
    raw = np.array([[0.5, -0.5, 1.0, 2.0]], np.float32)
    mean, deviation = losses.in_target_units(raw, scaling, criterion=losses.gaussian)
    np.testing.assert_allclose(mean[0], MEAN + STD * [0.5, -0.5], rtol=1e-6)
    own = np.logaddexp(0, raw[0, 2:].astype(np.float64)) + 1e-3
    np.testing.assert_allclose(deviation[0], STD * own, rtol=1e-6)


def test_metrics_are_in_the_units_of_the_targets():
    scaling, metrics = losses.target_scaling(Y), {"rmse": jaxmlp.metrics.rmse}
    loss_fn, params, config, criterion = make(
        "squared_error", target_scaling=scaling, metrics=metrics
    )
    _, got = loss_fn(params, jaxmlp.Batch(X, Y), None)
    outputs = jaxmlp.apply(params, X, config=config)
    predictions = losses.in_target_units(outputs, scaling, criterion=criterion)
    want = np.sqrt(np.mean((np.asarray(predictions, np.float64) - Y) ** 2))
    assert float(got["rmse"]) == pytest.approx(want, rel=1e-5)


def test_one_target_may_be_a_vector():
    scaling = losses.target_scaling(Y[:, 0])
    config = jaxmlp.MLPConfig(in_features=3, out_features=1)
    loss_fn = jaxmlp.make_loss(config, losses.squared_error, target_scaling=scaling)
    params = jax.tree.map(jnp.zeros_like, jaxmlp.init_params(config, key=jax.random.key(0)))
    # Of targets in standard units the mean square is 1.
    loss, _ = loss_fn(params, jaxmlp.Batch(X, Y[:, 0]), None)
    assert float(loss) == pytest.approx(1.0, rel=1e-4)


def test_losses_of_equal_scaling_are_equal():
    scalings = [losses.target_scaling(y) for y in (Y, Y, 2 * Y)]
    one, same, other = (make("huber", target_scaling=scaling)[0] for scaling in scalings)
    assert one == same
    assert one != other
    assert one != make("huber")[0]


@pytest.mark.parametrize(
    "criterion", [losses.softmax_cross_entropy, losses.poisson, lambda o, _: o]
)
def test_targets_that_are_no_numbers_in_units_are_refused(criterion):
    config = jaxmlp.MLPConfig(in_features=3, out_features=2)
    with pytest.raises(ValueError, match="target_scaling is for criteria on numbers"):
        jaxmlp.make_loss(config, criterion, target_scaling=losses.target_scaling(Y))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.array(["a"]), TypeError, "real numbers"),
        (np.array([np.nan]), ValueError, "finite"),
        (np.zeros((0, 1)), ValueError, "a row"),
        (np.zeros((2, 1, 1)), ValueError, "shape"),
    ],
)
def test_targets_without_statistics_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        losses.target_scaling(y)


def test_outputs_of_another_number_of_targets_are_refused():
    with pytest.raises(ValueError, match="outputs must be those of the 2 targets"):
        losses.in_target_units(
            np.zeros((1, 3)), losses.target_scaling(Y), criterion=losses.squared_error
        )
