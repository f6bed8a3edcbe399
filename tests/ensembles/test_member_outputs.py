"""Tests of the outputs of all members: those that `apply` gives of each."""

import jax
import numpy as np
import pytest
from fits import CONFIG, PARAMS, X

import jaxmlp
from jaxmlp import ensembles

MEMBERS = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf, -leaf]), PARAMS)
ROWS = np.random.default_rng(0).normal(size=(9000, 4)).astype(np.float32)
# Forward passes in another program.
RTOL = 1e-5


def member(number):
    return jax.tree.map(lambda leaf: leaf[number], MEMBERS)


@pytest.mark.parametrize("rows", [X, ROWS], ids=["few", "many"])
def test_each_member_gives_what_apply_gives(rows):
    outputs = ensembles.predict_members(MEMBERS, rows, config=CONFIG)
    assert outputs.shape == (3, len(rows), CONFIG.out_features)
    for number in range(3):
        expected = jaxmlp.apply(member(number), rows, config=CONFIG)
        np.testing.assert_allclose(outputs[number], expected, rtol=RTOL, atol=1e-5)


def test_a_member_gives_the_same_bits_however_rows_are_cut():
    whole = ensembles.predict_members(MEMBERS, ROWS, config=CONFIG, batch_size=64)
    parts = [
        ensembles.predict_members(MEMBERS, ROWS[first : first + 1700], config=CONFIG, batch_size=64)
        for first in range(0, len(ROWS), 1700)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_loaders_are_read_in_the_order_of_their_source():
    loader = jaxmlp.DataLoader(ROWS, batch_size=100, shuffle=True)
    np.testing.assert_array_equal(
        ensembles.predict_members(MEMBERS, loader, config=CONFIG),
        ensembles.predict_members(MEMBERS, ROWS, config=CONFIG),
    )


def test_parameters_of_one_network_are_refused():
    with pytest.raises(ValueError, match=r"leading axis .* use jaxmlp\.predict"):
        ensembles.predict_members(PARAMS, X, config=CONFIG)


def test_what_is_refused_is_told_by_the_shape_that_it_was_given():
    with pytest.raises(ValueError, match=r"got x\.shape=\(9000, 3\)"):
        ensembles.predict_members(MEMBERS, ROWS[:, :3], config=CONFIG)
