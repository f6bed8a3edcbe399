"""Tests that padding hidden layers with zeros changes nothing, in training too."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import X, assert_same, fit, make_loader

import jaxmlp
from jaxmlp.ensembles import crop_widths, pad_widths
from jaxmlp.network import ACTIVATIONS

WIDE = (12, 7)
CONFIGS = [
    jaxmlp.MLPConfig(in_features=4, hidden_features=widths, out_features=3, activation="tanh")
    for widths in ((5, 7), (8, 2), (12, 7))
]
NARROW = CONFIGS[0]
PARAMS = [jaxmlp.init_params(config, key=jax.random.key(k)) for k, config in enumerate(CONFIGS)]
ZERO_AT_ZERO = sorted(
    name for name, activation in ACTIVATIONS.items() if activation.function(jnp.zeros(2))[0] == 0
)


def change(config=NARROW, **fields):
    return dataclasses.replace(config, **fields)


def widen(config):
    return change(config, hidden_features=WIDE)


def assert_close(a, b):
    # Sums with zeros in them are taken in another order.
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), a, b)


@pytest.mark.parametrize(
    "config",
    [
        NARROW,
        *(change(activation=("relu", name)) for name in ("swiglu", "gelu", "leaky_relu")),
        change(activation="glu", use_bias=False),
        change(hidden_features=(5, 5), residual=True),
        change(hidden_features=(), activation="relu"),
    ],
)
def test_padding_changes_no_output_and_cropping_undoes_it(config):
    params = jaxmlp.with_standardization(jaxmlp.init_params(config, key=jax.random.key(0)), X)
    hidden_features = (9,) * len(config.hidden_features)
    padded = pad_widths(params, config, hidden_features)
    wide = change(config, hidden_features=hidden_features)
    drawn = jaxmlp.with_standardization(jaxmlp.init_params(wide, key=jax.random.key(0)), X)
    assert jax.tree.map(jnp.shape, padded) == jax.tree.map(jnp.shape, drawn)
    np.testing.assert_allclose(
        jaxmlp.apply(padded, X, config=wide),
        jaxmlp.apply(params, X, config=config),
        rtol=1e-5,
        atol=1e-6,  # As in assert_close.
    )
    assert_same(crop_widths(padded, config), params)


def test_every_activation_with_f_of_0_equal_to_0_can_be_padded_and_no_other():
    for name in ACTIVATIONS:
        config = change(activation=name)
        params = jaxmlp.init_params(config, key=jax.random.key(0))
        if name in ZERO_AT_ZERO:
            pad_widths(params, config, WIDE)
        else:
            with pytest.raises(
                ValueError, match=rf"f\(0\) = 0 .* got '{name}' with f\(0\) = -?[01]"
            ):
                pad_widths(params, config, WIDE)
    assert {"relu", "tanh", "gelu", "swiglu"} <= set(ZERO_AT_ZERO) < ACTIVATIONS.keys()


def test_an_activation_of_a_layer_that_keeps_its_width_does_not_matter():
    config = change(activation=("tanh", "sigmoid"))
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    pad_widths(params, config, (12, 7))
    with pytest.raises(ValueError, match=r"got 'sigmoid' with f\(0\) = 0\.5"):
        pad_widths(params, config, (12, 8))


def test_padded_members_are_the_narrow_networks_trained_alone():
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.03, weight_decay=0.1))
    keys = jax.random.split(jax.random.key(7), 3)
    padded = [
        pad_widths(params, config, WIDE) for params, config in zip(PARAMS, CONFIGS, strict=True)
    ]
    criterion = jaxmlp.losses.softmax_cross_entropy
    result = jaxmlp.fit_members(
        jaxmlp.make_loss(widen(NARROW), criterion),
        optimizer,
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *padded),
        make_loader(),
        epochs=8,
        keys=keys,
    )
    for k, config in enumerate(CONFIGS):
        alone = fit(
            loss_fn=jaxmlp.make_loss(config, criterion),
            optimizer=optimizer,
            params=PARAMS[k],
            epochs=8,
            key=keys[k],
        )
        # That padded units are zero still, crop_widths checks.
        assert_close(crop_widths(result.member(k), config), alone.params)


def test_member_axes_are_left_alone():
    stacked = jax.vmap(lambda key: jaxmlp.init_params(NARROW, key=key))(
        jax.random.split(jax.random.key(0), 4)
    )
    padded = pad_widths(stacked, NARROW, WIDE)
    assert padded.hidden[1].kernel.shape == (4, 12, 7)
    one = jax.tree.map(lambda leaf: leaf[2], stacked)
    assert_same(jax.tree.map(lambda leaf: leaf[2], padded), pad_widths(one, NARROW, WIDE))
    assert_same(crop_widths(padded, NARROW), stacked)


def test_both_can_be_jitted():
    @jax.jit
    def there_and_back(params):
        return crop_widths(pad_widths(params, NARROW, WIDE), NARROW)

    assert_same(there_and_back(PARAMS[0]), PARAMS[0])


def test_what_would_be_cut_off_must_be_zero():
    drawn = jaxmlp.init_params(widen(NARROW), key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"must be zero beyond hidden_features=\(5, 7\)"):
        crop_widths(drawn, NARROW)


@pytest.mark.parametrize(
    ("config", "hidden_features", "message"),
    [
        (NARROW, (12,), "hidden_features must have one width for each of 2 hidden layers"),
        (NARROW, (12, 6), "hidden_features[1] must be at least the width 7 of config; got 6"),
        (change(norm="layer"), WIDE, "config must have no norm to be padded"),
        (
            change(hidden_features=(5, 6)),
            WIDE,
            "params must have kernels of shapes [(4, 5), (5, 6)",
        ),
    ],
)
def test_widths_that_do_not_fit_are_refused(config, hidden_features, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        pad_widths(PARAMS[0], config, hidden_features)


def test_networks_that_are_no_wider_are_refused():
    padded = pad_widths(PARAMS[0], NARROW, WIDE)
    with pytest.raises(ValueError, match=r"hidden_features\[0\] must be at least the width 13"):
        crop_widths(padded, change(hidden_features=(13, 7)))
    with pytest.raises(ValueError, match="params must have the 1 hidden layers of config; got 2"):
        crop_widths(padded, change(hidden_features=(5,)))


@pytest.mark.bad_input
def test_other_params_are_refused():
    with pytest.raises(TypeError, match=r"params must be jaxmlp\.Params, .* got a dict"):
        pad_widths({}, NARROW, WIDE)
    with pytest.raises(TypeError, match=r"params must be jaxmlp\.Params, .* got a dict"):
        crop_widths({}, NARROW)
