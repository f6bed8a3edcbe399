"""Networks and estimators without an equal are refused by name, with what could be done."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from network_family import family, params_of
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxmlp
import jaxmlp.sklearn
from jaxmlp.interchange import from_sklearn, to_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid")


@pytest.mark.usefixtures("x64")
def test_networks_that_scikit_learn_has_not_are_refused():
    for net in family(dtypes=("float32",), stop=120):
        config = net.config
        has = {*config.hidden_activations} <= {*ACTIVATIONS} and len(
            {*config.hidden_activations}
        ) < 2
        has = has and not (config.norm or config.residual or config.dropout_rate)
        has = (
            has and config.compute_dtype is None and config.output_activation in (None, "identity")
        )
        if not has:
            with pytest.raises(ValueError, match=r"scikit-learn|be None for a regressor"):
                to_sklearn(config, net.params)


def config_with(**settings):
    fields = {"in_features": 4, "hidden_features": (3, 3), "out_features": 1, **settings}
    return jaxmlp.MLPConfig(**fields)


OUT = {
    "a norm": ({"norm": "layer"}, None, "hidden layer 0 must be dense.*got Normalise.*to_torch"),
    "a gate": ({"activation": ("relu", "glu")}, None, "hidden layer 1 must be dense.* got Gate"),
    "a residual": ({"residual": True}, None, "hidden layer 0 must be dense.*got StartSkip"),
    "another activation": (
        {"activation": "gelu"}, None, r"hidden layer 0 must have .*\['identity', 'relu'.*'gelu'"
    ),
    "two activations": (
        {"activation": ("relu", "tanh")}, None, "hidden layer 1 must have the activation of all"
    ),
    "dropout": ({"dropout_rate": 0.5}, None, r"no dropout, which scikit-learn.*=0.5\. .*MLPConfig"),
    "another type": ({"param_dtype": "float16"}, None, "must have one type of float32.*Widen it"),
    "two types": ({"compute_dtype": "bfloat16"}, None, "compute_dtype='bfloat16'. Widen it"),
    "a function of numbers": ({"output_activation": "softplus"}, None, "regressor.*Give classes="),
    "a function of classes": ({"output_activation": "tanh"}, [0, 1], "be None or 'sigmoid' for a"),
    "softmax of one": ({"output_activation": "softmax"}, [0, 1], "be None or 'sigmoid'.*'softmax'"),
    "too few": ({"out_features": 3}, [0, 1], "classes must be 3 for 3 outputs; got 2. Give one"),
    "too many": ({}, [0, 1, 2], "classes must be 2 for 1 outputs; got 3"),
    "unsorted": ({"out_features": 3}, ["b", "a", "c"], r"sorted labels.*\['b', 'a', 'c'\]\. Sort"),
    "doubled": ({"out_features": 3}, [1, 1, 2], "classes must be sorted labels, each once"),
    "two outputs": ({"out_features": 2}, [0, 1], r"one output for two classes.*kernel\[:, 1:\] -"),
    "names of labels": (
        {"out_features": 2, "output_activation": "sigmoid"}, ["a", "b"], r"Give range\(out_features"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OUT)
def test_it_is_refused_with_what_could_be_done(name):
    settings, classes, message = OUT[name]
    config = config_with(**settings)
    with pytest.raises(ValueError, match=message):
        to_sklearn(config, params_of(config, 0), classes=classes)


def test_the_difference_of_two_logits_is_one_output():
    config = config_with(out_features=2)
    params = params_of(config, 0)
    one = params._replace(output=jax.tree.map(lambda a: a[..., 1:] - a[..., :1], params.output))
    made = to_sklearn(config_with(), one, classes=[0, 1])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    wanted = jax.nn.softmax(jaxmlp.apply(jax.tree.map(jnp.asarray, params), x, config=config))
    np.testing.assert_allclose(made.predict_proba(x), wanted, rtol=1e-5)


FITTED = MLPRegressor(hidden_layer_sizes=(2,), max_iter=1)
IN = {
    "not fitted": (MLPRegressor(), "estimator MLPRegressor must be fitted; .*Call fit first"),
    "a scaler that is not": (
        make_pipeline(StandardScaler(), FITTED), "step 'standardscaler' must be fitted"
    ),
    "another step": (
        make_pipeline(jaxmlp.sklearn.MLPRegressor(), FITTED),
        "step 'mlpregressor-1' must be a StandardScaler; got a MLPRegressor. Import the last",
    ),
    "two scalers": (
        make_pipeline(StandardScaler(), StandardScaler(), FITTED), "step 'standardscaler-1'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IN)
def test_estimators_that_are_none_of_ours_are_refused(name):
    estimator, message = IN[name]
    FITTED.fit(X, Y)
    if name == "two scalers":
        estimator.fit(X, Y)
        message = r"a standardisation, must come first"
    with pytest.raises(ValueError, match=message):
        from_sklearn(estimator)


class Doubled(MLPRegressor):
    def predict(self, X):
        return 2 * super().predict(X)


def test_a_subclass_that_predicts_something_else_is_refused():
    fitted = Doubled(hidden_layer_sizes=(3,), max_iter=2).fit(X, Y)
    message = "estimator Doubled must predict as an MLPRegressor; got a predict of its own. Copy"
    with pytest.raises(ValueError, match=message):
        from_sklearn(fitted)


def ours(kind="MLPRegressor", x=X, **settings):
    model = getattr(jaxmlp.sklearn, kind)(hidden_layer_sizes=(3,), max_iter=2, **settings)
    return model.fit(x, Y)


def as_if(model, **attributes):
    """The model with attributes that a longer fit would have set."""
    vars(model).update(attributes)
    return model


OWN = {
    "a recipe": (
        lambda: as_if(ours(preset="sklearn"), preset_="tabm"),
        "estimator MLPRegressor must have preset='sklearn', one network; got preset='tabm'. It",
    ),
    "a frame": (
        lambda: ours("MLPClassifier", pd.DataFrame({"a": Y, "b": Y.astype(str)}), solver="sgd"),
        "must be fitted to a matrix; got columns that it makes numbers of. Fit it",
    ),
    "spreads": (
        lambda: ours(preset="sklearn", loss="gaussian"),
        "must predict its outputs; got loss='gaussian'. Other losses",
    ),
    "rates": (
        lambda: ours(preset="sklearn", loss="poisson"),
        "must have outputs of a function here; got out_activation_='exp'. In a copy",
    ),
    "a function of the user's": (
        lambda: ours(preset="sklearn", activation=jaxmlp.Activation("snake", jnp.sin)),
        r"must have an activation of a name; got Activation\('snake'\)",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", OWN)
def test_estimators_of_ours_that_are_no_one_network_are_refused(name):
    make, message = OWN[name]
    with pytest.raises(ValueError, match=message):
        from_sklearn(make())


def test_logarithms_of_rates_are_outputs():
    model = MLPRegressor(loss="poisson", max_iter=5, random_state=0).fit(X, Y)
    wanted = model.predict(X)
    with pytest.raises(ValueError, match=r"estimator MLPRegressor .*out_activation_='exp'"):
        from_sklearn(model)
    model.out_activation_ = "identity"
    config, params = from_sklearn(model)
    got = jnp.exp(jaxmlp.apply(params, X, config=config))
    np.testing.assert_allclose(got[:, 0], wanted, rtol=1e-5)


@pytest.mark.bad_input
@pytest.mark.parametrize("estimator", [LinearRegression(), None, make_pipeline(None)])
def test_other_estimators_are_refused(estimator):
    with pytest.raises(TypeError, match=r"estimator must be an MLPClassifier, .*Give the MLP that"):
        from_sklearn(estimator)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.pipeline", None)
    with pytest.raises(ImportError, match=r"needs sklearn .*pip install 'jaxmlp\[sklearn\]'"):
        from_sklearn(None)
