"""Initial parameters as a function of the key, and the types they are drawn in."""

import operator

import jax
import numpy as np
import pytest
from networks import make_config

import jaxmlp

pytestmark = pytest.mark.long

CONFIG = make_config(hidden_features=(5, 5), in_features=5, out_features=5, kernel_init="torch")


def init(seed=0, config=CONFIG):
    return jaxmlp.init_params(config, key=jax.random.key(seed))


def test_the_same_key_draws_the_same_params():
    jax.tree.map(np.testing.assert_array_equal, init(3), init(3))


def test_different_keys_draw_different_params():
    assert not any(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(init(0)), jax.tree.leaves(init(1)), strict=True)
    )


def test_layers_of_one_shape_are_drawn_differently():
    params = init()
    drawn = [np.asarray(dense.kernel) for dense in (*params.hidden, params.output)]
    assert len({kernel.tobytes() for kernel in drawn}) == 3


def test_a_further_layer_leaves_those_before_it_alone():
    deeper = make_config(
        hidden_features=(5, 5, 5), in_features=5, out_features=5, kernel_init="torch"
    )
    jax.tree.map(np.testing.assert_array_equal, init(config=deeper).hidden[:2], init().hidden)


@pytest.mark.parametrize("kernel_init", ["he_normal", "orthogonal"])
def test_vmap_over_keys_equals_a_loop(kernel_init):
    config = make_config(hidden_features=(6,), kernel_init=kernel_init, norm="layer")
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.jit(jax.vmap(lambda key: jaxmlp.init_params(config, key=key)))(keys)
    alone = [jaxmlp.init_params(config, key=key) for key in keys]
    looped = jax.tree.map(lambda *leaves: np.stack(leaves), *alone)
    # The inverse error function and the QR decomposition may be vectorised in another order.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), together, looped)


def test_jit_draws_the_same_params():
    compiled = jax.jit(jaxmlp.init_params, static_argnums=0)(CONFIG, key=jax.random.key(0))
    # Fusion may round the scaling of a draw differently.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-7), compiled, init())


# Drawn with JAX 0.10.1 and 0.12.0 alike. With another stream a saved seed means another network:
# a decision, and a line in the changelog.
GOLDEN = {
    "he_normal": (
        [[-0.50661689, 0.70116574], [-0.22977869, 1.21295130], [-0.46211076, -1.43238759]],
        [0.0, 0.0],
    ),
    "torch": (
        [[-0.25089335, 0.33266607], [-0.11826041, 0.48915794], [-0.23069996, -0.53059500]],
        [-0.45692611, -0.18014762],
    ),
}


@pytest.mark.parametrize("kernel_init", GOLDEN)
def test_a_seed_means_the_same_params_in_every_version(kernel_init):
    config = make_config(in_features=3, hidden_features=(2,), kernel_init=kernel_init)
    dense = init(config=config).hidden[0]
    kernel, bias = GOLDEN[kernel_init]
    np.testing.assert_allclose(dense.kernel, kernel, rtol=1e-6)  # eight digits are written
    np.testing.assert_allclose(dense.bias, bias, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("kernel_init", ["he_normal", "orthogonal", "torch"])
def test_all_arrays_have_the_param_dtype(kernel_init, dtype):
    config = make_config(
        hidden_features=(6,), norm="layer", kernel_init=kernel_init, param_dtype=dtype
    )
    assert {leaf.dtype.name for leaf in jax.tree.leaves(init(config=config))} == {dtype}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kernel_init", ["he_normal", "orthogonal", "torch"])
def test_16_bit_params_are_those_of_float32_rounded(kernel_init, dtype):
    def hidden(param_dtype):
        config = make_config(
            hidden_features=(6,), kernel_init=kernel_init, param_dtype=param_dtype
        )  # fmt: skip
        return init(config=config).hidden

    rounded = jax.tree.map(lambda a: a.astype(dtype), hidden("float32"))
    jax.tree.map(np.testing.assert_array_equal, hidden(dtype), rounded)


@pytest.mark.usefixtures("x64")
def test_float64_params_are_drawn_with_64_bit_types():
    config = make_config(hidden_features=(6,), param_dtype="float64")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(init(config=config))} == {"float64"}


@pytest.mark.parametrize("field", ["param_dtype", "compute_dtype"])
def test_float64_is_refused_without_64_bit_types(field):
    config = make_config(**{field: "float64"})
    with pytest.raises(ValueError, match=rf"{field}='float64' requires 64-bit JAX types.*call"):
        init(config=config)


@pytest.mark.bad_input
@pytest.mark.parametrize("key", [0, None, np.zeros(2, np.uint32)])
def test_a_key_that_is_no_typed_key_is_refused(key):
    message = (
        r"init_params needs a typed JAX random key; got .* Make one with jax\.random\.key\(0\)"
    )
    with pytest.raises(TypeError, match=message):
        jaxmlp.init_params(CONFIG, key=key)


@pytest.mark.bad_input
def test_a_legacy_key_is_refused():
    message = r"init_params needs a typed JAX random key; .* with jax\.random\.wrap_key_data"
    with pytest.raises(TypeError, match=message):
        jaxmlp.init_params(CONFIG, key=jax.random.PRNGKey(0))


@pytest.mark.bad_input
def test_several_keys_are_refused_with_a_hint_at_vmap():
    message = r"init_params needs one key; got an array of keys of shape \(3,\)\. Use jax\.vmap"
    with pytest.raises(TypeError, match=message):
        jaxmlp.init_params(CONFIG, key=jax.random.split(jax.random.key(0), 3))


def test_orthogonal_kernels_of_many_networks_are_drawn_in_one_program():
    # Several batched decompositions in one program never end on two threads of XLA:CPU (jax 0.10).
    config = jaxmlp.MLPConfig(
        in_features=13, hidden_features=(30, 17), out_features=3, kernel_init="orthogonal"
    )
    keys = jax.random.split(jax.random.key(3), 256)
    many = jax.jit(jax.vmap(lambda key: jaxmlp.init_params(config, key=key)))(keys)
    for member in (0, 255):
        its_own = jax.tree.map(operator.itemgetter(member), many)
        one = jaxmlp.init_params(config, key=keys[member])
        jax.tree.map(np.testing.assert_array_equal, its_own, one)
