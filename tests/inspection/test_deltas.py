"""Deltas dL/dz against independent backpropagation row by row, and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
import reference_losses
from networks import make_config, make_inputs, make_params, widened
from test_gradient_norms import NETWORKS, ROWS, make_batch

import jaxmlp
from jaxmlp import losses

WEIGHT = np.array([1.0, 0.0, 2.5, 0.3, 1.0, 4.0])
compiled = jax.jit(jaxmlp.deltas, static_argnames=("config", "criterion"))


def with_biases(params):
    """The same network with a bias in every layer, zeros where it had none."""

    def bias(dense):
        own = np.zeros(dense.kernel.shape[-1]) if dense.bias is None else dense.bias
        return dense._replace(bias=own)

    return params._replace(hidden=tuple(map(bias, params.hidden)), output=bias(params.output))


def oracle(params, batch, config, criterion=reference_losses.squared_error):
    """The gradient with respect to a bias, of each row alone: delta by the chain rule."""
    params = with_biases(widened(params))
    weight = np.ones(ROWS) if batch.weight is None else np.asarray(batch.weight, np.float64)
    rows = []
    for index in range(ROWS):
        x, y = np.asarray(batch.x[[index]], np.float64), batch.y[[index]]
        _, d_outputs = criterion(reference.forward(params, x, config), y)
        share = weight[index] / weight.sum()
        gradient = reference.backward(params, x, config, share * d_outputs)
        rows.append([dense.bias for dense in (*gradient.hidden, gradient.output)])
    return tuple(np.stack(layer) for layer in zip(*rows, strict=True))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", NETWORKS)
def test_deltas_equal_those_of_the_oracle(name, weight):
    config = make_config(param_dtype="float64", **NETWORKS[name])
    params, batch = make_params(config), make_batch(np.float64)._replace(weight=weight)
    got = compiled(params, batch, config=config, criterion=losses.squared_error)
    wanted = oracle(params, batch, config)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        # Up to four layers back, of a few roundings each, with norms that magnify them.
        reference.assert_close(one, other, 256 * np.finfo(np.float64).eps)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_deltas_equal_finite_differences_of_the_net_inputs(layer):
    config = make_config(hidden_features=(6, 4), norm="layer", param_dtype="float64")
    params = make_params(config)
    batch = make_batch(np.float64)._replace(weight=WEIGHT)
    delta = jaxmlp.deltas(params, batch, config=config, criterion=losses.squared_error)[layer]

    def loss(shift):
        """With a shift of every row's net input in one layer, in NumPy."""
        layers = [*params.hidden, params.output]
        layers[layer] = layers[layer]._replace(bias=layers[layer].bias + shift)
        moved = params._replace(hidden=tuple(layers[:-1]), output=layers[-1])
        outputs = reference.forward(moved, batch.x, config)
        row_losses, d_outputs = reference_losses.squared_error(outputs, batch.y)
        return reference_losses.weighted_mean(row_losses, d_outputs, WEIGHT)[0]

    step = 1e-6
    for index in np.ndindex(*delta.shape):
        shift = np.zeros(delta.shape)
        shift[index] = step
        # Central differences: an error of step**2, and rounding of 1e-16 / step.
        difference = (loss(shift) - loss(-shift)) / (2 * step)
        np.testing.assert_allclose(delta[index], difference, atol=1e-8)


def test_kernel_gradients_are_inputs_times_deltas():
    config = make_config(hidden_features=(6, 4), activation="swiglu")
    params, batch = make_params(config), make_batch(np.float32)
    loss_fn = jaxmlp.make_loss(config, losses.squared_error)
    gradient = jax.grad(lambda p: loss_fn(p, batch, None)[0])(params)
    layers = jaxmlp.intermediates(params, batch.x, config=config)
    deltas = jaxmlp.deltas(params, batch, config=config, criterion=losses.squared_error)
    for dense, layer, delta in zip(
        (*gradient.hidden, gradient.output), layers, deltas, strict=True
    ):
        assert delta.shape == layer.net_input.shape
        np.testing.assert_allclose(layer.inputs.T @ delta, dense.kernel, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(delta.sum(axis=0), dense.bias, rtol=1e-4, atol=1e-6)


def test_rows_of_weight_0_have_deltas_of_0():
    config = make_config(hidden_features=(6,))
    batch = make_batch(np.float32)._replace(weight=WEIGHT)
    got = jaxmlp.deltas(
        make_params(config), batch, config=config, criterion=losses.squared_error
    )  # fmt: skip
    for delta in got:
        assert (delta[1] == 0).all()
        assert (delta[0] != 0).any()


def test_x_may_have_any_number_of_batch_axes():
    config = make_config(hidden_features=(6,))
    params, batch = make_params(config), make_batch(np.float32)
    options = {"config": config, "criterion": losses.squared_error}
    flat = jaxmlp.deltas(params, batch, **options)
    cut = jaxmlp.Batch(batch.x.reshape(2, 3, 5), batch.y.reshape(2, 3, 3))
    for one, other in zip(jaxmlp.deltas(params, cut, **options), flat, strict=True):
        np.testing.assert_allclose(one.reshape(other.shape), other, rtol=1e-5, atol=1e-7)


def test_dropout_draws_as_the_loss_does():
    config = make_config(hidden_features=(6,), dropout_rate=0.5)
    params, batch, key = make_params(config), make_batch(np.float32), jax.random.key(3)
    loss_fn = jaxmlp.make_loss(config, losses.squared_error)
    gradient = jax.grad(lambda p: loss_fn(p, batch, key)[0])(params)
    got = jaxmlp.deltas(params, batch, config=config, criterion=losses.squared_error, key=key)
    np.testing.assert_allclose(got[0].sum(axis=0), gradient.hidden[0].bias, rtol=1e-5, atol=1e-7)


FUNCTIONS = pytest.mark.parametrize("function", [jaxmlp.deltas, jaxmlp.per_example_grad_norms])


@FUNCTIONS
class TestWhatMakeLossRefuses:
    def test_a_criterion_that_averages_over_rows(self, function):
        config = make_config()
        with pytest.raises(ValueError, match=r"criterion must return one loss per row, shape \(6"):
            function(
                make_params(config), make_batch(np.float32), config=config,
                criterion=lambda o, y: jnp.mean((o - y) ** 2),
            )  # fmt: skip

    def test_a_softmax_taken_twice(self, function):
        config = make_config(output_activation="softmax")
        batch = jaxmlp.Batch(make_inputs((6, 5), np.float32), np.zeros(6, int))
        with pytest.raises(ValueError, match="softmax_cross_entropy takes raw outputs, but the"):
            function(
                make_params(config), batch, config=config, criterion=losses.softmax_cross_entropy
            )  # fmt: skip

    @pytest.mark.bad_input
    def test_a_tuple_of_arrays(self, function):
        config = make_config()
        with pytest.raises(TypeError, match=r"needs a jaxmlp\.Batch\(x, y, weight\); got a tuple"):
            function(
                make_params(config), tuple(make_batch(np.float32)), config=config,
                criterion=losses.squared_error,
            )  # fmt: skip
