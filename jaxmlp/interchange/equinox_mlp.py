"""Turns a network into an `eqx.nn.MLP` of Equinox's, and such a module into a network."""

import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..network import MLPConfig, Params
from .jax_functions import function_of, read_function
from .layer_parts import refuse
from .operations import Activate, Affine, Operation, operations_of
from .partners import import_partner, require_no_dropout
from .recognition import network_of

_APART = (
    "Compute it with jaxmlp.apply, a pure function, in a module of your own; or give the network "
    "to another library, such as Flax by to_nnx."
)


def to_equinox(config: MLPConfig, params: Params) -> Any:
    """Builds the `eqx.nn.MLP` that computes what a network does, of one row as Equinox has it.

    Weights are those of the network bit for bit; Equinox keeps kernels as (out, in).

    Args:
        config: The network: hidden layers of one width and one elementwise activation, computed in
            the type of the parameters, without norm, dropout and standardisation.
        params: Its parameters.

    Returns:
        The module: `jax.vmap(module)(x)` computes rows.

    Raises:
        ImportError: Equinox is not installed.
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: The network is none that an `eqx.nn.MLP` equals; the message tells what it has.

    Example:
        >>> from jaxmlp import MLPConfig, init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(8, 8), out_features=3)
        >>> module = to_equinox(config, init_params(config, key=jax.random.key(0)))
        >>> jax.vmap(module)(jnp.zeros((5, 2))).shape
        (5, 3)
    """
    eqx = import_partner("equinox", "equinox")
    operations = operations_of(config, params)
    require_no_dropout(config, "an eqx.nn.MLP")
    affines = _affines(config, operations)
    depth = len(config.hidden_features)
    module = eqx.nn.MLP(
        in_size=config.in_features,
        out_size=config.out_features,
        width_size=config.hidden_features[0] if depth else 1,
        depth=depth,
        activation=function_of(str(config.hidden_activations[0])) if depth else jax.nn.relu,
        final_activation=function_of(str(config.output_activation or "identity")),
        use_bias=config.use_bias,
        use_final_bias=config.use_bias,
        dtype=jnp.dtype(config.param_dtype),
        key=jax.random.key(0),
    )
    arrays = [jnp.array(kernel.T) for kernel, _, _ in affines]
    module = eqx.tree_at(lambda m: [layer.weight for layer in m.layers], module, arrays)
    if not config.use_bias:
        return module
    arrays = [jnp.array(bias) for _, bias, _ in affines]
    return eqx.tree_at(lambda m: [layer.bias for layer in m.layers], module, arrays)


def from_equinox(module: Any) -> tuple[MLPConfig, Params]:
    """Finds the network that computes what an `eqx.nn.MLP` of Equinox's does.

    Weights are those of the module bit for bit.

    Args:
        module: An `eqx.nn.MLP`, with `scan` or without.

    Returns:
        The config and the parameters, on JAX's default device.

    Raises:
        ImportError: Equinox is not installed.
        TypeError: `module` is no `eqx.nn.MLP`.
        ValueError: Its activations are none of ours, or it takes or gives scalars.

    Example:
        >>> import equinox as eqx
        >>> config, params = from_equinox(eqx.nn.MLP(2, 3, 8, 2, key=jax.random.key(0)))
        >>> config.hidden_features, config.activation
        ((8, 8), 'relu')
    """
    eqx = import_partner("equinox", "equinox")
    if type(module) is not eqx.nn.MLP:
        raise TypeError(
            f"module must be an eqx.nn.MLP; got a {type(module).__name__}. Of another one take the "
            "arrays, whose kernels are (out, in): jaxmlp.Params((jaxmlp.Dense(weight.T, bias), "
            "...), output)."
        )
    for name in ("in_size", "out_size"):
        if getattr(module, name) == "scalar":
            remedy = f"Build it with {name}=1 and the same weights."
            refuse(name, "be a number of features", "'scalar'", remedy)
    return network_of(list(_operations(eqx, module)))


def _affines(config: MLPConfig, operations: tuple[Operation, ...]) -> list[Affine]:
    activations = config.hidden_activations
    if len({*config.hidden_features}) > 1:
        got = f"{config.hidden_features}"
        refuse("hidden_features", "be of one width for an eqx.nn.MLP", got, _APART)
    if len({*activations}) > 1:
        refuse("activation", "be that of all layers for an eqx.nn.MLP", f"{activations}", _APART)
    if config.output_activation == "softmax":
        remedy = "Leave it out, and take jax.nn.softmax of what the module gives."
        requirement = "be elementwise for an eqx.nn.MLP"
        refuse("output_activation", requirement, repr(config.output_activation), remedy)
    if not activations and config.output_activation not in (None, "identity"):
        remedy = "Leave it out, and apply it to what the module gives."
        requirement = "be None without hidden layers, where an eqx.nn.MLP applies none"
        refuse("output_activation", requirement, repr(config.output_activation), remedy)
    for number, operation in enumerate(operations):
        if not isinstance(operation, Affine | Activate):
            requirement = "be a dense layer or an elementwise activation for an eqx.nn.MLP"
            refuse(f"operation {number}", requirement, f"a {type(operation).__name__}", _APART)
    return [each for each in operations if isinstance(each, Affine)]


def _operations(eqx: Any, module: Any) -> Iterator[Operation]:
    layers = module.layers
    if module.scan and module.depth > 0:
        # Those between the first and the last are stacked.
        count = module.depth - 1
        between = [jax.tree.map(lambda a, at=i: a[at], layers[1]) for i in range(count)]
        layers = (layers[0], *between, layers[2])
    for index, layer in enumerate(layers):
        bias = None if layer.bias is None else np.array(layer.bias)
        yield Affine(np.array(layer.weight).T, bias, f"layers[{index}]")
        if index < module.depth:
            yield _activation(eqx, "activation", module.activation)
        elif module.depth > 0:
            yield _activation(eqx, "final_activation", module.final_activation)


def _activation(eqx: Any, name: str, function: Any) -> Operation:
    default = inspect.signature(eqx.nn.MLP.__init__).parameters["final_activation"].default
    return Activate("identity", name) if function is default else read_function(name, function)
