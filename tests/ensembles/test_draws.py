"""Tests of members' first parameters: of many in blocks, the same bits as one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.ensembles import draws
from jaxmlp.ensembles.factories import as_init

KEYS = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(3), 10)))


def draw(init, *, many, block=4, key_kind="threefry2x32", monkeypatch, traced=None, calls=1):
    """Draws ten members, in blocks if these are many, in some calls."""
    monkeypatch.setattr(draws, "_BLOCK", block)
    monkeypatch.setattr(draws, "_COMPARED", 3)
    monkeypatch.setattr(draws, "_MANY", 10 if many else 11)
    keys = KEYS if key_kind == "threefry2x32" else np.concatenate([KEYS, KEYS], axis=1)
    drawer = draws.ParamsDrawer(as_init(init), {}, key_kind, set(), members=10)
    parts = [
        drawer.draw({name: values[part] for name, values in (traced or {}).items()}, keys[part])
        for part in np.array_split(np.arange(10), calls)
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def same_bits(one, other):
    """Tells whether two trees of arrays are the same, of the same types."""
    return jax.tree.all(
        jax.tree.map(lambda a, b: a.dtype == b.dtype and a.tobytes() == b.tobytes(), one, other)
    )


@pytest.mark.parametrize("block", [3, 4, 10], ids=lambda block: f"blocks of {block}")
@pytest.mark.parametrize("kernel_init", ["rich", "torch", "he_normal", "orthogonal"])
def test_blocks_give_the_bits_of_draws_one_by_one(monkeypatch, kernel_init, block):
    config = jaxmlp.MLPConfig(
        in_features=3, hidden_features=(5, 4), out_features=2, kernel_init=kernel_init, norm="layer"
    )
    calls = []

    def init(key):
        calls.append(key)
        return jaxmlp.init_params(config, key=key)

    one_by_one = draw(init, many=False, monkeypatch=monkeypatch)
    assert len(calls) == 10
    blocks = draw(init, many=True, block=block, monkeypatch=monkeypatch)
    assert len(calls) == 14  # of the first three members, and once traced
    assert same_bits(one_by_one, blocks)


@pytest.mark.parametrize("calls", [2, 3, 4], ids=lambda calls: f"{calls} calls")
def test_blocks_of_pieces_are_compiled_once(monkeypatch, calls):
    traced = []

    def init(key):
        traced.append(isinstance(key, jax.core.Tracer))
        return {"w": jax.random.normal(key, (3,))}

    one_by_one = draw(init, many=False, monkeypatch=monkeypatch)
    assert not any(traced)
    pieces = draw(init, many=True, calls=calls, monkeypatch=monkeypatch)
    # Pieces of two members, of four calls, are too small to be compared; then members of three.
    assert sum(traced) == 1
    assert same_bits(one_by_one, pieces)


def test_hyperparameters_belong_to_their_members(monkeypatch):
    traced = {
        "scale": 0.7 * np.arange(10, dtype=np.float32),
        "shift": np.arange(10, dtype=np.int32),
    }

    def init(h, key):
        shift = h["shift"].astype(jnp.float32)
        return {"w": h["scale"] * jax.random.normal(key, (200,)) + shift}

    one_by_one, blocks = (
        draw(init, many=many, traced=traced, monkeypatch=monkeypatch) for many in (False, True)
    )
    np.testing.assert_array_equal(one_by_one["w"][0], 0)
    # A program may round a product and a sum together, once; then members are drawn one by one.
    assert same_bits(one_by_one, blocks)


def test_own_functions_that_cannot_be_traced_are_called_for_each_member(monkeypatch):
    def init(key):
        seed = int(jax.random.randint(key, (), 0, 1000))
        return {"w": jnp.asarray(np.random.default_rng(seed).normal(size=3))}

    one_by_one, many = (draw(init, many=m, monkeypatch=monkeypatch) for m in (False, True))
    assert same_bits(one_by_one, many)
    assert len(np.unique(many["w"][:, 0])) == 10


def test_functions_that_draw_other_bits_in_a_program_are_called_for_each_member(monkeypatch):
    def init(key):
        traced = isinstance(key, jax.core.Tracer)
        return {"w": jax.random.normal(key, (3,)) + (1 if traced else 0)}

    one_by_one, many = (draw(init, many=m, monkeypatch=monkeypatch) for m in (False, True))
    assert same_bits(one_by_one, many)


@pytest.mark.parametrize("key_kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_other_kinds_of_keys_draw_what_they_draw_alone(monkeypatch, key_kind):
    def init(key):
        return {"w": jax.random.normal(key, (3,))}

    one_by_one, many = (
        draw(init, many=m, key_kind=key_kind, monkeypatch=monkeypatch) for m in (False, True)
    )
    assert same_bits(one_by_one, many)
