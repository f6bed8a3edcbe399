"""Networks go to Keras and come back bit for bit, and those trained there come in exactly."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import keras
import numpy as np
import pytest
from equal_networks import assert_comes_back, assert_same_params, digits
from network_family import Network, params_of

import jaxmlp
from jaxmlp.interchange import from_keras, to_keras

# Keras counts in 64-bit integers while it asks for shapes, of which JAX 0.12 warns.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")
layers = keras.layers
HERE = Path(__file__).parent
RESIDUAL = jaxmlp.MLPConfig(
    in_features=64, hidden_features=(8, 8, 8), out_features=10, residual=True, norm="rms",
    activation=("geglu", "gelu", "leaky_relu"), dropout_rate=0.25, norm_epsilon=1e-3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "count"), [((0, 150), 80), pytest.param((150, 600), 267, marks=pytest.mark.slow)]
)
def test_networks_compute_the_same_and_come_back_bit_for_bit(numbers, count):
    """Under Keras' NumPy backend, since JAX would compile each layer of each network."""
    paths = [str(HERE), str(HERE.parent), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "numpy",
        "JAX_ENABLE_X64": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    script = [sys.executable, HERE / "keras_family.py", *map(str, numbers)]
    run = subprocess.run(script, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) == count


def assert_equal_outputs(model, **settings):
    """The model that comes in has the outputs that it has in Keras, to float32's rounding."""
    config, params = from_keras(model, **settings)
    x, _ = digits()
    got = jaxmlp.apply(params, x, config=config)
    np.testing.assert_allclose(got, np.asarray(model(x)), rtol=1e-4, atol=1e-5)
    return config, params


def train(model):
    """An epoch of Adam on digits, after which no weight is as it was drawn."""
    logits = getattr(model.layers[-1], "activation", None) is not keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(*digits(), batch_size=50, epochs=1, verbose=0)
    return model


def chain(*hidden, out=None, **settings):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((64,)), *hidden, out or layers.Dense(10, "softmax", **settings)]
    )


def test_a_network_goes_on_training_there_and_comes_back():
    params = params_of(RESIDUAL, 0, standardised=True)
    model = to_keras(RESIDUAL, params)
    assert_comes_back(from_keras(model), Network(0, RESIDUAL, params, None))
    statistics = params.standardization
    _, trained = assert_equal_outputs(train(model))
    assert not np.array_equal(trained.output.kernel, params.output.kernel)
    assert_same_params(trained.standardization, statistics)


# Keras' own arrays, as it writes them.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_file_of_keras_brings_it_back(tmp_path):
    params = params_of(RESIDUAL, 1, standardised=True)
    to_keras(RESIDUAL, params).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert_comes_back(from_keras(model), Network(0, RESIDUAL, params, None))


def test_without_what_keras_lacks_it_is_a_sequential_of_its_layers():
    config = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=1, norm="layer")
    model = to_keras(config, params_of(config, 0))
    assert type(model) is keras.Sequential
    kinds = ["Dense", "LayerNormalization", "Activation", "Dense"]
    assert [type(each).__name__ for each in model.layers] == kinds


def test_neither_side_shares_memory_with_the_other():
    config = jaxmlp.MLPConfig(in_features=1, hidden_features=(3,), out_features=1)
    drawn = params_of(config, 0)
    model = to_keras(config, drawn)
    _, params = from_keras(model)
    before = jax.tree.map(np.array, params)
    for variable in model.variables:
        variable.assign(np.full(variable.shape, 7.0))
    assert_same_params(params, before)
    assert_same_params(from_keras(to_keras(config, drawn))[1], drawn)


def test_activations_within_dense_layers_come_in():
    model = chain(
        layers.Dense(16, "gelu"),
        layers.Dense(16, activation="selu"),
        layers.Dropout(0.0),
        layers.Dense(8, keras.activations.hard_silu),
    )
    config, _ = assert_equal_outputs(train(model))
    assert config.activation == ("gelu_exact", "selu", "hard_silu")
    assert config.output_activation == "softmax"


def test_norms_and_dropouts_come_in_with_the_epsilons_of_keras():
    hidden = [
        each
        for _ in range(2)
        for each in (
            layers.Dense(16, use_bias=False),
            layers.LayerNormalization(),
            layers.ReLU(),
            layers.Dropout(0.2),
        )
    ]
    config, _ = assert_equal_outputs(train(chain(*hidden)))
    assert (config.norm, config.norm_epsilon, config.dropout_rate) == ("layer", 1e-3, 0.2)


def test_rms_norms_and_leaky_layers_come_in():
    model = chain(layers.Dense(16), layers.RMSNormalization(), layers.LeakyReLU(0.01))
    config, _ = assert_equal_outputs(train(model))
    assert (config.norm, config.norm_epsilon, config.activation) == ("rms", 1e-6, "leaky_relu")


def test_norms_without_scale_or_shift_come_in():
    model = chain(layers.Dense(16), layers.LayerNormalization(scale=False, center=False))
    assert_equal_outputs(train(model))


def test_an_adapted_normalization_becomes_the_standardisation():
    x, _ = digits()
    normalization = layers.Normalization()
    # Pixels that are always 0 have the smallest scale that Keras has.
    normalization.adapt(x)
    model = train(chain(normalization, layers.Dense(8, "tanh")))
    config, params = assert_equal_outputs(model)
    assert config.hidden_features == (8,)
    assert float(params.standardization.scale.min()) == np.float32(1e-7)


def test_skips_of_a_functional_model_come_in():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,))
    h = layers.Dense(12, "relu")(inputs)
    h = layers.Add()([layers.Dense(12, "relu")(h), h])
    h = h + layers.Dense(12, "relu")(h)
    config, _ = assert_equal_outputs(train(keras.Model(inputs, layers.Dense(10, "softmax")(h))))
    assert config.residual
    assert config.hidden_features == (12, 12, 12)


def test_models_within_models_come_in():
    keras.utils.set_random_seed(0)
    block = keras.Sequential([keras.Input((64,)), layers.Dense(12, "relu"), layers.Identity()])
    inputs = keras.Input((64,))
    body = keras.Model(inputs, layers.Dense(6, "tanh")(block(layers.Flatten()(inputs))))
    config, _ = assert_equal_outputs(train(chain(body)))
    assert config.activation == ("relu", "tanh")


def test_mixed_precision_comes_in():
    model = chain(
        layers.Dense(12, "relu", dtype="mixed_bfloat16"),
        layers.Dense(10, dtype="mixed_bfloat16"),
        out=layers.Activation("softmax", dtype="float32"),
    )
    config, params = from_keras(train(model))
    assert (config.param_dtype, config.compute_dtype) == ("float32", "bfloat16")
    x, _ = digits()
    got = jaxmlp.apply(params, x, config=config)
    # Logits of up to 8 in numbers of 8 bits.
    np.testing.assert_allclose(got, np.asarray(model(x)), atol=0.05)
