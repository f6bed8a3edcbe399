"""What an ONNX file of ours says: names, types, operators, metadata; and what is refused."""

import dataclasses
import importlib
import json

import jax
import numpy as np
import onnx
import pytest
from network_family import params_of

import jaxmlp
from jaxmlp.interchange import from_onnx, to_onnx
from jaxmlp.interchange.onnx import models
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS

CONFIG = jaxmlp.MLPConfig(in_features=3, hidden_features=(4, 4), out_features=2)
PARAMS = params_of(CONFIG, 0)


def model_of(path, config=CONFIG, params=None, **settings):
    to_onnx(path, config, params_of(config, 0) if params is None else params, **settings)
    return onnx.load(path)


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.onnx"


@pytest.mark.parametrize("opset", range(13, 26))
def test_every_opset_is_written_and_valid(path, opset):
    config = dataclasses.replace(CONFIG, norm="layer", activation="gelu", residual=True)
    model = model_of(path, config, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", opset)]
    assert ("LayerNormalization" in operators(model)) == (opset >= 17)
    assert ("Gelu" in operators(model)) == (opset >= 20)


@pytest.mark.parametrize(
    ("activation", "name"),
    [(None, "logits"), ("softmax", "probabilities"), ("sigmoid", "probabilities"),
     ("tanh", "outputs")],
)  # fmt: skip
def test_input_and_output_have_names_and_a_batch_axis_of_any_length(path, activation, name):
    graph = model_of(path, dataclasses.replace(CONFIG, output_activation=activation)).graph
    shapes = {
        each.name: [axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim]
        for each in (*graph.input, *graph.output)
    }
    assert shapes == {"x": ["batch", 3], name: ["batch", 2]}


def test_kernels_stay_as_they_are_and_rows_may_have_several_axes(path):
    model = model_of(path)
    assert operators(model) == ["MatMul", "Add", "Relu", "MatMul", "Add", "Relu", "MatMul", "Add"]
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    np.testing.assert_array_equal(arrays["hidden.1.kernel"], PARAMS.hidden[1].kernel)
    np.testing.assert_array_equal(arrays["output.bias"], PARAMS.output.bias)


def test_settings_of_operators_are_always_written(path):
    names = ("leaky_relu", "elu", "selu", "hard_sigmoid", "celu")
    config = dataclasses.replace(CONFIG, hidden_features=(4,) * 5, activation=names)
    settings = {
        node.op_type: {each.name for each in node.attribute}
        for node in model_of(path, config).graph.node
    }
    assert settings["LeakyRelu"] == settings["Elu"] == {"alpha"}
    assert (settings["Selu"], settings["HardSigmoid"]) == ({"alpha", "gamma"}, {"alpha", "beta"})


@pytest.mark.usefixtures("x64")
def test_float64_has_no_attribute_of_float32(path):
    for name in ELEMENTWISE_ACTIVATIONS:
        config = dataclasses.replace(CONFIG, activation=name, norm="layer", param_dtype="float64")
        for node in model_of(path, config, opset=25).graph.node:
            assert not any(each.type == onnx.AttributeProto.FLOAT for each in node.attribute)


def test_an_epsilon_beyond_float32_is_infinite_as_in_jax(path):
    config = dataclasses.replace(CONFIG, norm="rms", norm_epsilon=1e300)
    constants = {each.name: each for each in model_of(path, config).graph.initializer}
    assert onnx.numpy_helper.to_array(constants["constants/float32/1e+300"]) == np.inf


def test_the_epsilon_of_norms_is_written(path):
    config = dataclasses.replace(CONFIG, norm="layer", norm_epsilon=1e-3)
    node = next(n for n in model_of(path, config).graph.node if n.op_type == "LayerNormalization")
    settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    assert settings == {"axis": -1, "epsilon": np.float32(1e-3), "stash_type": 1}


def test_standardisation_subtracts_and_then_divides(path):
    params = params_of(CONFIG, 0, standardised=True)
    assert operators(model_of(path, params=params))[:2] == ["Sub", "Div"]


def test_metadata_tell_producer_and_config(path):
    model = model_of(path)
    assert (model.producer_name, model.producer_version) == ("jaxmlp", jaxmlp.__version__)
    stored = {each.key: each.value for each in model.metadata_props}
    assert json.loads(stored["jaxmlp.config"]) == json.loads(CONFIG.to_json())


def test_equal_networks_give_equal_bytes(path):
    to_onnx(path, CONFIG, PARAMS)
    first = path.read_bytes()
    to_onnx(path, CONFIG, jax.tree.map(np.copy, PARAMS))
    assert path.read_bytes() == first


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_type_that_is_given_rounds_the_parameters(path, dtype):
    config = dataclasses.replace(CONFIG, norm="rms", compute_dtype="bfloat16")
    params = params_of(config, 0, standardised=True)
    with jax.enable_x64(True):
        to_onnx(path, config, params, dtype=dtype)
        found, got = from_onnx(path)
    assert (found.param_dtype, found.compute_dtype) == (dtype, None)
    np.testing.assert_array_equal(got.output.kernel, params.output.kernel.astype(dtype))
    assert got.standardization.mean.dtype == np.promote_types(dtype, np.float32)


def test_bfloat16_is_written_as_float32(path):
    config = dataclasses.replace(CONFIG, param_dtype="bfloat16")
    graph = model_of(path, config).graph
    types = {each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)}
    types |= {each.data_type for each in graph.initializer}
    assert types == {onnx.TensorProto.FLOAT}


def test_a_file_that_was_there_stays_when_the_network_is_refused(path):
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="params must be those of config"):
        to_onnx(path, dataclasses.replace(CONFIG, in_features=2), PARAMS)
    assert path.read_bytes() == b"old"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"opset": 12}, ValueError, "opset must be an int of at least 13 and below 26; got 12"),
        ({"opset": 26}, ValueError, "opset must be an int of at least 13 and below 26; got 26"),
        ({"opset": 18.0}, TypeError, "opset must be an int"),
        ({"dtype": "bfloat16"}, ValueError, "dtype must be one of 'float16', 'float32', 'float64'"),
        ({"dtype": np.float32}, TypeError, "dtype must be a name"),
        ({"path": 3}, TypeError, "path must be a path"),
        ({"config": {}}, TypeError, "MLPConfig"),
        ({"params": {}}, TypeError, r"params must be the jaxmlp\.Params of config; got a dict"),
    ],
)
def test_wrong_arguments_are_named(path, settings, error, message):
    arguments = {"path": path, "config": CONFIG, "params": PARAMS} | settings
    with pytest.raises(error, match=message):
        to_onnx(**arguments)
    assert not path.exists()


def test_a_function_of_the_user_s_own_is_refused(path):
    config = dataclasses.replace(CONFIG, activation=jaxmlp.Activation("snake", jax.numpy.sin))
    with pytest.raises(ValueError, match="activation 'snake' is a function of your own"):
        to_onnx(path, config, PARAMS)


def test_what_one_file_cannot_hold_is_refused(path, monkeypatch):
    monkeypatch.setattr(models, "MAX_BYTES", 1 << 20)
    with pytest.raises(ValueError, match=r"params must have less than 2 GiB.*float16"):
        to_onnx(path, CONFIG, PARAMS)


@pytest.mark.parametrize("function", ["to_onnx", "from_onnx"])
def test_without_onnx_the_extra_is_named(path, monkeypatch, function):
    def missing(name):
        raise ImportError(name)

    to_onnx(path, CONFIG, PARAMS)
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=rf"{function} needs onnx.*pip install 'jaxmlp\[onnx\]'"):
        {"to_onnx": lambda: to_onnx(path, CONFIG, PARAMS), "from_onnx": lambda: from_onnx(path)}[
            function
        ]()
