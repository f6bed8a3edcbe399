"""Random tables and settings, valid or not, are learned or refused by name."""

import re
import warnings
from unittest import mock

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messy import SMALL
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from jaxmlp.ensembles import MembersResult
from jaxmlp.sklearn import MLPClassifier, MLPRegressor
from jaxmlp.sklearn.recipes import recipe_training

CELLS = {
    "numbers": st.floats(allow_infinity=False),
    "small numbers": st.floats(-2, 2),
    "integers": st.integers(-(2**40), 2**40),
    "bools": st.booleans(),
    "words": st.text(max_size=2),
    "times": st.datetimes(),
    "mixed": st.sampled_from([1, "1", True, 2.5, None]),
    "one": st.just(3.0),
    "nothing": st.none(),
    "wrong": st.sampled_from([1j, {}, float("inf"), b"a", 10**400]),
}
USUAL = [kind for kind in CELLS if kind != "wrong"]
TARGETS = {
    "classes": st.sampled_from(["a", "b", "c"]),
    "integers": st.integers(-3, 3),
    "bools": st.booleans(),
    "numbers": st.floats(-1e6, 1e6),
    "counts": st.integers(0, 5).map(float),
    "wrong": st.sampled_from([None, float("nan"), "a", 1.5]),
}
ARGUMENTS = {
    "n_ensemble": [1, 2, 0, "two"],
    "max_iter": [1, 3, 0],
    "categorical_features": [[0], ["c0"], [99], [True], "from_dtype", "all"],
    "dropout": [None, 0.0, 0.5, 0.999, 1.0],
    "class_weight": ["balanced", {0: 1}, "even"],
    "calibrate": [True, False, "yes"],
    "loss": ["gaussian", "poisson", "quantile", "huber", "absolute_error", "log"],
    "quantiles": [(0.2, 0.8), (2.0,), ()],
    "huber_delta": [0.5, 0],
    "alpha": [0.1, -1],
    "hidden_layer_sizes": [(3,), ()],
    "random_state": [0, -1, "x"],
}
NAMES = "|".join([*ARGUMENTS, "sample_weight", "preset"])
# Words of errors that name an argument, a column, or what of X or y is wrong.
NAMED = re.compile(
    rf"column ('c\d'|\d) of X|\b({NAMES})\b|\bX\b|\by\b|[Ss]ample weight|[Ll]abel|target|class"
    r"|feature|array|samples|validation_fraction|calibrate"
)


def untrained(loss, optimizer, start, loader, *, epochs, keys, **others):
    """Stands for `fit_members`: members as they begin, since a program per table takes seconds."""
    del loss, optimizer, loader, others
    history = {"loss": np.ones((len(keys), epochs))}
    return mock.Mock(MembersResult, params=start, history=history)


@st.composite
def tables(draw, rows):
    kinds = st.sampled_from(USUAL * 3 + ["wrong"])
    columns = [
        draw(st.lists(CELLS[draw(kinds)] | st.none(), min_size=rows, max_size=rows))
        for _ in range(draw(st.integers(1, 3)))
    ]
    typed = [pd.Series(cells, dtype=object) for cells in columns]
    if draw(st.booleans()):
        typed = [cells.infer_objects() for cells in typed]
    frame = pd.concat(typed, axis=1).rename(columns="c{}".format)
    kind = draw(st.sampled_from(["frame", "frame", "array", "lists", "sparse"]))
    if kind == "sparse":
        return csr_array(np.arange(rows * 2.0).reshape(rows, 2) % 3)
    return {"frame": frame, "array": frame.to_numpy(), "lists": frame.to_numpy().tolist()}[kind]


@st.composite
def problems(draw):
    rows = draw(st.integers(1, 12) | st.integers(60, 70))
    kind = draw(st.sampled_from([MLPClassifier, MLPRegressor]))
    targets = st.sampled_from(sorted(TARGETS))
    y = draw(st.lists(TARGETS[draw(targets)], min_size=rows, max_size=rows))
    if draw(st.integers(0, 5)) == 0:
        y = [[one, one] for one in y]
    known = kind._parameter_constraints.keys() & ARGUMENTS.keys()
    changed = draw(st.sets(st.sampled_from(sorted(known)), max_size=2))
    arguments = {name: draw(st.sampled_from(ARGUMENTS[name])) for name in sorted(changed)}
    arguments["preset"] = draw(st.sampled_from([*[SMALL] * 9, "auto", "realmlp", "tabm", "none"]))
    weight = draw(st.none() | st.lists(st.floats(-0.1, 2), min_size=rows, max_size=rows))
    return kind, arguments, draw(tables(rows)), y, weight


@pytest.mark.slow
@pytest.mark.bad_input
@settings(max_examples=1000, deadline=None, derandomize=True)
@given(problems())
def test_a_table_is_learned_or_what_is_wrong_is_named(problem):
    check(*problem)


def check(kind, arguments, x, y, weight):
    with warnings.catch_warnings(), mock.patch.object(recipe_training, "fit_members", untrained):
        warnings.simplefilter("ignore")
        try:
            model = kind(**{"max_iter": 2, "random_state": 0} | arguments)
            model.fit(x, y, sample_weight=weight)
        except (ValueError, TypeError) as error:
            assert not isinstance(error, (jax.errors.JAXTypeError, NotFittedError))  # noqa: PT017
            assert NAMED.search(str(error)), error  # noqa: PT017
            return
        predicted = model.predict(x)
        assert len(predicted) == len(y)
        if kind is MLPClassifier:
            assert np.isin(predicted, np.unique(y) if predicted.ndim == 1 else [0, 1]).all()
            assert np.isfinite(model.predict_proba(x)).all()
        else:
            assert np.isfinite(predicted).all()
