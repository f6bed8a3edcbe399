"""A layer has the same numbers from a program that many shapes share and from one of its own."""

import jax
import numpy as np
import pytest
from networks import make_config

import jaxmlp
from jaxmlp.network import draws

INITS = ("rich", "torch", "he_normal", "glorot_uniform")
# Kernels of 2 to 6,000 numbers: some fill the smallest shared size, one exceeds it by a row.
SHAPES = ((2, (), 1), (3, (2,), 2), (64, (64, 65), 10), (30, (200, 7), 4))


def bits(params):
    return [(leaf.dtype, np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(params)]


@pytest.fixture
def without_sharing(monkeypatch):
    """Has each shape drawn by a program of its own, as other devices do."""
    monkeypatch.setattr(draws, "_SIZES", (0,))


def draw(shape, seed=0, **settings):
    in_features, hidden, out = shape
    config = make_config(
        in_features=in_features, hidden_features=hidden, out_features=out, **settings
    )
    return jaxmlp.init_params(config, key=jax.random.key(seed))


@pytest.mark.parametrize("kernel_init", INITS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_shared_program_draws_the_bits_of_a_layers_own(kernel_init, dtype, request):
    settings = {"kernel_init": kernel_init, "param_dtype": dtype}
    shared = [bits(draw(shape, **settings)) for shape in SHAPES]
    request.getfixturevalue("without_sharing")
    assert shared == [bits(draw(shape, **settings)) for shape in SHAPES]


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_layer_is_put_together_alike(norm, use_bias, request):
    settings = {"norm": norm, "use_bias": use_bias, "kernel_init": "torch"}
    shared = draw(SHAPES[1], **settings)
    request.getfixturevalue("without_sharing")
    own = draw(SHAPES[1], **settings)
    assert jax.tree.structure(shared) == jax.tree.structure(own)
    assert bits(shared) == bits(own)


def test_layers_too_large_to_share_stand_beside_those_that_do(monkeypatch):
    own = bits(draw((64, (65,), 10)))
    monkeypatch.setattr(draws, "_SIZES", (4096,))
    assert 64 * 65 > 4096
    assert bits(draw((64, (65,), 10))) == own


def test_keys_on_a_device_draw_there():
    device = jax.devices()[-1]
    key = jax.device_put(jax.random.key(0), device)
    config = make_config()
    params = jaxmlp.init_params(config, key=key)
    assert all(leaf.committed and leaf.device == device for leaf in jax.tree.leaves(params))
    elsewhere = jaxmlp.init_params(config, key=jax.random.key(0))
    assert not any(leaf.committed for leaf in jax.tree.leaves(elsewhere))
    assert bits(params) == bits(elsewhere)


def test_other_kinds_of_keys_draw_what_a_program_of_the_shape_draws(request):
    config = make_config()
    key = jax.random.key(0, impl="rbg")
    params = bits(jaxmlp.init_params(config, key=key))
    request.getfixturevalue("without_sharing")
    assert params == bits(jaxmlp.init_params(config, key=key))


def test_keys_that_are_not_partitionable_too(request):
    config = make_config()
    with jax.threefry_partitionable(False):
        params = bits(jaxmlp.init_params(config, key=jax.random.key(0)))
        request.getfixturevalue("without_sharing")
        assert params == bits(jaxmlp.init_params(config, key=jax.random.key(0)))


def test_a_program_around_it_may_hold_the_key():
    config, key = make_config(), jax.random.key(0)
    inside = jax.jit(lambda: jaxmlp.init_params(config, key=key))()
    # Fusion may round the scaling of a draw differently.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-7),
        inside,
        jaxmlp.init_params(config, key=key),
    )


def test_nothing_moves_between_host_and_device_unasked():
    config, key = make_config(), jax.random.key(0)
    jaxmlp.init_params(config, key=key)
    with jax.transfer_guard_device_to_host("disallow"):
        jaxmlp.init_params(config, key=key)


def test_parameters_do_not_keep_what_was_drawn_too_much():
    for leaf in jax.tree.leaves(draw((3, (2,), 2))):
        array = np.asarray(leaf)
        while array.base is not None and isinstance(array.base, np.ndarray):
            array = array.base
        assert array.nbytes <= 64
