"""ONNX files of ours give back the network bit for bit; changed ones what their graph computes."""

import dataclasses

import jax
import numpy as np
import onnx
import pytest
from network_family import SIZE, family, params_of
from onnx_runs import by_reference
from test_operations import assert_same

import jaxmlp
from jaxmlp.interchange import from_onnx, to_onnx

pytestmark = pytest.mark.usefixtures("x64")
# Activations of two names, or two that are the same function.
SAME = {"hard_swish": "hard_silu", "swish": "silu", "celu": "elu"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.onnx"


def without_metadata(path):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)


def activations(config):
    names = (*config.hidden_activations, config.output_activation or "identity")
    return [SAME.get(name, name) for name in names]


def check(nets, path):
    for net in nets:
        to_onnx(path, net.config, net.params, opset=13 + net.number % 13)
        config, params = from_onnx(path)
        assert config == net.config
        assert_same(params, net.params)


def test_a_network_comes_back_bit_for_bit(path):
    check(family(stop=25), path)


@pytest.mark.slow
def test_the_whole_family_comes_back_bit_for_bit(path):
    check(family(start=25, stop=SIZE), path)


def test_a_graph_alone_gives_the_same_network(path):
    seen = 0
    for net in family(stop=80, dtypes=("float32", "float64", "float16")):
        wide_gelu = {"gelu_exact"} & {*activations(net.config)}
        if net.config.compute_dtype or (wide_gelu and net.config.param_dtype == "float64"):
            continue  # casts between types, and an error function of many nodes
        to_onnx(path, net.config, net.params, opset=13 + net.number % 13)
        without_metadata(path)
        config, params = from_onnx(path)
        assert_same(params, net.params)
        assert activations(config) == activations(net.config)
        assert (config.norm, config.residual) == (net.config.norm, net.config.residual)
        assert config.norm_epsilon == net.config.norm_epsilon or config.norm is None
        seen += 1
    assert seen > 20


def test_a_deep_graph_of_formulas_is_read(path):
    config = jaxmlp.MLPConfig(
        in_features=2, hidden_features=(2,) * 300, out_features=2, activation="gelu_exact"
    )
    to_onnx(path, config, params_of(config, 0), opset=13)
    without_metadata(path)
    assert from_onnx(path)[0].hidden_features == (2,) * 300


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_ensembles_come_back_bit_for_bit(path, dtype):
    config = jaxmlp.MLPConfig(
        in_features=3, hidden_features=(4, 4), out_features=2, activation=("glu", "mish"),
        norm="layer", param_dtype=dtype, kernel_init="he_normal", hidden_gain=2.0,
    )  # fmt: skip
    networks = [params_of(config, seed, standardised=True) for seed in range(3)]
    members = jax.tree.map(lambda *arrays: np.stack(arrays), *networks)
    to_onnx(path, config, members)
    found, params = from_onnx(path)
    assert found == config
    assert_same(params, members)


CONFIG = jaxmlp.MLPConfig(in_features=3, hidden_features=(4, 4), out_features=2, dropout_rate=0.1)
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_metadata_of_another_network_are_not_believed(path):
    to_onnx(path, CONFIG, params_of(CONFIG, 0))
    model = onnx.load(path)
    other = dataclasses.replace(CONFIG, activation="tanh")
    model.metadata_props[0].value = other.to_json()
    onnx.save(model, path)
    assert from_onnx(path)[0].activation == "relu"


def test_a_graph_that_was_changed_gives_what_it_computes(path):
    to_onnx(path, CONFIG, params_of(CONFIG, 0))
    model = onnx.load(path)
    model.graph.node[2].op_type = "Sigmoid"
    onnx.save(model, path)
    config, params = from_onnx(path)
    assert config.activation == ("sigmoid", "relu")
    (wanted,) = by_reference(path.read_bytes(), X).values()
    got = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)


def test_weights_that_were_changed_come_back_as_they_are(path):
    to_onnx(path, CONFIG, params_of(CONFIG, 0))
    model = onnx.load(path)
    tensor = next(each for each in model.graph.initializer if each.name == "output.kernel")
    tensor.raw_data = np.arange(8, dtype=np.float32).tobytes()
    onnx.save(model, path)
    config, params = from_onnx(path)
    assert config == CONFIG
    np.testing.assert_array_equal(params.output.kernel, np.arange(8).reshape(4, 2))


def test_an_ensemble_that_was_changed_is_refused(path):
    members = jax.tree.map(lambda a: np.stack([a, a]), params_of(CONFIG, 0))
    to_onnx(path, CONFIG, members)
    without_metadata(path)
    with pytest.raises(ValueError, match=r"must have one output .* got 'mean', 'deviation'. Take"):
        from_onnx(path)


def test_without_64_bit_types_an_own_file_of_them_is_refused(path):
    config = dataclasses.replace(CONFIG, param_dtype="float64")
    to_onnx(path, config, params_of(config, 0))
    with jax.enable_x64(False), pytest.raises(ValueError, match="requires 64-bit JAX types"):
        from_onnx(path)
