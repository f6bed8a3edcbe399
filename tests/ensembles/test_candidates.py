"""Tests of grids and of random candidates."""

import hashlib
import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from jaxmlp.ensembles import draw_candidates, grid, integers, log_uniform, uniform

SPACE = {
    "rate": log_uniform(1e-5, 1e-1),
    "dropout_rate": uniform(0.0, 0.5),
    "steps": integers(1, 5),
    "hidden_features": [(32,), (64,), (64, 64)],
}


def rows(candidates):
    columns = zip(*candidates.values(), strict=True)
    return [dict(zip(candidates, row, strict=True)) for row in columns]


def test_a_grid_has_the_candidates_of_scikit_learn_in_its_order():
    values = {"a": [1, 2, 3], "b": ["x", "y"], "c": [(8,), (8, 8)]}
    assert rows(grid(values)) == list(ParameterGrid(values))


def test_a_grid_keeps_the_order_of_names():
    assert grid({"b": [1, 2], "a": [3, 4]}) == {"b": [1, 1, 2, 2], "a": [3, 4, 3, 4]}


def test_a_grid_takes_arrays():
    rates = np.geomspace(1e-3, 1e-1, 3)
    assert grid({"rate": rates}) == {"rate": rates.tolist()}
    assert grid({"rate": jax.numpy.arange(3)}) == {"rate": [0, 1, 2]}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(1, 20), st.integers(1, 20))
def test_more_candidates_begin_with_the_same_ones(seed, few, more):
    drawn = draw_candidates(SPACE, candidates=few + more, seed=seed)
    assert draw_candidates(SPACE, candidates=few, seed=seed) == {
        name: values[:few] for name, values in drawn.items()
    }


def test_a_hyperparameter_is_drawn_whatever_the_others_are():
    drawn = draw_candidates(SPACE, candidates=9, seed=1)
    for name in SPACE:
        alone = draw_candidates({name: SPACE[name]}, candidates=9, seed=1)
        assert alone == {name: drawn[name]}


def test_hyperparameters_of_one_range_are_drawn_independently():
    drawn = draw_candidates(
        {"a": uniform(0.0, 1.0), "b": uniform(0.0, 1.0)}, candidates=2000, seed=0
    )
    # Under independence |r| < 4 / sqrt(2000) but for 6 seeds in 100,000.
    assert abs(np.corrcoef(drawn["a"], drawn["b"])[0, 1]) < 4 / 2000**0.5


def test_draws_are_fixed_by_the_seed():
    one, same, other = (draw_candidates(SPACE, candidates=50, seed=seed) for seed in (2, 2, 3))
    assert one == same
    assert all(one[name] != other[name] for name in SPACE)
    # Golden: whoever changes the draws changes the searches of all users.
    exact = repr([one["steps"], one["hidden_features"]]).encode()
    assert hashlib.sha256(exact).hexdigest()[:16] == "e78a7ac88c4515fb"
    # The logarithm is the C library's, good to an ulp or two.
    np.testing.assert_allclose(
        one["rate"][:2], [0.011625557744467099, 0.00035596317141826396], rtol=1e-12
    )
    np.testing.assert_allclose(
        one["dropout_rate"][:2], [0.10394222496547129, 0.30592297682775027], rtol=1e-12
    )


def kolmogorov_distance(shares):
    """Largest distance between the empirical distribution and the uniform one on [0, 1]."""
    shares, count = np.sort(shares), len(shares)
    edges = np.arange(count + 1) / count
    return max((edges[1:] - shares).max(), (shares - edges[:-1]).max())


@pytest.mark.parametrize(
    ("values", "share"),
    [
        (uniform(-3.0, 5.0), lambda v: (v + 3) / 8),
        (log_uniform(1e-4, 1e2), lambda v: (np.log10(v) + 4) / 6),
    ],
)
def test_ranges_are_drawn_from_their_distribution(values, share):
    drawn = np.array(draw_candidates({"a": values}, candidates=4000, seed=0)["a"])
    assert ((values.low <= drawn) & (drawn < values.high)).all()
    # Kolmogorov's distance exceeds 1.95 / sqrt(n) with a chance of 0.001.
    assert kolmogorov_distance(share(drawn)) < 1.95 / 4000**0.5


@pytest.mark.parametrize("values", [integers(-1, 3), ["a", "b", "c", "d"]])
def test_each_value_has_the_same_chance(values):
    drawn = draw_candidates({"a": values}, candidates=4000, seed=0)["a"]
    found, counts = np.unique(drawn, return_counts=True)
    assert found.tolist() == ([-1, 0, 1, 2] if not isinstance(values, list) else values)
    # Chi-squared with 3 degrees of freedom exceeds 16.3 with a chance of 0.001.
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.3


def test_the_smallest_range_has_one_value():
    low, high = 1.0, np.nextafter(1.0, 2.0)
    space = {"a": uniform(low, high), "b": log_uniform(low, high), "c": integers(7, 8)}
    drawn = draw_candidates(space, candidates=20, seed=0)
    assert [set(values) for values in drawn.values()] == [{1.0}, {1.0}, {7}]


CASES = {
    "grid of a list": (lambda: grid([1]), TypeError, "values must be a dict"),
    "name is a number": (
        lambda: draw_candidates({1: [1]}, candidates=1, seed=0),
        TypeError,
        "space must be a dict with names as keys; got the key 1",
    ),
    "empty grid": (lambda: grid({}), ValueError, "values must name at least one"),
    "grid of a number": (
        lambda: grid({"a": 1}),
        TypeError,
        "values['a'] must be a list of values; got 1",
    ),
    "grid of text": (lambda: grid({"a": "xy"}), TypeError, "values['a'] must be a list of values"),
    "grid of nothing": (lambda: grid({"a": []}), ValueError, "at least one value; got []"),
    "scalar array": (lambda: grid({"a": np.array(1)}), ValueError, "at least one value; got 1"),
    "draw from a number": (
        lambda: draw_candidates({"a": 1}, candidates=1, seed=0),
        TypeError,
        "space['a'] must be uniform, log_uniform, integers, or a list of values; got 1",
    ),
    "draw from a list": (
        lambda: draw_candidates([1], candidates=1, seed=0),
        TypeError,
        "space must be a dict",
    ),
    "no candidates": (
        lambda: draw_candidates(SPACE, candidates=0, seed=0),
        ValueError,
        "candidates must be an int of at least 1; got 0",
    ),
    "negative seed": (
        lambda: draw_candidates(SPACE, candidates=1, seed=-1),
        ValueError,
        "seed must be an int of at least 0",
    ),
    "uniform backwards": (
        lambda: uniform(1.0, 0.0),
        ValueError,
        "uniform needs finite low < high; got low=1.0, high=0.0",
    ),
    "uniform without end": (lambda: uniform(0.0, np.inf), ValueError, "needs finite low < high"),
    "uniform of NaN": (lambda: uniform(np.nan, 1.0), ValueError, "needs finite low < high"),
    "uniform of text": (
        lambda: uniform("0", 1.0),
        TypeError,
        "needs two numbers, low and high; got '0'",
    ),
    "log_uniform from 0": (
        lambda: log_uniform(0.0, 1.0),
        ValueError,
        "log_uniform needs finite 0 < low < high; got low=0.0, high=1.0",
    ),
    "integers of one": (lambda: integers(3, 3), ValueError, "high must be an int of at least 4"),
    "fractional integers": (lambda: integers(0.5, 3), TypeError, "low must be an int"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(name):
    call, error, message = CASES[name]
    with pytest.raises(error, match=re.escape(message)):
        call()
