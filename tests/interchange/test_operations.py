"""A network as a list of operations, and the network that is found in such a list."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from network_family import family, network, params_of, wanted_outputs

import jaxmlp
from jaxmlp.interchange import operations as plain
from jaxmlp.interchange.operations import (
    Activate,
    Affine,
    Cast,
    Dropout,
    member_operations,
    operations_of,
    widened,
)
from jaxmlp.interchange.recognition import network_of
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, HIDDEN_ACTIVATIONS


def computed(operations, x):
    """What operations do, in float64 throughout."""
    h, kept = np.asarray(x, np.float64), None
    for operation in operations:
        match operation:
            case plain.Standardise():
                h = (h - operation.mean.astype(np.float64)) / operation.scale.astype(np.float64)
            case plain.Affine():
                h = h @ operation.kernel.astype(np.float64)
                h = h if operation.bias is None else h + operation.bias.astype(np.float64)
            case plain.Normalise():
                centred = h - h.mean(axis=-1, keepdims=True) if operation.kind == "layer" else h
                square = np.mean(centred**2, axis=-1, keepdims=True)
                h = centred / np.sqrt(square + operation.epsilon) * operation.scale.astype(float)
                h = h if operation.bias is None else h + operation.bias.astype(np.float64)
            case plain.Activate() | plain.Gate():
                h = reference.activate(operation.name, h)
            case plain.StartSkip():
                kept = h
            case plain.AddSkip():
                h = kept + h
    return h


def assert_same(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert isinstance(a, jax.Array)
        assert (a.shape, a.dtype, np.asarray(a).tobytes()) == (b.shape, b.dtype, b.tobytes())


def test_the_family_has_everything_that_a_config_can_describe():
    nets = list(family())
    assert len(nets) >= 500
    configs = [net.config for net in nets]
    names = {name for config in configs for name in config.hidden_activations}
    assert names == set(HIDDEN_ACTIVATIONS)
    assert {config.output_activation for config in configs} == {
        None,
        "softmax",
        *ELEMENTWISE_ACTIVATIONS,
    }
    assert {len(config.hidden_features) for config in configs} == set(range(7))
    for field, values in {
        "norm": {None, "layer", "rms"},
        "residual": {True, False},
        "use_bias": {True, False},
        "norm_epsilon": {1e-5, 1e-6, 1e-3, 0.25},
        "param_dtype": {"bfloat16", "float16", "float32", "float64"},
        "compute_dtype": {None, "bfloat16", "float16", "float32", "float64"},
    }.items():
        assert {getattr(config, field) for config in configs} == values
    assert len({net.params.standardization is None for net in nets}) == 2


@pytest.mark.usefixtures("x64")
def test_operations_compute_what_the_network_does():
    for net in family():
        outputs = computed(operations_of(net.config, net.params), net.x)
        # The same formulas in the same precision, summed in the same order.
        np.testing.assert_allclose(outputs, wanted_outputs(net), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_a_network_comes_back_bit_for_bit():
    for net in family():
        config, params = network_of(operations_of(net.config, net.params))
        assert_same(params, net.params)
        assert config.hidden_activations == net.config.hidden_activations
        assert (config.output_activation or "identity") == (
            net.config.output_activation or "identity"
        )
        names = {"activation": "relu", "output_activation": None}
        kept, wanted = (dataclasses.replace(c, **names) for c in (config, net.config))
        assert kept == wanted


@pytest.mark.usefixtures("x64")
def test_the_network_that_comes_back_has_the_same_outputs():
    for number in (3, 19, 33, 47, 58):
        net = network(number)
        config, params = network_of(operations_of(net.config, net.params))
        outputs = jaxmlp.apply(params, net.x, config=config)
        wanted = jaxmlp.apply(jax.tree.map(jnp.asarray, net.params), net.x, config=net.config)
        np.testing.assert_array_equal(outputs, wanted)


def test_fields_of_the_initialisation_come_back_as_those_of_a_new_config():
    config = jaxmlp.MLPConfig(
        in_features=2, hidden_features=(3,), out_features=1, kernel_init="orthogonal",
        hidden_gain=2.0, output_kernel_scale=0.01,
    )  # fmt: skip
    found, _ = network_of(operations_of(config, params_of(config, 0)))
    assert found == jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=1)


@pytest.mark.usefixtures("x64")
def test_widened_operations_have_the_same_parameters_in_types_of_at_least_32_bits():
    for net in family(stop=200):
        operations = operations_of(net.config, net.params)
        wide = [o for o in widened(operations) if not isinstance(o, Cast)]
        narrow = [o for o in operations if not isinstance(o, Cast)]
        for a, b in zip(wide, narrow, strict=True):
            for x, y in zip(a, b, strict=True):
                if isinstance(x, np.ndarray):
                    assert x.dtype in (np.float32, np.float64)
                    np.testing.assert_array_equal(x, y.astype(x.dtype))
        types = {dtype for dtype, _ in plain.with_types(widened(operations))}
        assert types <= {"float32", "float64"}


def test_the_type_in_which_each_operation_computes_is_told():
    config = jaxmlp.MLPConfig(
        in_features=2, hidden_features=(3,), out_features=1, compute_dtype="bfloat16",
        output_activation="tanh",
    )  # fmt: skip
    operations = operations_of(config, params_of(config, 0, standardised=True))
    types = [(dtype, type(each).__name__) for dtype, each in plain.with_types(operations)]
    assert types == [
        ("float32", "Standardise"),
        ("float32", "Cast"),
        ("bfloat16", "Affine"),
        ("bfloat16", "Activate"),
        ("bfloat16", "Affine"),
        ("bfloat16", "Cast"),
        ("float32", "Activate"),
    ]
    assert not any(isinstance(each, Cast) for each in widened(operations))


def test_dropout_stands_after_the_activation_of_every_hidden_layer():
    config = jaxmlp.MLPConfig(
        in_features=2, hidden_features=(3, 3), out_features=1, dropout_rate=0.5, residual=True
    )
    names = [type(each).__name__ for each in operations_of(config, params_of(config, 0))]
    first, skipped = ["Affine", "Activate", "Dropout"], ["Affine", "Activate", "Dropout"]
    assert names == [*first, "StartSkip", *skipped, "AddSkip", "Affine"]


CONFIG = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=1)
PARAMS = params_of(CONFIG, 0)
STACKED = jax.tree.map(lambda a: np.stack([a, 2 * a]), PARAMS)


def test_members_have_the_operations_of_each():
    for number, operations in enumerate(member_operations(CONFIG, STACKED)):
        member = jax.tree.map(lambda a, at=number: a[at], STACKED)
        assert_same(network_of(operations)[1], member)


def test_an_ensemble_is_no_single_network():
    with pytest.raises(ValueError, match=r"params must be those of one network; .*Take a member"):
        operations_of(CONFIG, STACKED)


@pytest.mark.parametrize(("shape", "got"), [((0,), r"\(0,\)"), ((2, 3), r"\(2, 3\)")])
def test_members_have_one_axis(shape, got):
    params = jax.tree.map(lambda a: np.broadcast_to(a, (*shape, *a.shape)), PARAMS)
    with pytest.raises(ValueError, match=f"one axis of at least one member .*axes {got}. Join"):
        member_operations(CONFIG, params)


@pytest.mark.bad_input
def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match=r"config must be a jaxmlp\.MLPConfig; got a dict"):
        operations_of({}, PARAMS)
    with pytest.raises(TypeError, match=r"params must be the jaxmlp\.Params of config; got a dict"):
        operations_of(CONFIG, {})


def test_parameters_of_another_network_are_refused():
    other = dataclasses.replace(CONFIG, in_features=3)
    with pytest.raises(ValueError, match=r"params must be those of config.*hidden\.0\.kernel"):
        operations_of(other, PARAMS)


@pytest.mark.parametrize("field", ["activation", "output_activation"])
def test_a_function_of_the_user_s_own_is_refused_by_name(field):
    snake = jaxmlp.Activation("snake", jnp.sin)
    config = dataclasses.replace(CONFIG, **{field: snake})
    message = r"activation 'snake' is a function of your own.*use one of ours, or .*to_stablehlo"
    with pytest.raises(ValueError, match=message):
        operations_of(config, PARAMS)


def test_64_bit_arrays_are_not_narrowed_in_silence():
    operations = [Affine(np.ones((2, 1)), None)]
    with pytest.raises(ValueError, match="'float64' requires 64-bit JAX types, which are off"):
        network_of(operations)


def test_layers_without_a_bias_get_one_of_zeros_beside_layers_with_one():
    kernel = np.ones((2, 2), np.float32)
    bias = np.array([1.0, 2.0], np.float32)
    config, params = network_of([Affine(kernel, None), Activate("tanh"), Affine(kernel, bias)])
    assert config.use_bias
    np.testing.assert_array_equal(params.hidden[0].bias, [0, 0])


def test_a_rate_that_is_given_replaces_those_read():
    kernel = np.ones((2, 2), np.float32)
    layers = [Affine(kernel, None), Dropout(0.3), Affine(kernel, None), Dropout(0.5)]
    config, _ = network_of([Dropout(0.1), *layers], dropout_rate=0.25)
    assert config.dropout_rate == 0.25
    assert config.activation == "identity"
