"""Activations and their gains against the oracle and their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from jaxmlp.network import ACTIVATIONS, ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS

# An even number of points, so that none is a kink (0, +-1, +-3, 6).
GRID = np.linspace(-8, 8, 400)
# XLA's tanh is off by up to 7 eps. The slope of gelu multiplies 1 - tanh(u)**2 by z u' / 2 < 30.
VALUE_RTOL = 16 * np.finfo(np.float64).eps
SLOPE_RTOL = 30 * VALUE_RTOL

# Public functions of jax.nn that are no hidden activation. A new one is a decision: add it to the
# config, or here.
NOT_ELEMENTWISE = {
    "dot_product_attention": "attention",
    "get_scaled_dot_general_config": "quantised matrix products",
    "glu": "gated: of the gated activations",
    "initializers": "a module",
    "log1mexp": "log(1 - exp(-x)) is undefined at negative inputs",
    "log_softmax": "acts on an axis",
    "logmeanexp": "reduces an axis",
    "logsumexp": "reduces an axis",
    "one_hot": "encodes integers",
    "scaled_dot_general": "quantised matrix products",
    "scaled_matmul": "quantised matrix products",
    "softmax": "acts on an axis: an output activation only",
    "standardize": "acts on an axis: the norm of the config",
}


def test_the_table_holds_exactly_the_names_of_the_config():
    assert sorted(ACTIVATIONS) == sorted((*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS))


def test_the_oracle_holds_every_activation():
    assert sorted(reference.ELEMENTWISE) == sorted(ELEMENTWISE_ACTIVATIONS)
    assert sorted(reference.GATES) == sorted(GATED_ACTIVATIONS)


def test_every_elementwise_activation_of_jax_is_present():
    public = {name for name in dir(jax.nn) if not name.startswith("_")}
    assert public - NOT_ELEMENTWISE.keys() == set(ELEMENTWISE_ACTIVATIONS) - {"gelu_exact"}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ELEMENTWISE_ACTIVATIONS)
def test_an_elementwise_activation_equals_the_oracle(name):
    got = ACTIVATIONS[name].function(jnp.asarray(GRID))
    reference.assert_close(got, reference.activate(name, GRID), VALUE_RTOL)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ELEMENTWISE_ACTIVATIONS)
def test_the_derivative_of_an_elementwise_activation_equals_the_oracle(name):
    got = jax.vmap(jax.grad(ACTIVATIONS[name].function))(jnp.asarray(GRID))
    wanted = reference.activate_backward(name, GRID, np.ones_like(GRID))
    reference.assert_close(got, wanted, SLOPE_RTOL)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", GATED_ACTIVATIONS)
def test_a_gated_activation_multiplies_its_value_half_by_its_gated_second_half(name):
    z = np.stack([GRID[::-1], GRID], axis=-1)  # (400, 2): value first, gate second
    got = ACTIVATIONS[name].function(jnp.asarray(z))
    reference.assert_close(got, reference.activate(name, z), VALUE_RTOL)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", GATED_ACTIVATIONS)
def test_the_derivative_of_a_gated_activation_equals_the_oracle(name):
    z = np.stack([GRID[::-1], GRID], axis=-1)
    got = jax.grad(lambda z: jnp.sum(ACTIVATIONS[name].function(z)))(jnp.asarray(z))
    wanted = reference.activate_backward(name, z, np.ones((len(z), 1)))
    reference.assert_close(got, wanted, SLOPE_RTOL)


@pytest.mark.parametrize("name", ELEMENTWISE_ACTIVATIONS)
def test_an_activation_and_its_derivative_are_finite_at_large_inputs(name):
    z = jnp.asarray([-1e4, -90.0, 90.0, 1e4], jnp.float32)
    values, slopes = jax.vmap(jax.value_and_grad(ACTIVATIONS[name].function))(z)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_keeps_the_type_of_its_input(name, dtype):
    z = jax.ShapeDtypeStruct((2, 4), dtype)
    assert jax.eval_shape(ACTIVATIONS[name].function, z).dtype == dtype


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_gain_restores_the_mean_square_of_a_standard_normal_net_input(name):
    # The trapezoidal rule on [-12, 12]: the density beyond is below 1e-31, and at this step the
    # error at a kink is of order step**2 = 1e-8.
    z = np.linspace(-12, 12, 240_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    # The value half of a gated activation is independent of its gate and has mean square 1.
    function = (reference.GATES | reference.ELEMENTWISE)[name].value
    mean_square = np.sum(function(z) ** 2 * density) * (z[1] - z[0])
    # The table states six decimals.
    assert ACTIVATIONS[name].gain == pytest.approx(mean_square**-0.5, rel=0, abs=6e-7)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu_exact", "swiglu"])
def test_the_gain_equals_the_quadrature_of_the_librarys_own_function(name):
    # Gauss-Hermite for the weight exp(-z**2 / 2); a kink limits its accuracy to about 1 / nodes.
    nodes, weights = np.polynomial.hermite_e.hermegauss(160)
    z = jnp.asarray(nodes, jnp.float32)
    gated = name in GATED_ACTIVATIONS
    inputs = jnp.stack([jnp.ones_like(z), z], axis=-1) if gated else z
    values = np.asarray(ACTIVATIONS[name].function(inputs), np.float64).reshape(-1)
    mean_square = np.sum(weights * values**2) / weights.sum()
    assert ACTIVATIONS[name].gain == pytest.approx(mean_square**-0.5, rel=2e-3)


TORCH = {name: name for name in ("relu", "relu6", "leaky_relu", "selu", "elu", "celu", "mish")}
TORCH |= {"hard_tanh": "hardtanh", "hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish"}
TORCH |= {"soft_sign": "softsign", "silu": "silu", "log_sigmoid": "logsigmoid"}


@pytest.mark.parametrize("z", [-6.0, -3.0, -1.0, -0.0, 0.0, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("name", TORCH)
def test_derivatives_at_the_kinks_are_those_of_pytorch(name, z):
    torch = pytest.importorskip("torch")
    point = torch.tensor([z], requires_grad=True)
    getattr(torch.nn.functional, TORCH[name])(point).sum().backward()
    got = jax.grad(ACTIVATIONS[name].function)(jnp.float32(z))
    # Smooth ones are rounded in another order.
    np.testing.assert_allclose(got, point.grad.item(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE_ACTIVATIONS if not n.startswith("sparse")])
def test_nan_stays_nan(name):
    assert np.isnan(ACTIVATIONS[name].function(jnp.float32(np.nan)))
