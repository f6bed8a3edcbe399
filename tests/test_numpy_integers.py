"""NumPy's unsigned and narrow integers are taken as the numbers that they are."""

import jax
import numpy as np
import optax
import pytest
from fits import LINEAR, LINEAR_CONFIG, X, assert_same, make_loader

import jaxmlp
from jaxmlp.tabular import Recipe, TabularConfig

# A type-checking hook refuses what is no int of Python's.
pytestmark = pytest.mark.bad_input
KINDS = [np.uint8, np.int8, np.uint64, np.int64]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_of_that_many_rows(kind):
    loader = jaxmlp.DataLoader(np.tile(X, (40, 1)), batch_size=kind(12))
    assert len(loader) == -(-40 * len(X) // 12)


@pytest.mark.parametrize("kind", KINDS)
def test_runs_are_of_that_many_epochs(kind):
    runs = [
        jaxmlp.fit(**LINEAR, data=make_loader(), epochs=epochs, key=jax.random.key(0))
        for epochs in (3, kind(3))
    ]
    assert_same(runs[0].params, runs[1].params)
    assert len(runs[1].history["loss"]) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["members_at_once", "threads"])
def test_members_are_computed_so_many_at_once(kind, name):
    keys = jax.random.split(jax.random.key(0), 3)
    runs = [
        jaxmlp.fit_members(
            LINEAR["loss_fn"],
            optax.sgd(0.1),
            lambda key: jaxmlp.init_params(LINEAR_CONFIG, key=key),
            make_loader(),
            epochs=2,
            keys=keys,
            **{name: number},
        )
        for number in (2, kind(2))
    ]
    assert_same(runs[0].params, runs[1].params)


@pytest.mark.parametrize("kind", KINDS)
def test_recipes_hold_python_s_own(kind):
    named = {"members": 2, "epochs": 3, "batch_size": 64, "folds": 2, "patience": 4}
    network = TabularConfig(hidden_features=(4,))
    recipe = Recipe(network=network, **{name: kind(number) for name, number in named.items()})
    assert recipe == Recipe(network=network, **named)
    assert {type(getattr(recipe, name)) for name in named} == {int}
