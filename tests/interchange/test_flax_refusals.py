"""Modules of Flax' that are no network here are refused by name, with what could be done."""

import functools
import sys

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx
from network_family import params_of

import jaxmlp
from jaxmlp.interchange import from_linen, from_nnx, to_linen

RNGS = nnx.Rngs(0)
X = jnp.zeros((1, 3))


def linear(*features, **settings):
    return nnx.Linear(*features, rngs=RNGS, **settings)


def chain(*hidden):
    return nnx.Sequential(linear(3, 4), *hidden, linear(4, 2))


def used_twice():
    layer = linear(4, 4)
    return chain(layer, nnx.relu, layer)


class Doubled(nnx.Linear):
    def __call__(self, x):
        return 2 * super().__call__(x)


class Own(nnx.Module):
    def __init__(self):
        self.linear = linear(3, 2)

    def __call__(self, x):
        return self.linear(x)


NNX = {
    "batch norm": (
        lambda: chain(nnx.BatchNorm(4, rngs=RNGS)),
        "module '1' must be one that a network here has.*got a BatchNorm. In predictions it is",
    ),
    "a module of the user's": (Own, "module must be one .*got a Own. If what it computes is a"),
    "a subclass": (lambda: chain(Doubled(4, 4, rngs=RNGS)), "module '1' must be .*got a Doubled"),
    "a function": (
        lambda: chain(jnp.sin),
        "module '1' must be a function of jax.nn that is an activation.*got sin. Put such a one",
    ),
    "a slope": (
        lambda: chain(functools.partial(nnx.leaky_relu, negative_slope=0.2)),
        r"module '1' must be a function of jax.nn .*got functools.partial\(.*0.2",
    ),
    "a learnt activation": (lambda: chain(nnx.PReLU()), "module '1' must be one .*got a PReLU"),
    "weights used twice": (
        used_twice, "module '3' must have a kernel of its own; got one that was used before. Give"
    ),
    "another product": (
        lambda: chain(linear(4, 4, dot_general=lambda *a, **k: jax.lax.dot_general(*a, **k))),
        "module '1' must have the usual dot_general; got <function.*Leave it at its default",
    ),
    "arrays changed before they are used": (
        lambda: chain(linear(4, 4, promote_dtype=lambda arrays, **_: arrays)),
        "module '1' must have the usual promote_dtype; got <function.*Leave it at its default",
    ),
    "other axes": (
        lambda: chain(nnx.LayerNorm(4, reduction_axes=0, rngs=RNGS)),
        "module '1' must have the usual reduction_axes; got 0",
    ),
    "units dropped together": (
        lambda: chain(nnx.Dropout(0.5, broadcast_dims=(0,))), r"usual broadcast_dims; got \(0,\)"
    ),
    "nothing left": (lambda: chain(nnx.Dropout(1.0)), "must keep some units; got rate=1"),
    "a rounded scale": (
        lambda: chain(linear(4, 4, dtype="bfloat16"), nnx.RMSNorm(4, dtype="bfloat16", rngs=RNGS)),
        "module '2' must not round its scale; got dtype='bfloat16'. Give it dtype='float32', and",
    ),
    "types between layers": (
        lambda: chain(linear(4, 4, dtype="bfloat16")),
        r"operation \d \(module '1'\), a cast to bfloat16, must stand before the first",
    ),
    "a dropout of outputs": (
        lambda: nnx.Sequential(linear(3, 2), nnx.Dropout(0.5)),
        r"operation 2 \(module '1'\).*Give dropout_rate=",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NNX)
def test_modules_of_nnx_are_refused_by_name(name):
    make, message = NNX[name]
    with pytest.raises(ValueError, match=message):
        from_nnx(make())


def test_a_dropout_rate_that_is_given_replaces_those_read():
    module = chain(nnx.Dropout(0.5), linear(4, 4), nnx.Dropout(0.1))
    assert from_nnx(module, dropout_rate=0.3)[0].dropout_rate == 0.3


class Compact(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.relu(nn.Dense(4)(x)))


def from_its_variables(module):
    return from_linen(module, module.init(jax.random.key(0), X))


LINEN = {
    "a module that makes its layers": (
        Compact(), "module must be a linen.Sequential; got a Compact. Give the MLPConfig of what"
    ),
    "a convolution": (
        nn.Sequential([nn.Dense(4), nn.PReLU(), nn.Dense(2)]),
        "module 'layers_1' must be one that a network here has.*got a PReLU. If what it computes",
    ),
    "a function": (
        nn.Sequential([nn.Dense(4), jnp.cos, nn.Dense(2)]), "module 'layers_1' must be a function"
    ),
    "batch norm": (
        nn.Sequential([nn.Dense(4), nn.BatchNorm(use_running_average=True), nn.Dense(2)]),
        "got a BatchNorm. In predictions it is affine",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEN)
def test_modules_of_linen_are_refused_by_name(name):
    module, message = LINEN[name]
    with pytest.raises(ValueError, match=message):
        from_its_variables(module)


def test_variables_of_another_module_are_refused():
    module = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
    with pytest.raises(
        ValueError, match=r"'layers_0' must have \['bias', 'kernel'\] in .*; got \[\]"
    ):
        from_linen(module, {"params": {}})


def test_a_norm_that_is_used_twice_is_no_norm_without_scale():
    norm = nn.LayerNorm()
    module = nn.Sequential([nn.Dense(4), norm, nn.relu, nn.Dense(4), norm, nn.relu, nn.Dense(2)])
    with pytest.raises(ValueError, match=r"'layers_4' must have \['bias', 'scale'\].*used twice"):
        from_its_variables(module)


def test_a_bias_that_a_module_leaves_out_is_not_added():
    module = nn.Sequential([nn.Dense(4, use_bias=False), nn.relu, nn.Dense(2)])
    variables = module.init(jax.random.key(0), X)
    variables["params"]["layers_0"]["bias"] = jnp.ones(4)
    with pytest.raises(ValueError, match=r"'layers_0' must have \['kernel'\]"):
        from_linen(module, variables)


def test_statistics_that_are_left_out_are_asked_for():
    params = params_of(CONFIG, 0, standardised=True)
    module, variables = to_linen(CONFIG, params)
    with pytest.raises(ValueError, match=r"'layers_0' must have \['mean', 'scale'\].*got \[\]"):
        from_linen(module, variables["params"])


CONFIG = jaxmlp.MLPConfig(in_features=3, hidden_features=(4,), out_features=2)
TREE = Compact().init(jax.random.key(0), X)["params"]
NAMES = {
    "another name": (
        {**TREE, "head": TREE["Dense_1"]},
        "params 'head' must have the name of a layer, as 'Dense_0'.*Rename it",
    ),
    "a layer too many": ({**TREE, "Dense_2": TREE["Dense_1"]}, "params must be those of config"),
    "a layer too few": ({"Dense_0": TREE["Dense_0"]}, "params must be those of config"),
    "too few norms": (
        {**TREE, "Dense_2": TREE["Dense_1"], "LayerNorm_0": {"scale": jnp.ones(4)}},
        "must have dense layers, and norms of all but the last; got 3 and 1. A network here",
    ),
    "no layer": ({}, "must have dense layers, .*got 0 and 0"),
    "no kernel": ({"Dense_0": {"bias": jnp.ones(4)}}, r"'Dense_0' must have a kernel; got \['bias"),
    "no scale": (
        {**TREE, "LayerNorm_0": {"bias": jnp.ones(4)}}, r"'LayerNorm_0' must have a scale; got \['b"
    ),
    "other arrays": (
        {**TREE, "Dense_1": {**TREE["Dense_1"], "lora": jnp.ones(2)}},
        r"'Dense_1' must have no arrays but kernel, bias; got \['bias', 'kernel', 'lora'\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_parameters_that_are_not_those_of_the_config_are_refused(name):
    tree, message = NAMES[name]
    with pytest.raises(ValueError, match=message):
        from_linen(CONFIG, tree)


@pytest.mark.bad_input
def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"module must be an nnx.Module; got a Dense\. .*nnx.merge"):
        from_nnx(nn.Dense(2))
    with pytest.raises(TypeError, match=r"module must be a linen.Sequential, or .*got a function"):
        from_linen(lambda x: x, {})
    with pytest.raises(TypeError, match=r"variables must be a dict, as module.init returns; got"):
        from_linen(Compact(), None)


@pytest.mark.parametrize("package", ["flax.nnx", "flax.linen"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"needs flax .*pip install 'jaxmlp\[flax\]'"):
        from_nnx(None) if package == "flax.nnx" else from_linen(None, {})
