"""Turns a config and a mesh into where each parameter of a wide network lies: `param_shardings`."""

from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..init import init_params
from ..network import MLPConfig, Params, require_config


def param_shardings(config: MLPConfig, mesh: Mesh, *, axis: str = "model") -> Params:
    """Returns where the parameters of a wide network lie when hidden layers are cut over devices.

    Layers take turns: the first, third, ... hidden layer is cut by its units, so that each device
    computes its own from whole inputs; the layer behind it by its inputs, so that each device adds
    up what its units give, and one sum over the axis makes the outputs whole (Shoeybi et al. 2019,
    section 3). `fit` keeps parameters, their averages and the state of the optimizer where they
    lie; rows may be cut over another axis of the mesh.

    Args:
        config: A network with at least one hidden layer.
        mesh: The devices.
        axis: The axis of the mesh over which layers are cut.

    Returns:
        A sharding for every array of `init_params(config, key=...)`, for `jax.device_put` or as
        `out_shardings` of `jax.jit`. Of a network with statistics, as `with_standardization` gives
        it, place the parameters before.

    Raises:
        TypeError: `config` is no config, or `mesh` no `jax.sharding.Mesh`.
        ValueError: The mesh has no such axis, there is no hidden layer, or the devices along the
            axis do not divide the width of a layer that is cut by units.

    References:
        Shoeybi et al. 2019, Megatron-LM, section 3.

    Example:
        >>> import jaxmlp
        >>> mesh = jax.make_mesh((1, 1), ("data", "model"))
        >>> config = MLPConfig(in_features=8, hidden_features=(256, 256), out_features=2)
        >>> shardings = param_shardings(config, mesh)
        >>> tuple(shardings.hidden[0].kernel.spec), tuple(shardings.hidden[1].kernel.spec)
        ((None, 'model'), ('model', None))
        >>> params = jax.device_put(jaxmlp.init_params(config, key=jax.random.key(0)), shardings)
    """
    require_config(config)
    if not isinstance(mesh, Mesh):
        raise TypeError(
            "mesh must be a jax.sharding.Mesh, as jax.make_mesh gives it; got a "
            f"{type(mesh).__name__}."
        )
    if axis not in mesh.axis_names:
        raise ValueError(f"axis must be one of the mesh's, {mesh.axis_names}; got {axis!r}.")
    if not config.hidden_features:
        raise ValueError(
            "param_shardings needs a network with hidden layers, which it cuts; got "
            "hidden_features=(). Leave its parameters whole."
        )
    parts = mesh.shape[axis]
    for layer, width in enumerate(config.hidden_features):
        if layer % 2 == 0 and width % parts:
            raise ValueError(
                f"hidden_features[{layer}] must be a multiple of the {parts} devices along "
                f"{axis!r}, which cut its units; got {width}."
            )
    shapes = jax.eval_shape(lambda key: init_params(config, key=key), jax.random.key(0))
    depth = len(config.hidden_features)

    def place(path: tuple[Any, ...], _: Any) -> NamedSharding:
        layer = path[1].idx if path[0].name == "hidden" else depth
        is_kernel = path[-1].name == "kernel"
        if layer % 2:
            spec = (axis, None) if is_kernel else ()
        elif layer == depth:
            spec = ()
        else:
            spec = (None, axis) if is_kernel else (axis,)
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map_with_path(place, shapes)
