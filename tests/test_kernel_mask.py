"""Tests of `kernel_mask`: which leaves weight decay acts on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxmlp import (
    Dense,
    MLPConfig,
    Norm,
    Params,
    init_params,
    init_state,
    kernel_mask,
    make_train_step,
    mup_labels,
)

KEY = jax.random.key(0)


def config_of(**fields):
    return MLPConfig(in_features=3, hidden_features=(4, 4), out_features=2, **fields)


def params_of(**fields):
    return init_params(config_of(**fields), key=KEY)


def test_it_marks_kernels_and_neither_biases_nor_norms():
    layer = Dense(kernel=True, bias=False, norm=Norm(scale=False, bias=False))
    expected = Params((layer, layer), Dense(kernel=True, bias=False))
    assert kernel_mask(params_of(norm="layer")) == expected


def test_parts_that_are_missing_stay_missing():
    layer = Dense(kernel=True, bias=None, norm=Norm(scale=False))
    expected = Params((layer, layer), Dense(kernel=True, bias=None))
    assert kernel_mask(params_of(norm="rms", use_bias=False)) == expected


def test_it_marks_the_kernels_of_an_ensemble():
    members = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params_of())
    assert kernel_mask(members) == kernel_mask(params_of())


def test_it_marks_kernels_in_dicts_and_lists():
    params = {
        "first": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
        "rest": [{"kernel": jnp.ones((2, 1)), "kernel_scale": jnp.ones(1)}],
        "temperature": jnp.ones(()),
    }
    assert kernel_mask(params) == {
        "first": {"kernel": True, "bias": False},
        "rest": [{"kernel": True, "kernel_scale": False}],
        "temperature": False,
    }


def test_what_lies_below_a_kernel_is_none():
    params = {"kernel": {"mean": jnp.ones(2)}, "layer": {"kernel": jnp.ones(2)}}
    assert kernel_mask(params) == {"kernel": {"mean": False}, "layer": {"kernel": True}}


def one_step_without_gradient(params, optimizer):
    step = make_train_step(lambda p, *_: (0 * optax.tree.norm(p), {}), optimizer)
    state, _ = step(init_state(params, optimizer, key=KEY), None)
    return state.params


def factors(params, optimizer):
    """By how much one step without a gradient shrinks each leaf."""
    filled = jax.tree.map(jnp.ones_like, params)
    return jax.tree.map(lambda a: a.mean().item(), one_step_without_gradient(filled, optimizer))


def test_adamw_decays_the_kernels_only():
    decayed = factors(params_of(norm="layer"), optax.adamw(0.5, weight_decay=0.5, mask=kernel_mask))
    # Decoupled decay: 1 - learning_rate * weight_decay.
    layer = Dense(kernel=0.75, bias=1.0, norm=Norm(scale=1.0, bias=1.0))
    assert decayed == Params((layer, layer), Dense(kernel=0.75, bias=1.0))


def test_it_works_in_every_group_of_a_partition():
    config = config_of(kernel_init="mup", mup_base_width=2)
    labels, multipliers = mup_labels(config)
    rules = {
        label: optax.adamw(0.5 * factor, weight_decay=0.5, mask=kernel_mask)
        for label, factor in multipliers.items()
    }
    decayed = factors(init_params(config, key=KEY), optax.partition(rules, labels))
    # Hidden and output kernels learn at half the rate: the width is twice the base width.
    expected = Params(
        (Dense(kernel=0.75, bias=1.0), Dense(kernel=0.875, bias=1.0)),
        Dense(kernel=0.875, bias=1.0),
    )
    assert decayed == expected


@pytest.mark.parametrize(
    ("params", "paths"),
    [
        ({"w": np.ones(2), "b": np.ones(1)}, r"\[\"\['b'\]\", \"\['w'\]\"\]"),
        ([np.ones(2)], r"\['\[0\]'\]"),
        (np.ones(2), r"\[''\]"),
        ({}, r"\[\]"),
        (Norm(np.ones(2)), r"\['.scale'\]"),
    ],
)
def test_params_without_kernels_are_refused(params, paths):
    message = f"kernel_mask needs leaves called 'kernel'; got {paths}. Write a mask for these"
    with pytest.raises(ValueError, match=message):
        kernel_mask(params)


def test_an_optimizer_with_the_mask_refuses_params_without_kernels():
    optimizer = optax.adamw(1e-3, mask=kernel_mask)
    with pytest.raises(ValueError, match="kernel_mask needs leaves called 'kernel'"):
        init_state({"w": jnp.ones(2)}, optimizer, key=KEY)
