"""Networks that skl2onnx and Keras wrote come in with equal outputs."""

import importlib.util
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import skl2onnx
from onnx_runs import by_reference
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxmlp
from jaxmlp.interchange import from_onnx

# What is trained for a few epochs has not converged.
pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer"),
]
DATA = Path(__file__).parents[1] / "data"
X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
CLASSES = np.array(["ape", "bee", "cow"])[np.digitize(X[:, 0], [-0.5, 0.5])]
# Sums of up to five terms in two layers.
BOUND = 16 * float(np.finfo(np.float32).eps)


def imported(estimator, path, x=X, **settings):
    path.write_bytes(skl2onnx.to_onnx(estimator, x[:1], **settings).SerializeToString())
    config, params = from_onnx(path)
    return config, params, np.asarray(jaxmlp.apply(params, x, config=config))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.onnx"


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_a_regressor_comes_in_bit_for_bit(path, activation):
    estimator = MLPRegressor(
        hidden_layer_sizes=(5, 4), activation=activation, max_iter=5, random_state=0
    ).fit(X, X[:, 0])
    config, params, got = imported(estimator, path)
    assert config.activation == activation.replace("logistic", "sigmoid")
    np.testing.assert_array_equal(params.hidden[0].kernel, estimator.coefs_[0])
    np.testing.assert_allclose(got[:, 0], estimator.predict(X), rtol=BOUND, atol=BOUND)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_comes_in_with_its_probabilities(path, zipmap):
    estimator = MLPClassifier(hidden_layer_sizes=(5,), max_iter=5, random_state=0).fit(X, CLASSES)
    config, _, got = imported(estimator, path, options={"zipmap": zipmap})
    assert config.output_activation == "softmax"
    np.testing.assert_allclose(got, estimator.predict_proba(X), rtol=BOUND, atol=BOUND)


def test_of_two_classes_the_second_one_s_probability_comes_in(path):
    labels = (X[:, 0] > 0).astype(int)
    estimator = MLPClassifier(hidden_layer_sizes=(5,), max_iter=5, random_state=0).fit(X, labels)
    config, _, got = imported(estimator, path)
    assert (config.out_features, config.output_activation) == (1, "sigmoid")
    wanted = estimator.predict_proba(X)[:, 1]
    np.testing.assert_allclose(got[:, 0], wanted, rtol=BOUND, atol=BOUND)


def test_a_scaler_in_float64_becomes_the_standardisation(path):
    wide = X.astype(np.float64)
    network = MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network).fit(wide, wide[:, 0])
    _, params, got = imported(pipeline, path, wide)
    np.testing.assert_array_equal(params.standardization.scale, pipeline[0].scale_)
    np.testing.assert_allclose(got[:, 0], pipeline.predict(wide), rtol=1e-14, atol=1e-14)


def test_a_scaler_that_multiplies_is_not_approximated(path):
    network = MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network).fit(X, X[:, 0])
    message = r"'Scaler' \(Scaler\) must divide by the deviations.*rounded.*with_standardization"
    with pytest.raises(ValueError, match=message):
        imported(pipeline, path)


def test_a_network_of_keras_comes_in(path):
    """Written by Keras 3.15.1 with its JAX backend and jax2onnx 0.17.1, after two epochs."""
    shutil.copy(DATA / "keras_jax.onnx", path)
    config, params = from_onnx(path)
    x = np.random.default_rng(1).normal(2, 2, size=(6, 3)).astype(np.float32)
    (wanted,) = by_reference(path.read_bytes(), x).values()
    got = jaxmlp.apply(params, x, config=config)
    # Fourteen layers of up to four terms.
    np.testing.assert_allclose(got, wanted, rtol=64 * BOUND, atol=BOUND)
    np.testing.assert_array_equal(params.standardization.scale, np.float32([2, np.sqrt(2), 3]))
    assert config.activation == (
        *("gelu_exact", "silu", "relu", "softplus", "elu", "hard_sigmoid", "mish", "selu"),
        *("soft_sign", "log_sigmoid", "relu6", "hard_silu", "tanh"),
    )


_KERAS = """
    import numpy, keras
    from keras import layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((3,)), layers.Dense(4, activation="gelu"), layers.Dropout(0.1),
        layers.Dense(4), layers.Activation("silu"), layers.Dense(2, activation="softmax"),
    ])
    x = numpy.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    model.compile("adam", "categorical_crossentropy")
    model.fit(x, numpy.eye(2)[(x[:, 0] > 0).astype(int)], epochs=2, verbose=0)
    model.export("network.onnx", format="onnx", verbose=False)
    numpy.save("outputs.npy", model.predict(x, verbose=0))
"""


@pytest.mark.long
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("keras", "torch"))), reason="Keras or PyTorch is missing"
)
def test_a_network_that_keras_trains_on_torch_comes_in(path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    script = [sys.executable, "-c", textwrap.dedent(_KERAS)]
    subprocess.run(script, cwd=path.parent, check=True, capture_output=True)
    config, params = from_onnx(path)
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    wanted = np.load(path.parent / "outputs.npy")
    got = jaxmlp.apply(params, x, config=config)
    np.testing.assert_allclose(got, wanted, rtol=BOUND, atol=BOUND)
    assert config.activation == ("gelu_exact", "silu")
