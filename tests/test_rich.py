"""The default start: small first and output kernels, and wide biases."""

import dataclasses
import math

import jax
import numpy as np
import pytest
import scipy.stats
from networks import make_config

import jaxmlp

CONFIG = make_config(
    in_features=100, hidden_features=(150, 120), out_features=90, activation="tanh"
)
# The variance of a kernel entry times fan_in.
SQUARES = {"first": 1 / 3, "hidden": 1.0, "output": 0.09}


def init(config=CONFIG, seed=0):
    return jaxmlp.init_params(config, key=jax.random.key(seed))


def kernel_at(place):
    params = init()
    dense = {"first": params.hidden[0], "hidden": params.hidden[1], "output": params.output}[place]
    return np.asarray(dense.kernel, np.float64)


def test_it_is_the_default():
    assert CONFIG.kernel_init == "rich"


@pytest.mark.parametrize("place", SQUARES)
def test_kernels_have_the_variance_of_their_place(place):
    kernel = kernel_at(place)
    wanted = SQUARES[place] / len(kernel)
    # 5 standard errors; a uniform law has a kurtosis below 3, so each is below sqrt(2 / n).
    assert kernel.var() == pytest.approx(wanted, rel=5 * math.sqrt(2 / kernel.size))


@pytest.mark.parametrize("place", SQUARES)
def test_kernels_are_uniform_around_zero(place):
    kernel = kernel_at(place)
    bound = math.sqrt(3 * SQUARES[place] / len(kernel))
    law = scipy.stats.uniform(-bound, 2 * bound)
    # A fixed seed: a right law fails for one seed in a thousand.
    assert scipy.stats.kstest(kernel.ravel(), law.cdf).pvalue > 1e-3
    assert np.abs(kernel).max() < bound * (1 + 1e-6)  # float32 may round the largest draw up


def test_the_first_kernel_is_that_of_torch():
    torch = init(dataclasses.replace(CONFIG, kernel_init="torch")).hidden[0].kernel
    np.testing.assert_array_equal(init().hidden[0].kernel, torch, strict=True)


def test_no_activation_changes_the_law():
    relu = init(dataclasses.replace(CONFIG, activation="relu"))
    jax.tree.map(np.testing.assert_array_equal, relu, init())


def test_the_first_of_several_hidden_layers_is_drawn_as_the_only_one():
    shallow = make_config(in_features=100, hidden_features=(150,), activation="tanh")
    jax.tree.map(np.testing.assert_array_equal, init(shallow).hidden[0], init().hidden[0])


@pytest.mark.parametrize("layer", [0, 1])
def test_hidden_biases_are_uniform_within_three_by_the_root_of_fan_in(layer):
    config = make_config(in_features=9, hidden_features=(2000, 2000))
    dense = init(config).hidden[layer]
    bound = 3 / math.sqrt(len(dense.kernel))
    law = scipy.stats.uniform(-bound, 2 * bound)
    assert scipy.stats.kstest(dense.bias, law.cdf).pvalue > 1e-3


def test_the_output_bias_starts_at_zero():
    assert not init().output.bias.any()


def test_without_biases_the_kernels_are_the_same():
    without = init(dataclasses.replace(CONFIG, use_bias=False))
    for a, b in zip(
        (*without.hidden, without.output), (*init().hidden, init().output), strict=True
    ):
        assert a.bias is None
        np.testing.assert_array_equal(a.kernel, b.kernel)


def test_a_linear_model_starts_small_and_without_bias():
    params = init(make_config(in_features=100, hidden_features=(), out_features=90))
    kernel = np.asarray(params.output.kernel)
    assert kernel.var() == pytest.approx(0.09 / 100, rel=5 * math.sqrt(2 / kernel.size))
    assert not params.output.bias.any()


def layers_of(depth, activation):
    x = jax.random.normal(jax.random.key(1), (64, 256))
    config = make_config(
        in_features=256, hidden_features=(256,) * depth, out_features=64, activation=activation
    )
    return jaxmlp.intermediates(init(config), x, config=config)


def test_net_inputs_of_relu_layers_have_the_mean_squares_of_theory():
    measured = [np.mean(np.square(layer.net_input)) for layer in layers_of(6, "relu")[:-1]]
    # ReLU halves a mean square, kernels keep it, and biases have the variance 9 / 3 / 256.
    wanted = [1 / 3 + 3 / 256]
    for _ in range(5):
        wanted.append(wanted[-1] / 2 + 3 / 256)
    # A random walk of the logarithm by about sqrt(5 / 256) per layer.
    assert (np.abs(np.log(measured) - np.log(wanted)) < 3 * np.sqrt(6 * 5 / 256)).all()


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "gelu", "elu"])
def test_four_layers_still_tell_rows_apart(activation):
    outputs = np.asarray(layers_of(4, activation)[-1].net_input)
    # float32 resolves 1e-7 of the outputs; Adam's steps do not depend on their size.
    assert outputs.std(axis=0).min() > 1e-3


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_outputs_start_well_within_a_standard_deviation_of_the_targets(depth):
    # At most 0.09 times the mean square of the activations, which is below 1.
    assert np.mean(np.square(layers_of(depth, "relu")[-1].net_input)) < 0.09
