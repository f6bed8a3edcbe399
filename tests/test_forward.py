"""The forward pass against the oracle, and as a pure function of arrays of any rank."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from networks import NORMS, make_config, make_inputs, make_params, widened

import jaxmlp
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS

ACTIVATIONS = (*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS)
STRUCTURES = {
    "one_layer": {"hidden_features": (6,)},
    "two_residual_layers_without_bias": {
        "hidden_features": (6, 6),
        "residual": True,
        "use_bias": False,
    },
    "three_layers": {"hidden_features": (7, 5, 6)},
    "three_residual_layers": {"hidden_features": (6, 6, 6), "residual": True},
}
# Sums of up to 12 terms and XLA's tanh (7 eps), through up to 4 layers whose norms and differences
# magnify: measured below 22 eps, where a wrong formula would be off by 1.
FLOAT64_RTOL = 256 * np.finfo(np.float64).eps


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float64_outputs_equal_the_oracle(activation, norm, structure):
    config = make_config(
        activation=activation, norm=norm, param_dtype="float64", **STRUCTURES[structure]
    )
    params, x = make_params(config), make_inputs()
    outputs = jaxmlp.apply(params, x, config=config)
    assert outputs.dtype == np.float64
    reference.assert_close(outputs, reference.forward(params, x, config), FLOAT64_RTOL)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", [None, *ELEMENTWISE_ACTIVATIONS, "softmax"])
@pytest.mark.parametrize("hidden_features", [(), (6,)])
def test_the_output_activation_acts_with_and_without_hidden_layers(hidden_features, name):
    config = make_config(
        hidden_features=hidden_features, output_activation=name, param_dtype="float64"
    )
    params, x = make_params(config), make_inputs()
    outputs = jaxmlp.apply(params, x, config=config)
    reference.assert_close(outputs, reference.forward(params, x, config), FLOAT64_RTOL)


@pytest.mark.usefixtures("x64")
def test_a_linear_model_without_bias_is_one_matrix_product():
    config = make_config(use_bias=False, param_dtype="float64")
    params, x = make_params(config), make_inputs()
    outputs = jaxmlp.apply(params, x, config=config)
    reference.assert_close(outputs, x @ params.output.kernel, FLOAT64_RTOL)


@pytest.mark.usefixtures("x64")
def test_every_hidden_layer_has_its_own_activation_where_several_are_named():
    config = make_config(
        hidden_features=(6, 4, 5), activation=("tanh", "swiglu", "relu"), param_dtype="float64"
    )
    params, x = make_params(config), make_inputs()
    outputs = jaxmlp.apply(params, x, config=config)
    reference.assert_close(outputs, reference.forward(params, x, config), FLOAT64_RTOL)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_the_epsilon_of_a_norm_is_the_config_s(norm):
    config = make_config(hidden_features=(6,), norm=norm, norm_epsilon=0.5, param_dtype="float64")
    params, x = make_params(config), make_inputs()
    outputs = jaxmlp.apply(params, x, config=config)
    reference.assert_close(outputs, reference.forward(params, x, config), FLOAT64_RTOL)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_outputs_equal_the_oracle(activation, norm):
    config = make_config(activation=activation, norm=norm, **STRUCTURES["three_residual_layers"])
    params, x = make_params(config), make_inputs(dtype=np.float32)
    outputs = jaxmlp.apply(params, x, config=config)
    # Per layer: a sum of up to 6 rounded products, and an activation of a few roundings.
    rtol = 8 * np.finfo(np.float32).eps * 4
    wanted = reference.forward(widened(params), x.astype(np.float64), config)
    reference.assert_close(outputs, wanted, rtol)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_bfloat16_compute_stays_within_bfloat16_rounding_of_the_oracle(activation, norm):
    config = make_config(
        activation=activation,
        norm=norm,
        compute_dtype="bfloat16",
        **STRUCTURES["three_residual_layers"],
    )
    params, x = make_params(config), make_inputs(dtype=np.float32)
    outputs = jaxmlp.apply(params, x, config=config)
    # bfloat16 has 8 bits, eps = 2**-7; every layer rounds inputs, kernel, product and activation.
    rtol = 4 * float(jnp.finfo(jnp.bfloat16).eps)
    wanted = reference.forward(widened(params), x.astype(np.float64), config)
    reference.assert_close(outputs, wanted, rtol)


@pytest.mark.parametrize("output_activation", [None, "softmax", "sigmoid"])
def test_outputs_of_bfloat16_compute_have_the_type_of_the_parameters(output_activation):
    config = make_config(
        hidden_features=(6,), output_activation=output_activation, compute_dtype="bfloat16"
    )
    x = make_inputs(dtype=np.float32)
    assert jaxmlp.apply(make_params(config), x, config=config).dtype == np.float32


def test_hidden_layers_are_computed_in_the_compute_dtype():
    config = make_config(hidden_features=(6, 6), norm="layer", compute_dtype="bfloat16")
    layers = jaxmlp.intermediates(make_params(config), make_inputs(dtype=np.float32), config=config)
    dtypes = {layer.net_input.dtype for layer in layers}
    assert dtypes == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("compute_dtype", ["bfloat16", "float16"])
def test_norms_of_16_bit_net_inputs_are_rounded_once(compute_dtype, norm):
    config = make_config(
        hidden_features=(64,), activation="identity", norm=norm, compute_dtype=compute_dtype
    )
    params = make_params(config)
    # Net inputs of some hundreds, whose squares float16 cannot hold.
    x = 300 * make_inputs(dtype=np.float32)
    hidden, _ = jaxmlp.intermediates(params, x, config=config)
    alone = params.hidden[0]._replace(kernel=np.eye(64), bias=np.zeros(64))
    model = jaxmlp.Params((alone,), jaxmlp.Dense(np.eye(64), None))
    wanted = reference.forward(widened(model), widened(hidden.net_input), config)
    # Half a unit in the last place, and a hundredth for what float32 lost before.
    rtol = 0.51 * float(jnp.finfo(compute_dtype).eps)
    np.testing.assert_allclose(widened(hidden.activation), wanted, rtol=rtol)


def test_the_softmax_of_bfloat16_logits_sums_to_one_in_float32():
    config = make_config(output_activation="softmax", compute_dtype="bfloat16")
    outputs = jaxmlp.apply(make_params(config), make_inputs(dtype=np.float32), config=config)
    np.testing.assert_allclose(outputs.sum(axis=-1), 1, rtol=4 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (2, 3, 2), (0,), (2, 0, 3)])
def test_leading_axes_are_rows(batch):
    config = make_config(hidden_features=(6, 6), norm="layer", activation="swiglu", residual=True)
    params, x = make_params(config), make_inputs((*batch, 5), np.float32)
    outputs = jaxmlp.apply(params, x, config=config)
    assert outputs.shape == (*batch, 3)
    rows = reference.forward(widened(params), x.reshape(-1, 5).astype(np.float64), config)
    # The three outputs of a single row cancel to a few eps of their terms.
    reference.assert_close(outputs.reshape(-1, 3), rows, 64 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numpy_and_jax_inputs_give_the_same_outputs(dtype):
    config = make_config(hidden_features=(6,))
    params, x = make_params(config), make_inputs(dtype=dtype)
    on_device = jnp.asarray(x, "float32" if dtype == "float64" else dtype)
    np.testing.assert_array_equal(
        jaxmlp.apply(params, x, config=config), jaxmlp.apply(params, on_device, config=config)
    )


@pytest.mark.parametrize("norm", NORMS)
def test_jit_does_not_change_the_outputs(norm):
    config = make_config(hidden_features=(6, 6), norm=norm, activation="gelu", residual=True)
    params, x = make_params(config), make_inputs(dtype=np.float32)
    compiled = jax.jit(jaxmlp.apply, static_argnames="config")
    eager = np.asarray(jaxmlp.apply(params, x, config=config), np.float64)
    # Fused operations round in another order.
    rtol = 16 * np.finfo(np.float32).eps
    reference.assert_close(compiled(params, x, config=config), eager, rtol)


def test_vmap_over_members_equals_a_loop():
    config = make_config(hidden_features=(6, 6), norm="rms", activation="swiglu")
    members = [make_params(config, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
    x = make_inputs(dtype=np.float32)
    apply = functools.partial(jaxmlp.apply, config=config)
    together = jax.vmap(apply, in_axes=(0, None))(stacked, x)
    looped = np.stack([apply(params, x) for params in members]).astype(np.float64)
    # Batched matrix products may sum in another order.
    reference.assert_close(together, looped, 16 * np.finfo(np.float32).eps)


def test_equal_configs_share_one_trace():
    traces = []

    @functools.partial(jax.jit, static_argnames="config")
    def outputs(params, x, *, config):
        traces.append(config)
        return jaxmlp.apply(params, x, config=config)

    first, second = (make_config(hidden_features=(6,), activation="tanh") for _ in range(2))
    params, x = make_params(first), make_inputs(dtype=np.float32)
    outputs(params, x, config=first)
    outputs(params, x, config=second)
    assert first is not second
    assert len(traces) == 1


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_intermediates_equal_the_oracle(structure, norm):
    config = make_config(
        activation="swiglu", norm=norm, output_activation="softmax", param_dtype="float64",
        **STRUCTURES[structure],
    )  # fmt: skip
    params, x = make_params(config), make_inputs()
    layers = jaxmlp.intermediates(params, x, config=config)
    for layer, wanted in zip(layers, reference.trace(params, x, config), strict=True):
        got = reference.LayerTrace(layer.inputs, layer.net_input, layer.activation)
        reference.assert_close(got, wanted, FLOAT64_RTOL)


def test_the_last_intermediate_is_what_apply_returns():
    config = make_config(hidden_features=(6, 6), output_activation="softmax")
    params, x = make_params(config), make_inputs(dtype=np.float32)
    layers = jaxmlp.intermediates(params, x, config=config)
    np.testing.assert_array_equal(
        layers[-1].activation, jaxmlp.apply(params, x, config=config), strict=True
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("dtype", "compute_dtype"),
    [
        *((dtype, None) for dtype in (bool, np.int8, np.uint8, np.int16, np.uint16)),
        *((dtype, "float16") for dtype in (bool, np.int8, np.uint8)),
        *((dtype, "bfloat16") for dtype in (bool, np.int8, np.uint8)),
    ],
)
def test_integers_that_lose_no_digit_give_the_same_as_their_floats(dtype, compute_dtype, norm):
    config = make_config(hidden_features=(6,), norm=norm, compute_dtype=compute_dtype)
    params = make_params(config)
    limits = (0, 1) if dtype is bool else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = np.linspace(*limits, 30).reshape(6, 5).astype(dtype)
    got = jaxmlp.apply(params, x, config=config)
    np.testing.assert_array_equal(got, jaxmlp.apply(params, np.float32(x), config=config))
