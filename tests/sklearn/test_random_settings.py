"""With random settings and tables, valid or not, both learn the same or give the same error."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_array, csr_array

import jaxmlp.sklearn

pytestmark = pytest.mark.long

ROWS = np.random.default_rng(0).normal(size=(30, 3))
TABLES = [
    *(ROWS, ROWS.astype(np.float32), csr_array(ROWS), csc_array(ROWS), coo_array(ROWS)),
    *(ROWS[:, 0], np.where(ROWS > 2, np.nan, ROWS), ROWS.tolist(), 1e10 * ROWS),
    *(ROWS.astype(int), ROWS[:2], ROWS[:1], ROWS[:0]),
]
CLASSES = [
    *(np.arange(30) % 3, 10 * (np.arange(30) % 3) - 5, ROWS[:, 0] > 0, np.zeros(30, int)),
    *(np.array(["a", "b"])[(ROWS[:, 1] > 0).astype(int)], (ROWS > 0).astype(int)),
]
NUMBERS = [ROWS[:, 0], ROWS[:, :2], np.round(np.exp(ROWS[:, 0])), 1e6 * ROWS[:, 0], np.zeros(30)]
WEIGHTS = [None, None, np.arange(30.0), np.zeros(30), np.ones(3)]
ARGUMENTS = {
    "activation": ["relu", "tanh", "logistic", "identity", "softmax"],
    "hidden_layer_sizes": [(4,), 4, (), (3, 2), 0, (4, 0)],
    "solver": ["adam", "sgd", "rmsprop", None],
    "alpha": [0, 0.1, -1, "x"],
    "batch_size": ["auto", 7, 100, 1, 0, 2.5],
    "learning_rate": ["constant", "invscaling", "adaptive", "cosine"],
    "learning_rate_init": [0.1, 1e-3, 0, 10.0],
    "power_t": [0.5, 0.1, -1],
    "shuffle": [True, False, "no"],
    "tol": [0, 1, 1e-3, -1],
    "warm_start": [True, False],
    "momentum": [0, 0.5, 1, 2],
    "nesterovs_momentum": [True, False],
    "early_stopping": [True, False],
    "validation_fraction": [0.1, 0.5, 0.01, 0, 1],
    "beta_1": [0, 0.5, 1],
    "beta_2": [0, 0.9, 1.5],
    "epsilon": [1e-3, 0],
    "n_iter_no_change": [1, 2, np.inf, 0],
    "max_fun": [1, 0],
    "loss": ["poisson", "squared_error", "log_loss"],
}


def fit(module, kind, arguments, x, y, weight):
    """Returns a fitted estimator, or the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            estimator = getattr(module, kind)(max_iter=3, random_state=0, **arguments)
            if module is jaxmlp.sklearn:
                estimator.set_params(preset="sklearn")
            return estimator.fit(x, y, sample_weight=weight)
        except (ValueError, TypeError) as error:
            return error


@pytest.mark.bad_input
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_either_both_learn_the_same_or_both_say_the_same(data):
    kind = data.draw(st.sampled_from(["MLPClassifier", "MLPRegressor"]))
    changed = data.draw(st.sets(st.sampled_from(sorted(ARGUMENTS)), max_size=5))
    if kind == "MLPClassifier":
        changed.discard("loss")
    arguments = {
        name: data.draw(st.sampled_from(ARGUMENTS[name]), name) for name in sorted(changed)
    }
    x = data.draw(st.sampled_from(TABLES))
    rows = x.shape[0] if hasattr(x, "shape") else len(x)
    y = data.draw(st.sampled_from(CLASSES if kind == "MLPClassifier" else NUMBERS))[:rows]
    weight = data.draw(st.sampled_from(WEIGHTS))
    weight = None if weight is None else weight[:rows]
    theirs = fit(sklearn.neural_network, kind, arguments, x, y, weight)
    ours = fit(jaxmlp.sklearn, kind, arguments, x, y, weight)
    if isinstance(ours, Exception) and "requires non-negative y" in str(ours):
        # Of negative counts scikit-learn's loss is NaN, or other things go wrong.
        assert arguments["loss"] == "poisson"
        assert (y < 0).any()
        return
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(ours).__name__ == type(theirs).__name__
        # What follows lists the values that there are, and we have more activations and losses.
        assert str(ours)[:57] == str(theirs)[:57]
        return
    assert ours.n_iter_ == theirs.n_iter_
    size = max(np.abs(kernel).max() for kernel in theirs.coefs_)
    # Rates of 10 and rows of 1e10 amplify rounding errors over three epochs.
    tolerance = size * (1e-3 if theirs.coefs_[0].dtype == np.float32 else 1e-7)
    for a, b in zip(theirs.coefs_, ours.coefs_, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance)
