"""Networks become `eqx.nn.MLP`s and come back bit for bit, and those of others come in."""

import functools
import itertools
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from equal_networks import assert_comes_back, assert_same_params, digits, tolerance_of
from network_family import ROWS, Network, family, params_of, wanted_outputs

import jaxmlp
from jaxmlp.interchange import from_equinox, to_equinox
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS


def networks():
    """Depths of 0 to 3, every activation within and at the end, all types."""
    dtypes = ("float32", "float64", "float16", "bfloat16")
    names = ELEMENTWISE_ACTIVATIONS
    for number, (name, depth) in enumerate(itertools.product(names, range(4))):
        config = jaxmlp.MLPConfig(
            in_features=3, hidden_features=(4,) * depth, out_features=2, activation=name,
            output_activation=names[(number + 5) % len(names)] if depth else None,
            use_bias=number % 3 > 0, param_dtype=dtypes[number // 4 % 4],
        )  # fmt: skip
        x = np.random.default_rng(number).normal(size=(ROWS, 3))
        x = x.astype(jnp.dtype(config.param_dtype)).astype(np.float64)
        yield Network(number, config, params_of(config, number), x)


@pytest.mark.usefixtures("x64")
def test_networks_compute_the_same_and_come_back_bit_for_bit():
    for net in networks():
        module = to_equinox(net.config, net.params)
        outputs = jax.vmap(module)(jnp.asarray(net.x, net.config.param_dtype))
        assert outputs.dtype == net.config.param_dtype
        tolerance = tolerance_of(net.config)
        got, wanted = np.asarray(outputs, np.float64), wanted_outputs(net)
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
        found = from_equinox(module)
        if net.config.output_activation == "identity":
            assert found[0].output_activation is None
        assert_comes_back(found, net)


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_networks_that_equinox_trained_have_equal_outputs(depth, scan):
    module = eqx.nn.MLP(
        64, 10, 16, depth, functools.partial(jax.nn.gelu, approximate=False),
        use_final_bias=False, scan=scan, key=jax.random.key(0),
    )  # fmt: skip
    x, y = map(jnp.asarray, digits())

    @eqx.filter_grad
    def gradient(module):
        logits = jax.vmap(module)(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    for _ in range(3):
        module = eqx.apply_updates(module, jax.tree.map(lambda g: -g, gradient(module)))
    config, params = from_equinox(module)
    assert config.hidden_features == (16,) * depth
    got = jaxmlp.apply(params, x, config=config)
    np.testing.assert_allclose(got, jax.vmap(module)(x), rtol=1e-4, atol=1e-5)


def test_without_hidden_layers_equinox_applies_no_final_activation():
    module = eqx.nn.MLP(2, 3, 4, 0, final_activation=jax.nn.relu, key=jax.random.key(0))
    config, params = from_equinox(module)
    assert config.output_activation is None
    x = jnp.array([[1.0, -2.0]])
    np.testing.assert_allclose(jaxmlp.apply(params, x, config=config), jax.vmap(module)(x))


def test_a_file_of_equinox_brings_it_back(tmp_path):
    config = jaxmlp.MLPConfig(in_features=2, hidden_features=(3, 3), out_features=1)
    params = params_of(config, 0)
    module = to_equinox(config, params)
    eqx.tree_serialise_leaves(tmp_path / "module.eqx", module)
    empty = eqx.nn.MLP(2, 1, 3, 2, key=jax.random.key(1))
    _, back = from_equinox(eqx.tree_deserialise_leaves(tmp_path / "module.eqx", empty))
    assert_same_params(back, params)


def test_networks_that_are_no_mlp_of_equinox_are_refused():
    refused = 0
    for net in family(dtypes=("float32",), stop=60):
        config = net.config
        if config.norm or config.residual or net.params.standardization is not None:
            with pytest.raises(ValueError, match=r"eqx\.nn\.MLP|requires 64-bit"):
                to_equinox(config, net.params)
            refused += 1
    assert refused > 10


OUT = {
    "widths": ({"hidden_features": (3, 4)}, r"be of one width for an eqx.nn.MLP; got \(3, 4\)"),
    "activations": ({"activation": ("relu", "tanh")}, "activation must be that of all layers"),
    "a gate": ({"activation": "glu"}, "operation 1 must be a dense layer .*got a Gate. Compute it"),
    "a norm": ({"norm": "rms"}, "operation 1 must be .*got a Normalise"),
    "a residual": ({"residual": True}, "operation 2 must be .*got a StartSkip"),
    "dropout": ({"dropout_rate": 0.5}, r"which an eqx.nn.MLP has not; got dropout_rate=0.5"),
    "another type": ({"compute_dtype": "bfloat16"}, "operation 0 must be .*got a Cast"),
    "softmax": ({"output_activation": "softmax"}, "must be elementwise .*take jax.nn.softmax of"),
    "a function of a line": (
        {"hidden_features": (), "output_activation": "tanh"},
        "must be None without hidden layers.*got 'tanh'. Leave it out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OUT)
def test_it_is_refused_with_what_could_be_done(name):
    settings, message = OUT[name]
    fields = {"in_features": 4, "hidden_features": (3, 3), "out_features": 2, **settings}
    config = jaxmlp.MLPConfig(**fields)
    with pytest.raises(ValueError, match=message):
        to_equinox(config, params_of(config, 0))


IN = {
    "scalars in": ({"in_size": "scalar"}, "in_size must be a number .*'scalar'. Build it with in_"),
    "scalars out": ({"out_size": "scalar"}, "out_size must be a number of features"),
    "a function": (
        {"activation": jnp.sin},
        "activation must be a function of jax.nn .*got sin. Put such a one",
    ),
    "a setting": (
        {"activation": functools.partial(jax.nn.leaky_relu, negative_slope=0.2)},
        r"activation must be .* got functools.partial\(.*0.2",
    ),
    "a learnt one": ({"activation": eqx.nn.PReLU(0.1)}, "activation must be .* got PReLU"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN)
def test_modules_that_are_none_of_ours_are_refused(name):
    settings, message = IN[name]
    sizes = {"in_size": 2, "out_size": 3, "width_size": 4, "depth": 1, **settings}
    module = eqx.nn.MLP(**sizes, key=jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        from_equinox(module)


@pytest.mark.bad_input
def test_another_module_is_refused():
    module = eqx.nn.Linear(2, 3, key=jax.random.key(0))
    with pytest.raises(TypeError, match=r"must be an eqx.nn.MLP; got a Linear.*weight.T, bias"):
        from_equinox(module)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "equinox", None)
    with pytest.raises(ImportError, match=r"needs equinox .*pip install 'jaxmlp\[equinox\]'"):
        from_equinox(None)
