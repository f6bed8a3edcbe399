"""The argument that tells on which device to compute; tests have two of the CPU."""

import copy
import pickle
import warnings

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from jaxmlp.sklearn import (
    MLPClassifier,
    MLPRegressor,
    devices,
    load,
    together,
)
from jaxmlp.sklearn.solvers import drop_in, networks, training_loop

X, Y = load_iris(return_X_y=True)
SETTINGS = {"preset": "sklearn", "max_iter": 3, "random_state": 0}

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")]


@pytest.fixture
def placed(monkeypatch):
    """Devices of all outputs of networks."""
    seen = []

    def note(result):
        seen.extend(d for leaf in jax.tree.leaves(result) for d in leaf.devices())
        return result

    function = networks._compute
    monkeypatch.setattr(networks, "_compute", lambda *given: note(function(*given)))
    return seen


@pytest.mark.parametrize("device", ["cpu:1", jax.devices("cpu")[1]])
def test_predictions_are_computed_there(device, placed):
    MLPClassifier(device=device, **SETTINGS).fit(X, Y).predict(X)
    assert set(placed) == {jax.devices("cpu")[1]}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.filterwarnings("ignore:lbfgs failed:Warning")
def test_training_happens_there(solver, monkeypatch):
    seen = set()
    for module, name in ((together, "train"), (drop_in, "minimise")):
        function = getattr(module, name)

        def run(*given, function=function, **settings):
            seen.add(jax.jit(lambda x: x + 1)(np.float32(1)).device)
            return function(*given, **settings)

        monkeypatch.setattr(module, name, run)
    there = MLPRegressor(solver=solver, device="cpu:1", **SETTINGS).fit(X, Y)
    assert seen == {jax.devices("cpu")[1]}
    here = MLPRegressor(solver=solver, device="cpu:0", **SETTINGS).fit(X, Y)
    for a, b in zip(there.coefs_, here.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_are_taken_there(monkeypatch):
    """The state that `fit` hands to callbacks lies where it was computed."""
    seen = set()
    reached = training_loop._reached

    def note(state, best):
        seen.update(*(leaf.devices() for leaf in jax.tree.leaves(state.params)))
        return reached(state, best)

    monkeypatch.setattr(training_loop, "_reached", note)
    MLPRegressor(device="cpu:1", callbacks=lambda *_: None, **SETTINGS).fit(X, Y)
    assert seen == {jax.devices("cpu")[1]}


def test_what_is_learned_is_in_numpy():
    estimator = MLPClassifier(device="cpu:1", early_stopping=True, **SETTINGS).fit(X, Y)
    leaves = jax.tree.leaves(vars(estimator))
    assert not [leaf for leaf in leaves if isinstance(leaf, jax.Array)]


def test_without_one_jax_chooses(placed):
    estimator = MLPClassifier(**SETTINGS).fit(X, Y)
    with jax.default_device(jax.devices("cpu")[1]):
        estimator.predict(X)
    assert set(placed) == {jax.devices("cpu")[1]}


@pytest.mark.parametrize("device", ["tpu", "cpu:2", "CPU", "cpu:", "", "of mine"])
def test_fit_names_the_devices_that_there_are(device):
    with pytest.raises(ValueError, match=r"there, of 'cpu:0', 'cpu:1'; got '" + device):
        MLPClassifier(device=device).fit(X, Y)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="The 'device' parameter of MLPClassifier must be"):
        MLPClassifier(device=1).fit(X, Y)


def test_predictions_without_the_device_are_computed_elsewhere_with_one_warning():
    estimator = MLPClassifier(**SETTINGS).fit(X, Y)
    expected = estimator.predict_proba(X)
    estimator.set_params(device="tpu:3")
    devices._warn_of_missing.cache_clear()
    with pytest.warns(UserWarning, match="'tpu:3' is not on this machine.*'cpu:0'"):
        np.testing.assert_array_equal(estimator.predict_proba(X), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.predict_proba(X)


def test_a_device_is_kept_by_get_params_and_clone():
    device = jax.devices("cpu")[1]
    estimator = MLPClassifier(device=device, alpha=0.1)
    assert estimator.get_params()["device"] is device
    assert clone(estimator).device is device
    assert clone(estimator).alpha == 0.1
    assert estimator.device is device


@pytest.mark.parametrize(
    "copied",
    [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy],
    ids=["pickle", "deepcopy"],
)
def test_a_copy_has_the_name_of_the_device(copied):
    estimator = MLPClassifier(device=jax.devices("cpu")[1], **SETTINGS).fit(X, Y)
    other = copied(estimator)
    assert other.device == "cpu:1"
    np.testing.assert_array_equal(other.predict_proba(X), estimator.predict_proba(X))


def test_a_file_has_the_name_of_the_device(tmp_path):
    path = tmp_path / "model.safetensors"
    MLPClassifier(device=jax.devices("cpu")[1]).save(path)
    assert load(path).device == "cpu:1"


def test_a_search_takes_a_device():
    estimator = MLPClassifier(device=jax.devices("cpu")[1], **SETTINGS)
    found = GridSearchCV(estimator, {"alpha": [1e-4, 1e-2]}, cv=2).fit(X, Y)
    assert found.best_estimator_.device is jax.devices("cpu")[1]
