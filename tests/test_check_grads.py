"""Derivatives, forward and reverse, against finite differences: independent of every formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from networks import NORMS, make_config, make_inputs, make_params

import jaxmlp
from jaxmlp import losses
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("x64")]

X = make_inputs()
# Central differences at eps = 1e-5: an error of eps**2 and of 1e-16 / eps, each 1e-10 or less,
# times derivatives of size 100 at most. A kink within 1e-5 of a net input would show as an error;
# the seeds have none.
CHECK = {"modes": ("fwd", "rev"), "eps": 1e-5, "rtol": 1e-7, "atol": 1e-7}


def check_network(**fields):
    config = make_config(param_dtype="float64", **fields)
    apply = functools.partial(jaxmlp.apply, config=config)
    check_grads(apply, (make_params(config), X), order=1, **CHECK)


@pytest.mark.parametrize("activation", [*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS])
def test_derivatives_of_every_activation_are_differences(activation):
    check_network(hidden_features=(6,), activation=activation)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("norm", NORMS)
def test_derivatives_of_every_norm_are_differences(norm, use_bias):
    check_network(
        hidden_features=(6, 6), activation="swiglu", norm=norm, use_bias=use_bias, residual=True
    )


def test_derivatives_of_the_softmax_are_differences():
    check_network(hidden_features=(6,), activation="tanh", output_activation="softmax")


def test_second_derivatives_are_differences():
    config = make_config(
        hidden_features=(6,), activation="tanh", norm="layer", param_dtype="float64"
    )
    gradient = jax.jit(jax.grad(lambda params: jaxmlp.apply(params, X, config=config).sum()))
    check_grads(gradient, (make_params(config),), order=1, **CHECK)


RNG = np.random.default_rng(3)
OUTPUTS = RNG.normal(size=(5, 6))
NUMBERS = RNG.normal(size=(5, 6))
LABELS = RNG.integers(0, 2, (5, 6))
CRITERIA = {
    "absolute_error": (losses.absolute_error, NUMBERS),
    "gaussian": (losses.gaussian, NUMBERS[:, :3]),
    "hinge": (losses.hinge, LABELS),
    "huber": (losses.huber, NUMBERS),
    "poisson": (losses.poisson, RNG.poisson(2.0, (5, 6))),
    "quantile": (functools.partial(losses.quantile, levels=(0.1, 0.9)), NUMBERS[:, :3]),
    "sigmoid_binary_cross_entropy": (losses.sigmoid_binary_cross_entropy, LABELS),
    "softmax_cross_entropy": (
        functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1),
        RNG.integers(0, 6, 5),
    ),
    "squared_error": (losses.squared_error, NUMBERS),
}


def test_every_criterion_is_checked():
    others = {"gaussian_parameters", "in_target_units", "target_scaling"}
    assert set(CRITERIA) == set(losses.__all__) - others


@pytest.mark.parametrize("name", CRITERIA)
def test_derivatives_of_every_criterion_are_differences(name):
    criterion, targets = CRITERIA[name]
    check_grads(lambda z: criterion(z, targets), (jnp.asarray(OUTPUTS),), order=1, **CHECK)
