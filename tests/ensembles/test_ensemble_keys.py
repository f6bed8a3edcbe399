"""Tests that members draw what `fit` draws alone, from keys of any kind."""

import jax
import numpy as np
import optax
import pytest
from fits import CONFIG, LOSS, make_loader

import jaxmlp

SETTINGS = {"epochs": 2}
OPTIMIZER = optax.sgd(0.1)


def init(key):
    return jaxmlp.init_params(CONFIG, key=key)


def fit_alone(key, optimizer=OPTIMIZER):
    params = init(jax.random.fold_in(key, 2**32 - 1))
    return jaxmlp.fit(LOSS, optimizer, params, make_loader(), key=key, **SETTINGS).params


def fit_together(keys, optimizer=OPTIMIZER, **options):
    return jaxmlp.fit_members(
        LOSS, optimizer, init, make_loader(), keys=keys, **SETTINGS, **options
    )


def assert_close(ours, expected):
    # Matrix products of several members at once, over ten steps.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, expected
    )


OPTIONS = [
    {"strategy": "vmap"},
    {"strategy": "map", "members_at_once": 2, "threads": 1},
    {"strategy": "shard"},
    {},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg", "threefry2x32"])
def test_members_with_keys_of_a_kind_are_what_fit_gives_alone(kind, options):
    # The loss has dropout.
    keys = jax.random.split(jax.random.key(0, impl=kind), 3)
    assert_close(fit_together(keys, **options).member(1), fit_alone(keys[1]))


def test_so_are_members_whose_optimizer_draws_from_such_a_key():
    def optimizer():
        noise = optax.add_noise(0.1, 0.5, key=jax.random.key(3, impl="rbg"))
        return optax.chain(noise, optax.sgd(0.1))

    keys = jax.random.split(jax.random.key(0), 3)
    together = fit_together(keys, optimizer(), strategy="vmap")
    assert_close(together.member(1), fit_alone(keys[1], optimizer()))
