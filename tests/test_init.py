"""Initial parameters: the law of every kernel and bias, and the keys that they are drawn with."""

import functools
import math

import jax
import numpy as np
import pytest
import scipy.stats
from networks import make_config

import jaxmlp
from jaxmlp.network import ACTIVATIONS, KERNEL_INITS

GAIN = ACTIVATIONS["tanh"].gain
# Those that are one law per entry; the others have their own tests.
NORMAL = ("flax", "glorot_normal", "he_normal", "lecun_normal")
UNIFORM = ("glorot_uniform", "he_uniform", "keras", "lecun_uniform", "torch")
LAWS = (*NORMAL, *UNIFORM)
# Standard deviation of a standard normal variable truncated at two: scipy.stats.truncnorm(-2, 2).
TRUNCATED_STD = 0.8796256610342398


@functools.cache
def init(**fields):
    return jaxmlp.init_params(make_config(**fields), key=jax.random.key(0))


def std_of(name, fan_in, fan_out, gain):
    variances = {
        "flax": 1 / fan_in,
        "glorot": 2 / (fan_in + fan_out),
        "he": gain**2 / fan_in,
        "keras": 2 / (fan_in + fan_out),
        "lecun": 1 / fan_in,
        "torch": 1 / (3 * fan_in),
    }
    return math.sqrt(variances[name.split("_")[0]])


def kernels(kernel_init, activation="tanh"):
    """A hidden kernel (100, 150) and an output kernel (150, 120) in float64, with their gains."""
    params = init(
        in_features=100,
        hidden_features=(150,),
        out_features=120,
        activation=activation,
        kernel_init=kernel_init,
    )
    pairs = (params.hidden[0].kernel, ACTIVATIONS[activation].gain), (params.output.kernel, 1.0)
    return [(np.asarray(kernel, np.float64), gain) for kernel, gain in pairs]


def test_every_kernel_init_is_tested():
    assert {*LAWS, "orthogonal", "mup", "rich"} == set(KERNEL_INITS)


@pytest.mark.parametrize("name", LAWS)
def test_kernels_have_mean_zero(name):
    for kernel, _ in kernels(name):
        # 5 standard errors of the mean.
        assert abs(kernel.mean()) < 5 * kernel.std() / math.sqrt(kernel.size)


@pytest.mark.parametrize("name", LAWS)
def test_kernels_have_the_stated_variance(name):
    for kernel, gain in kernels(name):
        wanted = std_of(name, *kernel.shape, gain) ** 2
        # 5 standard errors; both laws have a kurtosis below 3, so each is below sqrt(2 / n).
        assert kernel.var() == pytest.approx(wanted, rel=5 * math.sqrt(2 / kernel.size))


@pytest.mark.parametrize("name", LAWS)
def test_kernels_stay_within_the_bound_of_their_law_and_reach_it(name):
    for kernel, gain in kernels(name):
        std = std_of(name, *kernel.shape, gain)
        bound = std * (math.sqrt(3) if name in UNIFORM else 2 / TRUNCATED_STD)
        # float32 may round the largest draw up.
        assert 0.99 * bound < np.abs(kernel).max() < bound * (1 + 1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_kernels_have_the_shape_of_their_law(name):
    for kernel, gain in kernels(name):
        std = std_of(name, *kernel.shape, gain)
        law = scipy.stats.truncnorm(-2, 2, scale=std / TRUNCATED_STD)
        if name in UNIFORM:
            law = scipy.stats.uniform(-math.sqrt(3) * std, 2 * math.sqrt(3) * std)
        # A fixed seed: a right law fails for one seed in a thousand.
        assert scipy.stats.kstest(kernel.ravel(), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_variance_holds_the_gain_of_the_activation(activation):
    fields = {"hidden_features": (100,), "activation": activation, "kernel_init": "he_normal"}
    kernel = init(in_features=100, **fields).hidden[0].kernel
    wanted = ACTIVATIONS[activation].gain ** 2 / 100
    assert np.var(kernel) == pytest.approx(wanted, rel=5 * math.sqrt(2 / kernel.size))


def test_glorot_counts_both_halves_of_a_gated_layer():
    (kernel, _), _ = kernels("glorot_uniform", activation="swiglu")
    assert kernel.shape == (100, 300)
    assert kernel.var() == pytest.approx(2 / 400, rel=5 * math.sqrt(2 / kernel.size))


@pytest.mark.parametrize("width", [20, 50, 80])
def test_orthogonal_kernels_have_orthonormal_rows_or_columns_times_the_gain(width):
    config = {"in_features": 50, "hidden_features": (width,), "out_features": width}
    params = init(**config, activation="tanh", kernel_init="orthogonal")
    for kernel, gain in ((params.hidden[0].kernel, GAIN), (params.output.kernel, 1.0)):
        k = np.asarray(kernel, np.float64)
        gram = k.T @ k if k.shape[0] >= k.shape[1] else k @ k.T
        # A float32 QR decomposition of 80 columns.
        np.testing.assert_allclose(gram, gain**2 * np.eye(len(gram)), atol=2e-5)


def test_he_normal_keeps_the_size_of_net_inputs_through_relu_layers():
    x = jax.random.normal(jax.random.key(1), (64, 256))
    fields = {"in_features": 256, "hidden_features": (256,) * 12, "kernel_init": "he_normal"}
    layers = jaxmlp.intermediates(init(**fields), x, config=make_config(**fields))
    mean_squares = np.array([np.mean(np.square(layer.net_input)) for layer in layers[:-1]])
    # gain**2 = 2, and a random walk of its logarithm by about sqrt(5 / 256) per layer.
    assert (np.abs(np.log(mean_squares / 2)) < 3 * np.sqrt(12 * 5 / 256)).all()


@pytest.mark.parametrize("activation", ["elu", "selu", "tanh"])
def test_net_inputs_of_saturating_activations_settle_at_unit_mean_square(activation):
    x = jax.random.normal(jax.random.key(1), (64, 256))
    fields = {"in_features": 256, "hidden_features": (256,) * 12, "kernel_init": "he_normal"}
    fields["activation"] = activation
    layers = jaxmlp.intermediates(init(**fields), x, config=make_config(**fields))
    # The gain makes 1 the fixed point; 256 units leave a few per cent of noise per layer.
    assert np.mean(np.square(layers[-2].net_input)) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("name", sorted(set(KERNEL_INITS) - {"torch", "mup", "rich"}))
def test_biases_start_at_zero(name):
    params = init(hidden_features=(6,), kernel_init=name)
    assert not params.hidden[0].bias.any()
    assert not params.output.bias.any()


def test_biases_of_torch_are_uniform_within_one_over_the_root_of_fan_in():
    params = init(in_features=9, hidden_features=(2000,), out_features=100, kernel_init="torch")
    for dense in (*params.hidden, params.output):
        bound = 1 / math.sqrt(dense.kernel.shape[0])
        law = scipy.stats.uniform(-bound, 2 * bound)
        assert scipy.stats.kstest(dense.bias, law.cdf).pvalue > 1e-3


def test_biases_and_kernels_of_torch_are_drawn_independently():
    params = init(in_features=9, hidden_features=(2000,), out_features=100, kernel_init="torch")
    correlation = np.corrcoef(params.hidden[0].kernel[0], params.hidden[0].bias)[0, 1]
    # 5 standard errors of 2000 pairs.
    assert abs(correlation) < 5 / math.sqrt(2000)


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_norms_start_at_scale_one_and_bias_zero(use_bias, norm):
    dense = init(hidden_features=(6,), norm=norm, use_bias=use_bias).hidden[0]
    np.testing.assert_array_equal(dense.norm.scale, np.ones(6, np.float32))
    if norm == "layer" and use_bias:
        np.testing.assert_array_equal(dense.norm.bias, np.zeros(6, np.float32))
    else:
        assert dense.norm.bias is None


def test_the_norm_of_a_gated_layer_covers_both_halves():
    dense = init(hidden_features=(6,), norm="layer", activation="glu").hidden[0]
    assert dense.kernel.shape == (5, 12)
    assert dense.norm.scale.shape == dense.norm.bias.shape == dense.bias.shape == (12,)


@pytest.mark.parametrize("name", KERNEL_INITS)
@pytest.mark.parametrize("scale", [0.0, 0.01])
def test_the_output_kernel_scale_acts_on_the_output_kernel_alone(scale, name):
    fields = {"hidden_features": (6,), "kernel_init": name}
    fields |= {"mup_base_width": 4} if name == "mup" else {}
    plain, scaled = init(**fields), init(**fields, output_kernel_scale=scale)
    np.testing.assert_array_equal(
        scaled.output.kernel, plain.output.kernel * np.float32(scale), strict=True
    )
    jax.tree.map(np.testing.assert_array_equal, scaled.hidden, plain.hidden)
    jax.tree.map(np.testing.assert_array_equal, scaled.output.bias, plain.output.bias)
