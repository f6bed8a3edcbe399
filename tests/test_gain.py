"""The gain of hidden kernels: the activation's own, or the user's."""

import math
import re

import jax
import numpy as np
import pytest
from networks import make_config

import jaxmlp
from jaxmlp.network import ACTIVATIONS, INITS_WITH_GAIN, KERNEL_INITS

pytestmark = pytest.mark.long


def init(**fields):
    if fields["kernel_init"] == "mup":
        fields["mup_base_width"] = 16
    config = make_config(in_features=40, out_features=20, **fields)
    return jaxmlp.init_params(config, key=jax.random.key(0))


@pytest.mark.parametrize("kernel_init", INITS_WITH_GAIN)
def test_hidden_kernels_are_proportional_to_the_gain(kernel_init):
    fields = {"hidden_features": (30, 50), "kernel_init": kernel_init}
    ones, threes = (init(**fields, hidden_gain=gain) for gain in (1.0, 3.0))
    for small, large in zip(ones.hidden, threes.hidden, strict=True):
        # Each factor is a square root in float32, a few roundings.
        np.testing.assert_allclose(large.kernel, 3 * small.kernel, rtol=1e-6)


@pytest.mark.parametrize("kernel_init", INITS_WITH_GAIN)
def test_output_kernels_and_biases_do_not_depend_on_the_gain(kernel_init):
    fields = {"hidden_features": (30, 50), "kernel_init": kernel_init}
    plain, own = init(**fields), init(**fields, hidden_gain=3.0)
    jax.tree.map(np.testing.assert_array_equal, own.output, plain.output)
    for dense, other in zip(own.hidden, plain.hidden, strict=True):
        np.testing.assert_array_equal(dense.bias, other.bias)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kernel_init", INITS_WITH_GAIN)
def test_no_gain_means_the_gain_of_each_activation(kernel_init, activation):
    fields = {"hidden_features": (6, 6), "kernel_init": kernel_init, "activation": activation}
    named = init(**fields, hidden_gain=ACTIVATIONS[activation].gain)
    jax.tree.map(np.testing.assert_array_equal, init(**fields), named)


def test_one_gain_holds_for_hidden_layers_of_any_activation():
    fields = {"hidden_features": (30, 50), "kernel_init": "he_normal", "hidden_gain": 1.5}
    mixed, same = init(**fields, activation=("tanh", "relu")), init(**fields, activation="tanh")
    jax.tree.map(np.testing.assert_array_equal, mixed, same)


def test_the_recipe_of_ppo_gives_orthogonal_kernels_of_its_gains():
    params = init(
        hidden_features=(64, 64), activation="tanh", kernel_init="orthogonal",
        hidden_gain=math.sqrt(2), output_kernel_scale=0.01,
    )  # fmt: skip
    for dense, gain in (
        (params.hidden[0], 2**0.5),
        (params.hidden[1], 2**0.5),
        (params.output, 0.01),
    ):
        singular_values = np.linalg.svd(np.asarray(dense.kernel, np.float64), compute_uv=False)
        # A float32 QR decomposition of 64 columns.
        np.testing.assert_allclose(singular_values, gain, rtol=1e-5)


@pytest.mark.parametrize("kernel_init", sorted(set(KERNEL_INITS) - set(INITS_WITH_GAIN)))
def test_a_gain_is_refused_by_laws_without_one(kernel_init):
    message = (
        "hidden_gain acts on the kernel_inits 'he_normal', .*; leave it at None or take one of "
        f"them; got kernel_init='{kernel_init}', hidden_gain=1.5"
    )
    with pytest.raises(ValueError, match=message):
        make_config(hidden_features=(8,), kernel_init=kernel_init, hidden_gain=1.5)


@pytest.mark.bad_input
def test_a_gain_is_refused_without_hidden_layers():
    message = r"hidden_gain acts on hidden layers, but hidden_features is \(\).*; got hidden_gain=2"
    with pytest.raises(ValueError, match=message):
        make_config(hidden_features=(), hidden_gain=2)


@pytest.mark.bad_input
@pytest.mark.parametrize("gain", [0.0, -1.0, math.nan, math.inf, 10**400])
def test_a_gain_out_of_range_is_refused(gain):
    with pytest.raises(ValueError, match=f"hidden_gain must be finite and above 0; got {gain}"):
        make_config(hidden_features=(8,), hidden_gain=gain)


@pytest.mark.bad_input
@pytest.mark.parametrize("gain", [True, "relu", (1.0,)])
def test_a_gain_must_be_a_number(gain):
    with pytest.raises(TypeError, match="hidden_gain must be a number finite and above 0; got "):
        make_config(hidden_features=(8,), hidden_gain=gain)


@pytest.mark.parametrize("kernel_init", ["he_normal", "orthogonal"])
@pytest.mark.parametrize("gain", [1e200, 1e-200])
def test_a_gain_that_the_type_of_the_kernels_cannot_hold_is_refused(gain, kernel_init):
    message = r"hidden_gain must be one that float32 holds for kernels of shape \(40, 8\); got 1e"
    with pytest.raises(ValueError, match=message):
        init(hidden_features=(8,), hidden_gain=gain, kernel_init=kernel_init)


def test_json_keeps_the_gain():
    config = make_config(hidden_features=(8,), kernel_init="he_normal", hidden_gain=5 / 3)
    assert jaxmlp.MLPConfig.from_json(config.to_json()) == config


def test_json_of_before_the_field_has_no_gain_of_its_own():
    text = '{"in_features": 3, "hidden_features": [8], "out_features": 2, "kernel_init": "torch"}'
    config = jaxmlp.MLPConfig.from_json(text)
    assert (config.hidden_gain, config.kernel_init) == (None, "torch")


def test_the_docstring_tells_the_gain_of_every_activation():
    text = " ".join(str(jaxmlp.init_params.__doc__).split())
    listed = text.split("from layer to layer: ")[1].split(". Normal draws")[0]
    told = {}
    for group in listed.split(";"):
        number, *names = re.findall(r"[\w.]+", re.sub(r" (for|and) ", " ", group))
        told |= dict.fromkeys(names, float(number))
    assert told == {name: round(activation.gain, 3) for name, activation in ACTIVATIONS.items()}
