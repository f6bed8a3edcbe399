"""Networks go to Flax, NNX and Linen, and come back bit for bit; those trained there come in."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from equal_networks import assert_comes_back, assert_same_params, digits, tolerance_of
from flax import linen as nn
from flax import nnx
from network_family import Network, family, params_of, wanted_outputs

import jaxmlp
from jaxmlp.interchange import from_linen, from_nnx, to_linen, to_nnx

RESIDUAL = jaxmlp.MLPConfig(
    in_features=64, hidden_features=(8, 8, 8), out_features=10, residual=True, norm="rms",
    activation=("geglu", "gelu_exact", "leaky_relu"), dropout_rate=0.25,
)  # fmt: skip
X, Y = digits()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("numbers", [(0, 60), pytest.param((60, 600), marks=pytest.mark.slow)])
def test_networks_come_back_bit_for_bit(numbers):
    for net in family(start=numbers[0], stop=numbers[1]):
        assert_comes_back(from_nnx(to_nnx(net.config, net.params)), net)
        assert_comes_back(from_linen(*to_linen(net.config, net.params)), net)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("numbers", [(0, 12), pytest.param((12, 140), marks=pytest.mark.slow)])
def test_networks_compute_the_same(numbers):
    for net in family(start=numbers[0], stop=numbers[1]):
        x = jnp.asarray(net.x)
        if net.params.standardization is None:
            x = x.astype(net.config.param_dtype)
        module = to_nnx(net.config, net.params)
        module.eval()
        linen, variables = to_linen(net.config, net.params)
        tolerance = tolerance_of(net.config)
        wanted = wanted_outputs(net._replace(x=np.asarray(x, np.float64)))
        # Flax adds numbers of two types.
        with jax.numpy_dtype_promotion("standard"):
            both = jax.jit(module)(x), jax.jit(linen.apply)(variables, x)
        for outputs in both:
            assert outputs.dtype == net.config.param_dtype
            got = np.asarray(outputs, np.float64)
            np.testing.assert_allclose(
                got, wanted, rtol=tolerance, atol=tolerance, err_msg=repr(net.config)
            )


def assert_equal_outputs(found, outputs):
    """The network that comes in has the outputs that it has in Flax, to float32's rounding."""
    config, params = found
    got = jaxmlp.apply(params, X, config=config)
    np.testing.assert_allclose(got, outputs, rtol=1e-4, atol=1e-5)
    return config, params


def cross_entropy(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()


def train_nnx(module):
    """Some steps on digits, after which no weight is as it was drawn."""
    optimizer = nnx.Optimizer(module, optax.sgd(0.1), wrt=nnx.Param)

    def loss(module):
        return cross_entropy(module(X, rngs=nnx.Rngs(dropout=0)))

    for _ in range(3):
        optimizer.update(module, nnx.grad(loss)(module))
    module.eval()
    return module


def train_linen(module, variables, **settings):
    params = variables["params"]

    def loss(params):
        return cross_entropy(module.apply({**variables, "params": params}, X, **settings))

    for _ in range(3):
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))
    return {**variables, "params": params}


def test_a_network_goes_on_training_in_nnx_and_comes_back():
    params = params_of(RESIDUAL, 0, standardised=True)
    module = train_nnx(to_nnx(RESIDUAL, params))
    config, trained = assert_equal_outputs(from_nnx(module), module(X))
    assert config.dropout_rate == 0.25
    assert not np.array_equal(trained.output.kernel, params.output.kernel)
    assert_same_params(trained.standardization, params.standardization)


def test_a_network_goes_on_training_in_linen_and_comes_back():
    params = params_of(RESIDUAL, 0, standardised=True)
    dropping, variables = to_linen(RESIDUAL, params, deterministic=False)
    variables = train_linen(dropping, variables, rngs={"dropout": jax.random.key(0)})
    module, _ = to_linen(RESIDUAL, params)
    config, trained = assert_equal_outputs(
        from_linen(module, variables), module.apply(variables, X)
    )
    assert config.dropout_rate == 0.25
    assert not np.array_equal(trained.output.kernel, params.output.kernel)
    assert_same_params(trained.standardization, params.standardization)


def test_names_of_variables_are_those_that_linen_gives():
    config = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=1, norm="layer")
    module, variables = to_linen(config, params_of(config, 0))
    drawn = module.init(jax.random.key(0), jnp.zeros((1, 2)))
    assert jax.tree.structure(drawn) == jax.tree.structure(variables)


@pytest.mark.parametrize("norm", [nnx.LayerNorm, nnx.RMSNorm])
def test_networks_of_nnx_have_equal_outputs(norm):
    rngs = nnx.Rngs(0)
    module = nnx.Sequential(
        nnx.Sequential(nnx.Linear(64, 16, rngs=rngs), norm(16, rngs=rngs), nnx.gelu),
        nnx.Dropout(0.1),
        nnx.Linear(16, 8, use_bias=False, rngs=rngs),
        norm(8, rngs=rngs),
        functools.partial(nnx.leaky_relu, negative_slope=0.01),
        nnx.Dropout(0.1),
        nnx.Linear(8, 10, rngs=rngs),
    )
    train_nnx(module)
    config, _ = assert_equal_outputs(from_nnx(module), module(X))
    assert config.activation == ("gelu", "leaky_relu")
    assert (config.norm_epsilon, config.dropout_rate) == (1e-6, 0.1)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_networks_of_linen_have_equal_outputs(norm):
    block = nn.Sequential([nn.Dense(8, use_bias=False), norm(), nn.silu])
    module = nn.Sequential([nn.Dense(16, name="first"), norm(), nn.tanh, block, nn.Dense(10)])
    variables = train_linen(module, module.init(jax.random.key(0), X))
    for given in (variables, variables["params"]):
        found = from_linen(module, given)
        config, _ = assert_equal_outputs(found, module.apply(variables, X))
        assert config.activation == ("tanh", "silu")


class Compact(nn.Module):
    """As most write an MLP in Linen: what it does with its layers is known to it alone."""

    norm: bool

    @nn.compact
    def __call__(self, x):
        # Of more than ten, whose names are not in the order of the alphabet.
        for _ in range(11):
            x = nn.Dense(8)(x)
            x = nn.relu(nn.LayerNorm()(x) if self.norm else x)
        return nn.Dense(10)(x)


@pytest.mark.parametrize("norm", [False, True])
def test_a_module_that_makes_its_layers_comes_in_with_a_config(norm):
    module = Compact(norm)
    variables = train_linen(module, module.init(jax.random.key(0), X))
    settings = {"norm": "layer", "norm_epsilon": 1e-6} if norm else {}
    config = jaxmlp.MLPConfig(
        in_features=64, hidden_features=(8,) * 11, out_features=10, **settings
    )
    found = from_linen(config, variables, dropout_rate=0.5)
    assert found[0].dropout_rate == 0.5
    assert_equal_outputs(found, module.apply(variables, X))


def test_types_of_layers_come_in():
    rngs = nnx.Rngs(0)
    half = {"dtype": jnp.bfloat16, "rngs": rngs}
    wide = functools.partial(jnp.asarray, dtype=jnp.float32)
    module = nnx.Sequential(nnx.Linear(64, 8, **half), nnx.relu, nnx.Linear(8, 10, **half))
    with pytest.raises(ValueError, match="must leave outputs in float32, the type of the param"):
        from_nnx(module)
    from jaxmlp.interchange.flax.layers import Cast

    config, params = from_nnx(nnx.Sequential(*module.layers, Cast("float32")))
    assert (config.param_dtype, config.compute_dtype) == ("float32", "bfloat16")
    got = jaxmlp.apply(params, X, config=config)
    # Sums of eight numbers of 8 bits.
    np.testing.assert_allclose(got, wide(module(X)), atol=0.03)


def test_neither_side_shares_memory_with_the_other():
    config = jaxmlp.MLPConfig(in_features=1, hidden_features=(3,), out_features=1)
    drawn = params_of(config, 0)
    made = to_nnx(config, drawn), to_linen(config, drawn)
    kept = jax.tree.map(np.array, drawn)
    for array in jax.tree.leaves(drawn):
        array[...] = 7
    net = Network(0, config, kept, None)
    assert_comes_back(from_nnx(made[0]), net)
    assert_comes_back(from_linen(*made[1]), net)


def test_parameters_in_boxes_of_axes_come_in():
    init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
    module = nn.Sequential([nn.Dense(4, kernel_init=init), nn.relu, nn.Dense(2)])
    variables = module.init(jax.random.key(0), jnp.zeros((1, 3)))
    _, params = from_linen(module, variables)
    boxed = variables["params"]["layers_0"]["kernel"]
    np.testing.assert_array_equal(params.hidden[0].kernel, boxed.value)
