"""Turns a network into a module of Flax Linen and its variables, and such a pair into a network."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...network import Dense, MLPConfig, Norm, Params, require_config
from ...storage import flatten_by_path, named_params, params_skeleton, restore_by_path
from ..jax_functions import function_of
from ..layer_parts import refuse
from ..operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Dropout,
    Gate,
    Normalise,
    Operation,
    Standardise,
    StartSkip,
    operations_of,
    with_types,
)
from ..partners import import_partner
from ..recognition import network_of
from .reading import Layer, promoted, read_layers


def to_linen(
    config: MLPConfig, params: Params, *, deterministic: bool = True
) -> tuple[Any, dict[str, Any]]:
    """Builds the `linen.Sequential` that computes what a network does, and its variables.

    Weights are those of the network bit for bit. Layers are Flax's own and functions of JAX, but
    for residual layers, standardisation and conversions of types, which are modules of ours.

    Args:
        config: The network. Its dropout becomes `linen.Dropout`.
        params: Its parameters.
        deterministic: Whether the dropouts do nothing; else `module.apply(variables, x,
            rngs={"dropout": key})` drops.

    Returns:
        The module and its variables: `{"params": ...}`, and `"statistics"` of a standardisation.
        Rows are given in the type of the parameters.

    Raises:
        ImportError: Flax is not installed.
        TypeError: `config` is no `MLPConfig`, or `params` are no `Params`.
        ValueError: `params` are not those of one network of `config`, or an activation is a
            function of the user's own.

    Example:
        >>> from jaxmlp import MLPConfig, init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> module, variables = to_linen(config, params)
        >>> module.apply(variables, jnp.zeros((5, 2))).shape
        (5, 3)
    """
    from .layers import LinenResidual, linen

    chains: list[list[Any]] = [[]]
    trees: list[dict[str, dict[str, Any]]] = [{"params": {}, "statistics": {}}]

    def add(layer: Any, arrays: Mapping[str, Mapping[str, Any]]) -> None:
        for collection, values in arrays.items():
            if values:
                trees[-1][collection][f"layers_{len(chains[-1])}"] = values
        chains[-1].append(layer)

    for dtype, operation in with_types(operations_of(config, params)):
        if isinstance(operation, StartSkip):
            chains.append([])
            trees.append({"params": {}, "statistics": {}})
        elif isinstance(operation, AddSkip):
            layer, arrays = LinenResidual(chains.pop()), trees.pop()
            add(layer, arrays)
        else:
            for layer, arrays in _layers(operation, config.param_dtype, dtype, deterministic):
                add(layer, arrays)
    variables: Any = {name: tree for name, tree in trees[0].items() if tree}
    return linen.Sequential(chains[0]), jax.tree.map(jnp.array, variables)


def from_linen(
    module: Any, variables: Mapping[str, Any], *, dropout_rate: float | None = None
) -> tuple[MLPConfig, Params]:
    """Finds the network that computes what a module of Flax Linen does with its variables.

    Only a `linen.Sequential` tells its layers. Of a module whose `__call__` makes them, give the
    config of what it computes in its place: parameters are then found by the names that Flax gives
    layers, `Dense_0` and so on and `LayerNorm_0` or `RMSNorm_0` and so on, in that order, and all
    must be those of the config, by name and shape. Flax numbers layers as they are made: in
    `Dense(1)(Dense(8)(x))` the outer is made first, so that there the order is another.

    Args:
        module: A `linen.Sequential`, nested or not, or an `MLPConfig`.
        variables: What `init` of the module gave, with "params", or these alone.
        dropout_rate: Probability in [0, 1) for all hidden layers in place of those of the module;
            `None` takes the one that all hidden layers have, or that of the config.

    Returns:
        The config and the parameters, on JAX's default device.

    Raises:
        ImportError: Flax is not installed.
        TypeError: `module` or `variables` is something else.
        ValueError: Something in it is no part of a network here, or the parameters are others; the
            message names it.

    Example:
        >>> import flax.linen as nn
        >>> module = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(3)])
        >>> variables = module.init(jax.random.key(0), jnp.zeros((1, 2)))
        >>> config, params = from_linen(module, variables)
        >>> config.hidden_features, config.activation
        ((8,), 'relu')
    """
    linen = import_partner("flax.linen", "flax")
    if not isinstance(variables, Mapping):
        raise TypeError(
            f"variables must be a dict, as module.init returns; got a {type(variables).__name__}."
        )
    if "params" not in variables:
        variables = {"params": variables}
    # Parameters of `linen.with_partitioning` are in boxes that name their axes.
    variables = import_partner("flax.core.meta", "flax").unbox(variables)
    if isinstance(module, MLPConfig):
        return _by_names(module, variables["params"], dropout_rate)
    if not isinstance(module, linen.Module):
        raise TypeError(
            f"module must be a linen.Sequential, or the MLPConfig of what another module computes; "
            f"got a {type(module).__name__}."
        )
    if type(module) is not linen.Sequential:
        remedy = "Give the MLPConfig of what it computes in its place."
        refuse("module", "be a linen.Sequential", f"a {type(module).__name__}", remedy)
    layers = _chain("", module, variables)
    return network_of(list(read_layers(layers)), dropout_rate=dropout_rate)


def _layers(
    operation: Operation, param_dtype: str, dtype: str, deterministic: bool
) -> list[tuple[Any, dict[str, dict[str, Any]]]]:
    """The layers of an operation that is given numbers of `dtype`, with their variables."""
    from .layers import Cast as CastLayer
    from .layers import LinenStandardise, linen

    settings = {"param_dtype": jnp.dtype(param_dtype), "dtype": jnp.dtype(dtype)}
    match operation:
        case Affine(kernel, bias):
            layer = linen.Dense(kernel.shape[1], use_bias=bias is not None, **settings)
            return [(layer, {"params": _present(kernel=kernel, bias=bias)})]
        case Normalise(kind, scale, bias, epsilon):
            # Its scale would be rounded in 16 bits, unless it has them, too.
            wide = dtype if dtype == param_dtype else promoted(dtype, "float32")
            settings |= {"epsilon": epsilon, "use_fast_variance": False, "dtype": jnp.dtype(wide)}
            if kind == "rms":
                layer = linen.RMSNorm(**settings)
            else:
                layer = linen.LayerNorm(use_bias=bias is not None, **settings)
            norm = (layer, {"params": _present(scale=scale, bias=bias)})
            return [norm] if wide == dtype else [norm, (CastLayer(dtype), {})]
        case Activate(name) | Gate(name):
            return [] if name == "identity" else [(function_of(name), {})]
        case Dropout(rate):
            return [(linen.Dropout(rate, deterministic=deterministic), {})]
        case Cast(target):
            return [(CastLayer(target), {})]
        case Standardise(mean, scale):
            layer = LinenStandardise(len(mean), mean.dtype.name)
            return [(layer, {"statistics": {"mean": mean, "scale": scale}})]
    raise AssertionError(operation)


def _present(**arrays: Any) -> dict[str, Any]:
    return {name: array for name, array in arrays.items() if array is not None}


def _chain(
    name: str, module: Any, variables: Mapping[str, Any]
) -> Iterator[Layer | StartSkip | AddSkip]:
    from .layers import LinenResidual, linen

    subject = f"module {name!r}" if name else "module"
    if type(module) not in (linen.Sequential, LinenResidual):
        arrays = {key: each for tree in variables.values() for key, each in tree.items()}
        _require_own(subject, module, arrays)
        yield Layer(subject, module, arrays)
        return
    skips = type(module) is LinenResidual
    if skips:
        yield StartSkip(subject)
    for index, each in enumerate(module.layers):
        key = f"layers_{index}"
        inner = {part: tree.get(key, {}) for part, tree in variables.items()}
        yield from _chain(f"{name}.{key}" if name else key, each, inner)
    if skips:
        yield AddSkip(subject)


def _require_own(subject: str, module: Any, arrays: Mapping[str, Any]) -> None:
    """Refuses arrays other than those that a layer's settings say it has."""
    from .layers import LinenStandardise, linen

    names = {
        linen.Dense: {"kernel": True, "bias": getattr(module, "use_bias", False)},
        linen.LayerNorm: {
            "scale": getattr(module, "use_scale", False),
            "bias": getattr(module, "use_bias", False),
        },
        linen.RMSNorm: {"scale": getattr(module, "use_scale", False)},
        LinenStandardise: {"mean": True, "scale": True},
    }
    if type(module) not in names:
        return
    wanted = sorted(name for name, is_there in names[type(module)].items() if is_there)
    if sorted(arrays) != wanted:
        remedy = (
            "Are these the variables of this module? Those of a layer that is used twice are in "
            "one place: put a copy of the layer, with a copy of them, into the other."
        )
        refuse(subject, f"have {wanted} in variables", f"{sorted(arrays)}", remedy)


def _by_names(
    config: MLPConfig, tree: Mapping[str, Any], dropout_rate: float | None
) -> tuple[MLPConfig, Params]:
    """Parameters of a config by the names that Flax gives layers."""
    require_config(config)
    kinds: dict[str, list[tuple[int, Any]]] = {"Dense": [], "LayerNorm": [], "RMSNorm": []}
    for name, arrays in tree.items():
        match = re.fullmatch(r"(Dense|LayerNorm|RMSNorm)_(\d+)", name)
        if match is None:
            remedy = "Rename it to that, by its place among the layers of its kind."
            requirement = "have the name of a layer, as 'Dense_0' or 'LayerNorm_0'"
            refuse(f"params {name!r}", requirement, repr(name), remedy)
        first, *_ = known = ("kernel" if match[1] == "Dense" else "scale", "bias")
        if first not in arrays:
            remedy = "Are these the parameters of a module of Flax'?"
            refuse(f"params {name!r}", f"have a {first}", f"{sorted(arrays)}", remedy)
        if set(arrays) - set(known):
            requirement = f"have no arrays but {', '.join(known)}"
            remedy = "Is it a layer of Flax' own?"
            refuse(f"params {name!r}", requirement, f"{sorted(arrays)}", remedy)
        kinds[match[1]].append((int(match[2]), arrays))
    dense, layer, rms = (
        [each for _, each in sorted(k, key=lambda a: a[0])] for k in kinds.values()
    )
    norms = layer + rms
    if not dense or len(norms) not in (0, len(dense) - 1):
        got = f"{len(dense)} and {len(norms)}"
        remedy = "A network here has one norm per hidden layer, or none."
        refuse("params", "have dense layers, and norms of all but the last", got, remedy)
    parts = [
        Dense(
            each["kernel"],
            each.get("bias"),
            Norm(norm["scale"], norm.get("bias")) if norm else None,
        )
        for each, norm in zip(dense, [*norms, *([None] * (len(dense) - len(norms)))], strict=True)
    ]
    params = jax.tree.map(np.array, Params(tuple(parts[:-1]), parts[-1]))
    named_params(config, params)
    arrays = flatten_by_path(params)
    if dropout_rate is not None:
        config = dataclasses.replace(config, dropout_rate=dropout_rate)
    return config, restore_by_path(params_skeleton(config, arrays), arrays)
