"""Every array of a tree has a name of its own, and comes back by it."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp import CheckpointError
from jaxmlp.storage.key_paths import differences, flatten_by_path, restore_by_path


class Pair(NamedTuple):
    a: object
    b: object = None


def shapes(tree):
    return jax.eval_shape(lambda: tree)


def assert_same(a, b):
    """Same structure, types and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        x, y = (
            jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v
            for v in (x, y)
        )
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def round_trip(tree, skeleton=None):
    return restore_by_path(shapes(tree) if skeleton is None else skeleton, flatten_by_path(tree))


CONFIG = jaxmlp.MLPConfig(in_features=4, hidden_features=(3, 3), out_features=2, norm="layer")
OPTIMIZERS = {
    "adamw": optax.adamw(optax.linear_schedule(1e-3, 0, 10)),
    "masked": optax.masked(optax.adam(0.1), jaxmlp.kernel_mask),
    "partition": optax.partition(
        {"a": optax.adam(0.1), "b": optax.sgd(0.1, momentum=0.9)},
        lambda params: jax.tree.map(lambda p: "a" if p.ndim == 2 else "b", params),
    ),
    "chain": optax.chain(optax.clip_by_global_norm(1.0), optax.add_noise(0.1, 0.5, 0)),
    "inject": optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "lbfgs": optax.lbfgs(),
    "multi": optax.MultiSteps(optax.lion(0.1), 3).gradient_transformation(),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_an_optimizer_comes_back_bit_for_bit(name):
    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    state = jaxmlp.init_state(params, OPTIMIZERS[name], key=jax.random.key(1))
    noise = np.random.default_rng(0)
    state = jax.tree.map(
        lambda a: noise.normal(size=a.shape).astype("f4") if a.dtype == jnp.float32 else a, state
    )
    assert_same(round_trip(state), state)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_random_keys_come_back_with_their_implementation(impl, shape):
    key = jax.random.key(7, impl=impl)
    key = jax.random.split(key, shape) if shape else key
    restored = round_trip({"key": key})["key"]
    assert_same(restored, key)
    draws = [jax.vmap(jax.random.normal)(k.reshape(-1)) for k in (key, restored)]
    np.testing.assert_array_equal(*draws)


def test_a_key_of_another_implementation_is_told():
    arrays = flatten_by_path({"k": jax.random.key(0, impl="rbg")})
    with pytest.raises(CheckpointError, match=r"'k'#rbg is not expected; 'k'#threefry2x32 is miss"):
        restore_by_path({"k": jax.random.key(0)}, arrays)


def test_names_are_these():
    leaf = np.zeros(1)
    tree = Pair((leaf, [leaf]), {"w": leaf, "a.b/ä#'": {3: leaf, -1: leaf}})
    assert list(flatten_by_path(tree)) == [
        "a.0", "a.1.0", "b.'a%2Eb%2F%C3%A4%23%27'.[-1]", "b.'a%2Eb%2F%C3%A4%23%27'.[3]", "b.'w'",
    ]  # fmt: skip
    params = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
    assert list(flatten_by_path(params))[:4] == [
        "hidden.0.kernel", "hidden.0.bias", "hidden.0.norm.scale", "hidden.0.norm.bias",
    ]  # fmt: skip
    assert list(flatten_by_path(leaf)) == ["."]


def test_trees_that_differ_share_no_name():
    leaf = np.zeros(1)
    trees = [
        leaf, [leaf], [None, leaf], Pair(leaf), Pair(None, leaf), Pair(Pair(leaf)), Pair([leaf]),
        {"a": leaf}, {"a.a": leaf}, {"a": {"a": leaf}}, {"a": Pair(leaf)}, {"a'.'a": leaf},
        {"": leaf}, {".": leaf}, {"0": leaf}, {0: leaf}, {-1: leaf}, {"[0]": leaf}, {"a/a": leaf},
        {"a%2Ea": leaf}, {"a%2ea": leaf}, {"'a'": leaf}, {"a#rbg": leaf}, {"A": leaf},
        {"a": jax.random.key(0)}, {"a": jax.random.key(0, impl="rbg")}, {"a": [leaf]}, {"ä": leaf},
    ]  # fmt: skip
    names = [set(flatten_by_path(tree)) for tree in trees]
    assert not any(a & b for a, b in itertools.combinations(names, 2))


def test_a_node_without_field_names_is_named_by_position():
    class Box:
        def __init__(self, *content):
            self.content = content

    jax.tree_util.register_pytree_node(Box, lambda b: (b.content, None), lambda _, c: Box(*c))
    arrays = flatten_by_path([Box(np.zeros(1), np.ones(1))])
    assert list(arrays) == ["0.<0>", "0.<1>"]


def test_arrays_are_found_by_name_not_by_order():
    tree = Pair(jnp.zeros(3), {"x": jnp.ones(3), "y": jnp.full(3, 2.0)})
    arrays = dict(reversed(flatten_by_path(tree).items()))
    assert_same(restore_by_path(shapes(tree), arrays), tree)


def test_empty_parts_and_none_stay():
    tree = {"a": None, "b": (), "c": optax.EmptyState(), "d": optax.MaskedNode(), "e": jnp.ones(2)}
    assert_same(round_trip(tree), tree)


def test_numpy_arrays_come_back_as_numpy_arrays_of_64_bits():
    tree = {"seed": np.array(2**63 + 1, np.uint64), "x": np.float64(0.1), "y": jnp.ones(2)}
    restored = round_trip(tree, tree)
    assert isinstance(restored["seed"], np.ndarray)
    assert isinstance(restored["y"], jax.Array)
    assert restored["seed"].dtype == np.uint64
    assert (int(restored["seed"]), float(restored["x"])) == (2**63 + 1, 0.1)


def test_what_is_stored_does_not_change_with_the_tree_nor_the_tree_with_it():
    tree = {"a": np.zeros(64), "b": jnp.zeros(64)}
    arrays = flatten_by_path(tree)
    restored = restore_by_path(tree, arrays)
    tree["a"][:] = 1
    assert not arrays["'a'"].any()
    for array in arrays.values():
        array[:] = 2
    assert not restored["a"].any()
    assert not restored["b"].any()


def test_all_differences_are_told_at_once():
    skeleton = {"a": jnp.zeros(3), "b": jnp.zeros(3), "c": jnp.zeros(3), "d": jnp.zeros(3)}
    arrays = {"'b'": np.zeros(4, "f4"), "'c'": np.zeros(3, "i4"), "'d'": np.zeros(3, "f4"), "e": 0}
    with pytest.raises(CheckpointError) as caught:
        restore_by_path(skeleton, arrays)
    assert str(caught.value) == (
        "The stored arrays are not those needed: "
        "'a' is missing; "
        "'b' must have shape (3,) and type float32, but has (4,) and float32; "
        "'c' must have shape (3,) and type float32, but has (3,) and int32; "
        "e is not expected"
    )
    assert differences({"a": 1 * skeleton["a"]}, {"'a'": np.zeros(3, "f4")}) == []


def test_64_bits_are_not_narrowed_silently():
    with jax.enable_x64(True):
        skeleton = {"a": jax.ShapeDtypeStruct((2,), "float64")}
    with pytest.raises(ValueError, match=r"float64 require 64-bit JAX types, which are off; call"):
        restore_by_path(skeleton, {"'a'": np.zeros(2)})


@pytest.mark.parametrize("leaf", [1, 1.0, True, "text", object()])
def test_a_leaf_that_is_no_array_is_told(leaf):
    with pytest.raises(TypeError, match=r"^a\.0 must be an array to be stored; got .*jnp.asarray"):
        flatten_by_path(Pair([leaf]))


@pytest.mark.parametrize("key", [(1, 2), 1.5, True, np.int64(1)])
def test_a_dict_key_that_has_no_name_is_told(key):
    with pytest.raises(TypeError, match=r"dict keys that are str or int; got DictKey"):
        flatten_by_path({key: np.zeros(1)})
