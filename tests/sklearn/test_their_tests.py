"""Scikit-learn's own tests of its MLP hold for ours; those that look into it are left out."""

import functools
import importlib.util
from pathlib import Path

import pytest

from jaxmlp.sklearn import MLPClassifier, MLPRegressor

# What they reach for that is not public.
PRIVATE = {
    "test_gradient": "_loss_grad_lbfgs",
    "test_learning_rate_warmstart": "_optimizer.learning_rate",
    "test_adaptive_learning_rate": "_optimizer.learning_rate",
}
THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor"

# Theirs are not run with warnings as errors.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("default::UserWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture
def global_random_seed():
    """Of theirs, which may be any number."""
    return 42


def load_their_tests():
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    source = Path(spec.origin).read_text()
    assert source.count(THEIRS) == 1
    ours = source.replace(THEIRS, "")
    # Theirs know no other training.
    kinds = (MLPClassifier, MLPRegressor)
    names = {kind.__name__: functools.partial(kind, preset="sklearn") for kind in kinds}
    exec(compile(ours, spec.origin, "exec"), names)
    tests = {name: value for name, value in names.items() if name.startswith("test_")}
    # What is left out is there, and does reach for that.
    for name, what in PRIVATE.items():
        assert what in source
        del tests[name]
    return tests


globals().update(load_their_tests())
