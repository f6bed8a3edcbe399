"""Tests of networks that standardise their inputs: outputs, gradients, precision, ensembles."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import make_config, make_inputs, make_params

import jaxmlp
from jaxmlp import Standardization, apply, intermediates, losses, with_standardization

MEAN, SCALE = np.array([1.0, -2, 3, 0, 100]), np.array([0.5, 2, 10, 1, 25])
EPS = np.finfo(np.float32).eps


def assert_close(a, b):
    # Products are summed in an order that depends on where the arrays lie.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
    jax.tree.map(close, a, b)


def standardised(config, seed=0):
    dtype = np.promote_types(config.param_dtype, "float32")
    statistics = Standardization(jnp.asarray(MEAN, dtype), jnp.asarray(SCALE, dtype))
    return make_params(config, seed)._replace(standardization=statistics)


def without(params):
    return params._replace(standardization=None)


@pytest.mark.usefixtures("x64")
class TestInFloat64:
    config = make_config(hidden_features=(6,), activation="tanh", param_dtype="float64")

    def test_outputs_are_those_of_standardised_inputs(self):
        params, x = standardised(self.config), make_inputs()
        got = intermediates(params, x, config=self.config)
        expected = intermediates(without(params), (x - MEAN) / SCALE, config=self.config)
        assert_close(got, expected)

    def test_the_gradient_by_the_inputs_is_that_of_finite_differences(self):
        params, x = standardised(self.config), make_inputs((5,))

        def output(x):
            return jnp.sum(apply(params, x, config=self.config) ** 2)

        step = 1e-5 * np.eye(5)
        differences = [(output(x + h) - output(x - h)) / 2e-5 for h in step]
        # Truncation step**2 and rounding eps / step.
        np.testing.assert_allclose(jax.grad(output)(x), differences, rtol=1e-7, atol=1e-9)

    def test_second_derivatives_by_the_inputs_are_those_of_finite_differences(self):
        params, x = standardised(self.config), make_inputs((5,))
        gradient = jax.grad(lambda x: jnp.sum(apply(params, x, config=self.config)))
        step = 1e-5 * np.eye(5)
        differences = [(gradient(x + h) - gradient(x - h)) / 2e-5 for h in step]
        np.testing.assert_allclose(jax.jacfwd(gradient)(x), differences, rtol=1e-7, atol=1e-9)

    def test_the_gradient_by_the_statistics_is_0_and_that_by_the_params_stays(self):
        params, x = standardised(self.config), make_inputs()

        def loss(params, x):
            return jnp.sum(apply(params, x, config=self.config) ** 2)

        got = jax.grad(loss)(params, x)
        assert not any(np.any(leaf) for leaf in got.standardization)
        expected = jax.grad(loss)(without(params), (x - MEAN) / SCALE)
        assert_close(without(got), expected)

    @pytest.mark.parametrize("use_bias", [True, False])
    def test_gradient_norms_per_row_are_those_of_standardised_inputs(self, use_bias):
        config = make_config(hidden_features=(6,), use_bias=use_bias, param_dtype="float64")
        params, x, y = standardised(config), make_inputs(), make_inputs((6, 3))
        norms = functools.partial(
            jaxmlp.per_example_grad_norms, config=config, criterion=losses.squared_error
        )
        got = norms(params, jaxmlp.Batch(x, y))
        expected = norms(without(params), jaxmlp.Batch((x - MEAN) / SCALE, y))
        assert_close(got, expected)


class TestPrecision:
    @pytest.mark.parametrize("compute_dtype", ["bfloat16", "float16"])
    def test_large_means_cancel_before_inputs_become_16_bit(self, compute_dtype):
        config = make_config(compute_dtype=compute_dtype)
        statistics = Standardization(jnp.full(5, 1e5, jnp.float32), jnp.ones(5, jnp.float32))
        params = make_params(config)._replace(standardization=statistics)
        x = np.round(make_inputs(dtype=np.float32)) + 100000
        got = intermediates(params, x, config=config)[-1].inputs
        assert got.dtype == jnp.dtype(compute_dtype)
        np.testing.assert_array_equal(np.asarray(got, np.float32), x - 100000)

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int32])
    def test_integers_give_the_same_as_their_floats(self, dtype):
        config = make_config(hidden_features=(6,))
        x = np.random.default_rng(0).integers(0, 128, (6, 5)).astype(dtype)
        params = with_standardization(make_params(config), x)
        forward = jax.jit(functools.partial(apply, config=config))
        for converted in (x, jnp.asarray(x)):
            np.testing.assert_array_equal(
                forward(params, converted), forward(params, x.astype(np.float32))
            )

    @pytest.mark.usefixtures("x64")
    def test_inputs_in_float64_cancel_in_float64(self):
        config = make_config()
        statistics = Standardization(jnp.full(5, 2.0**27, "float32"), jnp.ones(5, "float32"))
        params = make_params(config)._replace(standardization=statistics)
        x = make_inputs(dtype=np.float32).astype(np.float64)
        got = intermediates(params, np.round(x, 3) + 2**27, config=config)[-1].inputs
        # One rounding of the sum in float64, one of the difference to float32.
        np.testing.assert_allclose(got, np.round(x, 3), atol=2**-25, rtol=2 * EPS)

    def test_half_precision_parameters_keep_statistics_in_float32(self):
        config = make_config(param_dtype="bfloat16")
        params = standardised(config)
        x = make_inputs(dtype=np.float32) * np.float32(SCALE) + np.float32(MEAN)
        inputs = intermediates(params, x, config=config)[-1].inputs
        expected = jnp.asarray((x - np.float32(MEAN)) / np.float32(SCALE), jnp.bfloat16)
        np.testing.assert_array_equal(inputs, expected)


class TestTransformations:
    config = make_config(hidden_features=(6,))

    def test_members_of_an_ensemble_standardise_each_its_own_way(self):
        members = [standardised(self.config, seed) for seed in range(3)]
        members[1] = with_standardization(members[1], make_inputs())
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        x = make_inputs(dtype=np.float32)
        forward = functools.partial(apply, config=self.config)
        got = jax.vmap(forward, in_axes=(0, None))(stacked, x)
        # Batched products are summed in another order.
        expected = [forward(params, x) for params in members]
        np.testing.assert_allclose(got, expected, rtol=64 * EPS, atol=64 * EPS)

    def test_shapes_can_be_asked_for(self):
        shape = jax.eval_shape(
            lambda params, x: apply(params, x, config=self.config),
            standardised(self.config),
            jax.ShapeDtypeStruct((7, 5), jnp.uint8),
        )
        assert shape.shape == (7, 3)

    def test_without_statistics_nothing_is_computed_for_them(self):
        config = make_config(use_bias=False)
        jaxpr = jax.make_jaxpr(functools.partial(apply, config=config))
        equations = jaxpr(make_params(config), make_inputs(dtype=np.float32)).eqns
        assert [str(equation.primitive) for equation in equations] == ["dot_general"]

    def test_kernel_mask_leaves_them_out(self):
        mask = jaxmlp.kernel_mask(standardised(self.config))
        assert mask.standardization == Standardization(mean=False, scale=False)


class TestErrors:
    config = make_config()

    def test_wide_integers_without_a_standardization(self):
        with pytest.raises(TypeError, match=r"x must be floating, or of a type .* float32 holds"):
            apply(make_params(self.config), np.zeros((2, 5), np.int32), config=self.config)

    @pytest.mark.bad_input
    def test_what_is_neither_floating_nor_an_integer(self):
        with pytest.raises(TypeError, match="x must be a floating or integer NumPy or JAX array"):
            apply(standardised(self.config), np.zeros((2, 5), complex), config=self.config)

    @pytest.mark.parametrize("shape", [(), (4,), (3, 5)])
    def test_statistics_of_another_shape(self, shape):
        statistics = Standardization(np.zeros(shape, np.float32), np.ones(shape, np.float32))
        params = make_params(self.config)._replace(standardization=statistics)
        message = (
            r"params\.standardization must have a mean and a scale of shape \(5,\); got .*vmap"
        )
        with pytest.raises(ValueError, match=message):
            apply(params, make_inputs(dtype=np.float32), config=self.config)
