"""Tests of the row weights of folds and bootstraps."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp.ensembles import bootstrap_weights, fold_weights, rows_of_weights


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 60), st.data())
def test_every_row_is_validated_once_and_trained_otherwise(rows, data):
    folds = data.draw(st.integers(2, rows))
    training, validation = fold_weights(rows, folds, seed=data.draw(st.integers(0, 2**64 - 1)))
    assert validation.shape == (folds, rows)
    np.testing.assert_array_equal(validation.sum(axis=0), 1)
    np.testing.assert_array_equal(training, 1 - validation)
    assert np.ptp(validation.sum(axis=1)) <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=4, max_size=60), st.integers(2, 4))
def test_stratified_folds_share_out_every_class(labels, folds):
    _, validation = fold_weights(len(labels), folds, seed=1, stratify=labels)
    for label in set(labels):
        assert np.ptp(validation @ (np.array(labels) == label)) <= 1
    assert np.ptp(validation.sum(axis=1)) <= 1


def test_folds_depend_on_their_seed():
    one, same, other = (fold_weights(50, 5, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_folds_are_the_same_in_every_version():
    _, validation = fold_weights(1000, 10, seed=7)
    digest = hashlib.sha256(validation.argmax(axis=0).astype("<u1").tobytes()).hexdigest()
    assert digest[:16] == "0367eaeec7057085"


def test_bootstrap_counts_sum_to_the_rows():
    weights = bootstrap_weights(40, seeds=[0, 1, 2**64 - 1])
    np.testing.assert_array_equal(weights.sum(axis=1), 40)
    assert (weights == weights.round()).all()


def test_bootstrap_counts_are_multinomial():
    rows, members = 100, 2000
    weights = bootstrap_weights(rows, seeds=range(members))
    # Binomial(rows, 1 / rows): mean 1, variance 0.99, and (1 - 1 / rows)**rows never drawn.
    deviation = np.sqrt(0.99 / members)
    assert abs(weights.mean(axis=0) - 1).max() < 4.5 * deviation
    assert abs(weights.var() - 0.99) < 0.02
    assert abs((weights == 0).mean() - 0.99**100) < 0.005


def test_bootstrap_members_differ_by_seed_only():
    weights = bootstrap_weights(30, seeds=[4, 5, 4])
    np.testing.assert_array_equal(weights[0], weights[2])
    assert (weights[0] != weights[1]).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_rows_of_weights_are_those_weights(members, rows, seed):
    draws = np.random.default_rng(seed)
    weights = draws.integers(0, 3, (members, rows)) * draws.integers(0, 2, (members, rows))
    chosen, of_chosen = rows_of_weights(weights)
    assert chosen.shape == of_chosen.shape
    assert chosen.shape[1] == max((weights > 0).sum(axis=1).max(), 1)
    again = np.zeros_like(weights)
    for member in range(members):
        assert (np.diff(chosen[member]) > 0).all()
        again[member, chosen[member]] = of_chosen[member]
    np.testing.assert_array_equal(again, weights)


@pytest.mark.bad_input
@pytest.mark.parametrize("weights", [[1, 0], np.ones((2, 0)), np.array([["a"]])], ids=str)
def test_rows_of_what_is_no_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"weights must be numbers, shape \(members, rows\)"):
        rows_of_weights(weights)


def test_bootstraps_are_the_same_in_every_version():
    weights = bootstrap_weights(1000, seeds=[7])
    digest = hashlib.sha256(weights.astype("<u1").tobytes()).hexdigest()
    assert digest[:16] == "efb9c8f0ea28ed0f"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"folds": 1}, ValueError, "folds must be an int of at least 2 and below 11; got 1"),
        ({"folds": 11}, ValueError, "folds must be an int of at least 2 and below 11; got 11"),
        ({"folds": 2.0}, TypeError, "folds must be an int"),
        ({"rows": 1}, ValueError, "rows must be an int of at least 2"),
        ({"seed": -1}, ValueError, "seed must be an int of at least 0"),
        ({"stratify": [0, 1]}, ValueError, r"stratify must have shape \(10,\), a label per row"),
    ],
)
def test_bad_folds_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        fold_weights(**{"rows": 10, "folds": 2, "seed": 0} | arguments)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        (0, ValueError, "seeds must have one number per member; got 0"),
        ([], ValueError, "seeds must have one number per member"),
        ([-1], ValueError, "seed must be an int of at least 0"),
        ([0.5], TypeError, "seed must be an int"),
    ],
)
def test_bad_seeds_of_a_bootstrap_are_refused(seeds, error, message):
    with pytest.raises(error, match=message):
        bootstrap_weights(10, seeds=seeds)
