"""Dropout: where it acts, how often, and that it is random by its key alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import make_config, make_inputs, make_params, widened

import jaxmlp

RATE = 0.3
WIDE = make_config(hidden_features=(64, 64), activation="sigmoid", dropout_rate=RATE)
X = make_inputs((50, 5), np.float32)


def layers_of(config, seed=None):
    key = None if seed is None else jax.random.key(seed)
    return jaxmlp.intermediates(make_params(config), X, config=config, key=key)


def test_without_a_key_nothing_is_dropped():
    params = make_params(WIDE)
    without = make_config(hidden_features=(64, 64), activation="sigmoid")
    np.testing.assert_array_equal(
        jaxmlp.apply(params, X, config=WIDE), jaxmlp.apply(params, X, config=without)
    )


def test_at_rate_zero_a_key_changes_nothing():
    config = make_config(hidden_features=(64,))
    params = make_params(config)
    np.testing.assert_array_equal(
        jaxmlp.apply(params, X, config=config, key=jax.random.key(0)),
        jaxmlp.apply(params, X, config=config),
    )


def test_a_hidden_activation_is_dropped_or_divided_by_the_probability_to_keep_it():
    layers = layers_of(WIDE, seed=0)
    for layer, following in itertools.pairwise(layers):
        a, dropped = np.asarray(layer.activation), np.asarray(following.inputs)
        # Sigmoid activations are above 0, so a zero was dropped. One division: one rounding.
        wanted = np.where(dropped == 0, 0, a / np.float32(1 - RATE))
        np.testing.assert_allclose(dropped, wanted, rtol=2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("layer", [0, 1])
def test_the_dropped_fraction_is_the_rate(layer):
    dropped = np.asarray(layers_of(WIDE, seed=0)[layer + 1].inputs) == 0
    # 5 standard errors of a mean of 3200 coins.
    standard_error = np.sqrt(RATE * (1 - RATE) / dropped.size)
    assert abs(dropped.mean() - RATE) < 5 * standard_error


def test_every_unit_and_every_row_is_dropped_alike():
    dropped = np.asarray(layers_of(WIDE, seed=0)[1].inputs) == 0  # (50, 64)
    # 6 standard errors, since the largest of 114 means is looked at.
    assert np.abs(dropped.mean(axis=0) - RATE).max() < 6 * np.sqrt(RATE * (1 - RATE) / 50)
    assert np.abs(dropped.mean(axis=1) - RATE).max() < 6 * np.sqrt(RATE * (1 - RATE) / 64)


def test_the_mean_over_keys_is_the_output_without_dropout():
    # With one hidden layer the logits are linear in what dropout changes.
    config = make_config(hidden_features=(8,), activation="sigmoid", dropout_rate=RATE)
    params = make_params(config)
    keys = jax.random.split(jax.random.key(0), 4000)
    outputs = jax.vmap(lambda key: jaxmlp.apply(params, X[:3], config=config, key=key))(keys)
    samples = widened(outputs)
    standard_error = samples.std(axis=0) / np.sqrt(len(samples))
    wanted = jaxmlp.apply(params, X[:3], config=config)
    assert (np.abs(samples.mean(axis=0) - wanted) < 5 * standard_error).all()


def test_the_first_layer_sees_every_input():
    np.testing.assert_array_equal(layers_of(WIDE, seed=0)[0].inputs, X)


def test_outputs_are_never_dropped():
    config = make_config(hidden_features=(8,), output_activation="sigmoid", dropout_rate=0.9)
    output = layers_of(config, seed=0)[-1]
    np.testing.assert_array_equal(output.activation, jax.nn.sigmoid(output.net_input))


def test_a_residual_connection_passes_its_layers_dropout_by():
    config = make_config(
        hidden_features=(16, 16), residual=True, activation="sigmoid", dropout_rate=0.5
    )
    _, second, output = layers_of(config, seed=0)
    added = widened(output.inputs) - widened(second.inputs)
    # Dropped entries add nothing, so the layer's input comes through: half of them.
    is_dropped = np.abs(added) < 1e-6
    assert 0.4 < is_dropped.mean() < 0.6
    kept = widened(second.activation)[~is_dropped] / 0.5
    np.testing.assert_allclose(added[~is_dropped], kept, rtol=1e-5)  # a sum of numbers below 4


def test_the_same_key_gives_the_same_mask():
    first, second = layers_of(WIDE, seed=0), layers_of(WIDE, seed=0)
    np.testing.assert_array_equal(first[-1].activation, second[-1].activation)


def test_different_keys_give_different_masks():
    first, second = layers_of(WIDE, seed=0), layers_of(WIDE, seed=1)
    assert not np.array_equal(first[1].inputs == 0, second[1].inputs == 0)


def test_layers_have_different_masks():
    layers = layers_of(WIDE, seed=0)
    agreement = np.mean((layers[1].inputs == 0) == (layers[2].inputs == 0))
    # Independent masks agree with probability rate**2 + (1 - rate)**2; 5 standard errors.
    expected = RATE**2 + (1 - RATE) ** 2
    assert abs(agreement - expected) < 5 * np.sqrt(expected * (1 - expected) / (50 * 64))


def test_dropout_under_jit_draws_the_same_mask():
    compiled = jax.jit(jaxmlp.intermediates, static_argnames="config")
    layers = compiled(make_params(WIDE), X, config=WIDE, key=jax.random.key(0))
    np.testing.assert_array_equal(layers[1].inputs == 0, layers_of(WIDE, seed=0)[1].inputs == 0)


def test_the_gradient_is_zero_where_an_activation_was_dropped():
    config = make_config(hidden_features=(16,), activation="sigmoid", dropout_rate=0.5)
    params, key = make_params(config), jax.random.key(0)

    def summed(bias):
        first = params.hidden[0]._replace(bias=bias)
        outputs = jaxmlp.apply(params._replace(hidden=(first,)), X[:1], config=config, key=key)
        return jnp.sum(outputs)

    slopes = np.asarray(jax.grad(summed)(params.hidden[0].bias))
    inputs = jaxmlp.intermediates(params, X[:1], config=config, key=key)[-1].inputs[0]
    np.testing.assert_array_equal(slopes == 0, inputs == 0)
