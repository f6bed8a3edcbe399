"""Models of Keras' that are no network here are refused by layer, with what could be done."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from network_family import params_of

import jaxmlp
from jaxmlp.interchange import from_keras, to_keras

layers = keras.layers


def chain(*hidden):
    return keras.Sequential([keras.Input((3,)), layers.Dense(4), *hidden, layers.Dense(2)])


def functional(make, width=4):
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(2)(make(layers.Dense(width)(inputs))))


def used_twice():
    layer = layers.Dense(4, name="twice")
    return chain(layer, layer)


def two_inputs():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    return keras.Model(inputs, layers.Add()(inputs))


def adapted_to_rows(**settings):
    normalization = layers.Normalization(**settings)
    return keras.Sequential([keras.Input((3,)), normalization, layers.Dense(2)])


class Own(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def own():
    model = Own()
    model(np.zeros((1, 3), np.float32))
    return model


class DoubledCall(layers.Dense):
    def __call__(self, *arguments, **settings):
        return 2 * super().__call__(*arguments, **settings)


def of_images(layer):
    """A chain over rows of two axes, whose last one Keras' dense layers act on."""
    return keras.Sequential([keras.Input((3, 3)), layers.Dense(3), layer, layers.Dense(2)])


def with_lora():
    model = chain()
    model.layers[0].enable_lora(1)
    return model


CASES = {
    "batch norm": (
        lambda: chain(layers.BatchNormalization(name="norm")),
        "layer 'norm' must be one that a network .*got a BatchNormalization. In predictions",
    ),
    "a slope": (
        lambda: chain(layers.LeakyReLU(name="leaky")),
        r"layer 'leaky' must have negative_slope = \(0.01,\); got \(0.3.*as a jaxmlp.Activation",
    ),
    "the slope of its function": (
        lambda: chain(layers.Activation("leaky_relu", name="leaky")),
        "layer 'leaky' must have an activation of .*got leaky_relu, whose slope is 0.2",
    ),
    "a function": (
        lambda: chain(layers.Dense(4, lambda z: z * z, name="square")),
        r"layer 'square' must have an activation of \['celu', .*got <lambda>\. Put such a one",
    ),
    "another activation": (
        lambda: chain(layers.PReLU(name="prelu")), "layer 'prelu' must be one .* got a PReLU"
    ),
    "a cut": (
        lambda: chain(layers.ReLU(max_value=1.0)),
        r"must have max_value, negative_slope, threshold = \(None, 0, 0\) or \(6, 0, 0\)",
    ),
    "an alpha": (lambda: chain(layers.ELU(0.5)), r"must have alpha = \(1,\); got \(0.5,\)"),
    "softmax within": (lambda: chain(layers.Softmax(name="max")), r"\(layer 'max'\).*'softmax'"),
    "scaled rows": (
        lambda: keras.Sequential([keras.Input((3,)), layers.Rescaling(1 / 255), layers.Dense(2)]),
        "got a Rescaling. Scale rows before the network, or by a Normalization",
    ),
    "inverted": (lambda: adapted_to_rows(mean=1.0, variance=4.0, invert=True), "invert=True"),
    "all axes": (
        lambda: adapted_to_rows(axis=None, mean=1.0, variance=4.0),
        "must act over the features of a row",
    ),
    "kept together": (
        lambda: chain(layers.Dropout(0.5, noise_shape=(None, 1), name="drop")),
        r"layer 'drop' must drop units apart; got noise_shape=\(None, 1\)",
    ),
    "a dropout of outputs": (
        lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dropout(0.5)]),
        r"operation \d+ \(layer 'dropout.*Give dropout_rate=",
    ),
    "another noise": (lambda: chain(layers.GaussianDropout(0.5)), "got a GaussianDropout"),
    "float64": (
        lambda: chain(layers.Dense(4, dtype="float64", name="wide")),
        "layer 'wide' must have no 64-bit type; got dtype='float64'. Parts of Keras round",
    ),
    "a rounded scale": (
        lambda: chain(layers.RMSNormalization(dtype="mixed_bfloat16", name="norm")),
        "layer 'norm' must not round its scale; got mixed_bfloat16. Give it dtype='float32'",
    ),
    "types between layers": (
        lambda: chain(layers.Dense(4, dtype="mixed_bfloat16", name="half")),
        r"operation \d \(layer 'half'\), a cast to bfloat16, must stand before the first",
    ),
    "a layer used twice": (used_twice, "layer 'twice' must be used once; got it used again. Give"),
    "two inputs": (two_inputs, "must have one input and one output; got 2 and 1"),
    "two branches": (
        lambda: functional(lambda h: layers.Concatenate(name="both")([h, layers.Dense(4)(h)])),
        "layer 'both' must be one .*got a Concatenate of 2 inputs. Import",
    ),
    "two branches added": (
        lambda: functional(lambda h: layers.Add()([layers.Dense(4)(h), layers.Dense(4)(h)])),
        "a sum must add the input of a layer to what it computes; got another",
    ),
    "a function of numbers": (
        lambda: functional(keras.ops.relu),
        "must be a layer; got the operation Relu. Use the layer, not the function",
    ),
    "a call of the user's": (
        lambda: chain(DoubledCall(4, name="twice")),
        "layer 'twice' must compute what its call does; got a __call__ of its own",
    ),
    "an axis before the last": (
        lambda: of_images(layers.LayerNormalization(axis=1, name="norm")),
        r"layer 'norm' must act over the features of a row; got axis=\[1\]. Give axis=-1",
    ),
    "a softmax before the last axis": (
        lambda: of_images(layers.Softmax(axis=1, name="max")),
        r"layer 'max' must have axis = \(-1,\) or \(2,\); got \(1,\)",
    ),
    "a model of the user's": (own, r"model 'own' must be a keras.Sequential or a f.*got a Own"),
    "not built": (
        lambda: keras.Sequential([layers.Dense(3)], name="empty"),
        r"model 'empty' must be built; got one without weights yet. Begin it with keras.Input",
    ),
    "low ranks": (with_lora, "must have plain weights; got lora. Merge"),
    "a convolution": (
        lambda: keras.Sequential([keras.Input((3, 1)), layers.Conv1D(1, 1, name="c")]),
        "layer 'c' must be one that .*got a Conv1D. Import what is before and after it apart",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_layer(name):
    make, message = CASES[name]
    with pytest.raises(ValueError, match=message):
        from_keras(make())


@pytest.mark.bad_input
def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"model must be a keras.Model; got a str.*load_model"):
        from_keras("model.keras")


def test_a_dropout_rate_that_is_given_replaces_those_read():
    model = chain(layers.Dropout(0.5), layers.Dense(4), layers.Dropout(0.1))
    with pytest.raises(ValueError, match="Give dropout_rate="):
        from_keras(model)
    assert from_keras(model, dropout_rate=0.3)[0].dropout_rate == 0.3


TYPES = {
    ("float32", "float64"): "must have no 64-bit type for Keras, which rounds.*Convert",
    ("bfloat16", "float32"): "compute in the type of its parameters, or in 16 bits .* for Keras",
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("types", TYPES)
def test_types_that_keras_has_not_are_refused(types):
    config = jaxmlp.MLPConfig(
        in_features=2, out_features=1, param_dtype=types[0], compute_dtype=types[1]
    )
    with pytest.raises(ValueError, match=TYPES[types]):
        to_keras(config, params_of(config, 0))


@pytest.mark.parametrize("factor", [1e-8, -1, 1e20])
def test_scales_that_keras_would_change_are_refused(factor):
    config = jaxmlp.MLPConfig(in_features=2, out_features=1)
    params = params_of(config, 0, standardised=True)
    statistics = params.standardization
    params = params._replace(standardization=statistics._replace(scale=factor * statistics.scale))
    message = r"scale must be from 1e-07 to 1.8e\+19 in Keras; got .*Standardise rows before"
    with pytest.raises(ValueError, match=message):
        to_keras(config, params)


@pytest.mark.parametrize("missing", ["keras", "tensorflow"])
def test_a_missing_package_is_named_with_its_extra(missing):
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from jaxmlp.interchange import from_keras\n"
        "try: from_keras(None)\n"
        "except ImportError as error: print(error, *error.__notes__)\n"
    )
    # By default Keras asks for TensorFlow.
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "pip install 'jaxmlp[keras]'. Keras runs on one of several libraries" in run.stdout
    assert "os.environ['KERAS_BACKEND'] = 'jax'" in run.stdout
