"""Networks become fitted estimators of scikit-learn's and come back, and fitted ones come in."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_family import params_of
from sklearn.datasets import load_digits, load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxmlp
import jaxmlp.sklearn
from jaxmlp.interchange import from_sklearn, to_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X, Y = X[:300].astype(np.float32) / 16, Y[:300]
DEPTHS = ((), (5,), (4, 3, 6))
ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid")
# Outputs, their function, and classes or none of them.
OUTPUTS = {
    "regression": (2, None, None),
    "one number": (1, "identity", None),
    "classes": (3, "softmax", ["a", "b", "c"]),
    "classes from logits": (3, None, [1, 5, 9]),
    "two classes": (1, "sigmoid", [False, True]),
    "two classes from logits": (1, None, ["no", "yes"]),
    "labels": (2, "sigmoid", range(2)),
}


def networks():
    for number, (widths, activation, kind, dtype) in enumerate(
        itertools.product(DEPTHS, ACTIVATIONS, OUTPUTS, ("float32", "float64"))
    ):
        outputs, function, classes = OUTPUTS[kind]
        config = jaxmlp.MLPConfig(
            in_features=4, hidden_features=widths, out_features=outputs, activation=activation,
            output_activation=function, param_dtype=dtype, use_bias=number % 3 > 0,
        )  # fmt: skip
        yield config, params_of(config, number, standardised=number % 5 == 0), classes


def same(got, wanted):
    return (np.asarray(got).dtype, np.asarray(got).tobytes()) == (wanted.dtype, wanted.tobytes())


@pytest.mark.usefixtures("x64")
def test_networks_compute_the_same_and_come_back_bit_for_bit():
    rows = np.random.default_rng(0).normal(size=(6, 4))
    for config, params, classes in networks():
        x = rows.astype(config.param_dtype)
        estimator = to_sklearn(config, params, classes=classes)
        outputs = jaxmlp.apply(jax.tree.map(jnp.asarray, params), x, config=config)
        wanted = np.asarray(outputs, np.float64)
        # Some ten roundings of numbers around 1.
        tolerance = 64 * float(np.finfo(config.param_dtype).eps)
        if classes is None:
            got = np.reshape(estimator.predict(x), wanted.shape)
        else:
            got = estimator.predict_proba(x)
            if wanted.shape[1] == 1:
                got = got[:, 1:]
            if config.output_activation is None:
                usual = jax.nn.sigmoid if wanted.shape[1] == 1 else jax.nn.softmax
                wanted = usual(wanted)
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
        found, back = from_sklearn(estimator)
        assert found.activation == (config.activation if config.hidden_features else "relu")
        for a, b in zip((*params.hidden, params.output), (*back.hidden, back.output), strict=True):
            assert same(b.kernel, a.kernel)
            assert same(b.bias, np.zeros_like(a.kernel[0]) if a.bias is None else a.bias)
        if params.standardization is not None:
            assert all(map(same, back.standardization, params.standardization))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "logistic"])
def test_classifiers_that_scikit_learn_trained_have_equal_outputs(activation, solver, dtype):
    x = X.astype(dtype)
    model = MLPClassifier((8, 8), activation=activation, solver=solver, max_iter=5, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model).fit(x, Y)
    config, params = from_sklearn(pipeline)
    # SciPy's L-BFGS has float64 for all.
    assert config.param_dtype == ("float64" if solver == "lbfgs" else dtype)
    got = jaxmlp.apply(params, x, config=config)
    # float32: sums of 64 terms, through three layers.
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]
    np.testing.assert_allclose(got, pipeline.predict_proba(x), rtol=tolerance, atol=tolerance)


def test_two_classes_have_one_output():
    model = MLPClassifier((4,), max_iter=5, random_state=0).fit(X, Y > 4)
    config, params = from_sklearn(model)
    assert (config.out_features, config.output_activation) == (1, "sigmoid")
    got = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(got[:, 0], model.predict_proba(X)[:, 1], rtol=1e-5)


def test_several_labels_come_in():
    labels = np.stack([Y > 4, Y % 2 == 0, Y == 3], axis=1).astype(int)
    model = MLPClassifier((4,), max_iter=5, random_state=0).fit(X, labels)
    config, params = from_sklearn(model)
    got = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(got, model.predict_proba(X), rtol=1e-5)
    again = to_sklearn(config, params, classes=range(3))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize(
    "scaler", [StandardScaler(with_mean=False), StandardScaler(with_std=False)]
)
def test_half_a_scaler_is_one(scaler):
    pipeline = make_pipeline(
        "passthrough", scaler, MLPRegressor(hidden_layer_sizes=(4,), max_iter=5)
    ).fit(X, Y)
    config, params = from_sklearn(pipeline)
    got = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(np.ravel(got), pipeline.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("again", ["partial_fit", "fit"])
def test_training_goes_on_there_as_that_of_a_fitted_one(again):
    fitted = MLPClassifier((8,), max_iter=20, random_state=0).fit(X, Y)
    other = to_sklearn(*from_sklearn(fitted), classes=fitted.classes_)
    np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
    before = other.score(X, Y)
    other.set_params(warm_start=True, max_iter=20, random_state=1)
    getattr(other, again)(X, Y)
    assert other.score(X, Y) >= before
    # Adam starts anew, and all else is as in an estimator with these weights.
    anew = MLPClassifier((8,), warm_start=True, max_iter=20, random_state=0).fit(X, Y)
    del anew._optimizer
    anew.set_params(random_state=1)
    getattr(anew, again)(X, Y)
    np.testing.assert_array_equal(other.coefs_[0], anew.coefs_[0])


def test_attributes_are_those_of_a_fitted_one():
    fitted = MLPClassifier((8,), max_iter=2, random_state=0).fit(X, Y)
    made = to_sklearn(*from_sklearn(fitted), classes=fitted.classes_)
    missing = set(vars(fitted)) - set(vars(made))
    # What the first step makes.
    assert missing == {"_optimizer", "_random_state", "loss_"}


def test_weights_are_copies():
    fitted = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, Y)
    config, params = from_sklearn(fitted)
    made = to_sklearn(config, params)
    kept = np.array(params.output.bias)
    fitted.intercepts_[-1][:] = made.intercepts_[-1][:] = 7
    np.testing.assert_array_equal(params.output.bias, kept)


@pytest.mark.parametrize("settings", [{}, {"norm": "rms", "residual": True, "activation": "geglu"}])
def test_our_own_classifier_comes_in(settings):
    x, y = load_iris(return_X_y=True)
    model = jaxmlp.sklearn.MLPClassifier(
        (6, 6), preset="sklearn", max_iter=5, calibrate=True, early_stopping=True, random_state=0,
        dropout=0.1, **settings,
    )  # fmt: skip
    model.fit(x.astype(np.float32), y)
    assert model.temperature_ != 1
    config, params = from_sklearn(model)
    assert config.dropout_rate == 0.1
    got = jaxmlp.apply(params, x.astype(np.float32), config=config)
    np.testing.assert_allclose(got, model.predict_proba(x), rtol=1e-5, atol=1e-6)


def test_our_own_regressor_comes_in():
    model = jaxmlp.sklearn.MLPRegressor(
        hidden_layer_sizes=(6,), preset="sklearn", max_iter=5, loss="huber"
    )
    model.fit(X, Y)
    config, params = from_sklearn(model)
    got = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(np.ravel(got), model.predict(X), rtol=1e-5, atol=1e-5)
