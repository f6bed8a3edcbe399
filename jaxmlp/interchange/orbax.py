"""Turns a network into an Orbax checkpoint, the store of many JAX libraries, and back."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from ..checks import require_path
from ..network import Activation, MLPConfig, Params
from ..storage import (
    CheckpointError,
    choose_config,
    named_params,
    params_skeleton,
    require_arrays,
    restore_by_path,
)

try:
    import orbax.checkpoint as ocp
except ImportError as error:
    raise ImportError(
        "jaxmlp.interchange.orbax needs orbax-checkpoint, which is not installed; "
        "pip install 'jaxmlp[orbax]'."
    ) from error


def save(path: str | Path, config: MLPConfig, params: Params) -> None:
    """Writes a network as an Orbax checkpoint, with its config as custom metadata.

    Args:
        path: A directory that does not exist yet.
        config: The network.
        params: Its parameters, or those of stacked networks, as for `jaxmlp.save`.

    Raises:
        TypeError: `config` is no `MLPConfig`.
        ValueError: `params` are not parameters of `config`, or the directory exists.
    """
    require_path("path", path)
    named_params(config, params)
    with ocp.StandardCheckpointer() as checkpointer:
        metadata = {"config": config.to_json()}
        checkpointer.save(Path(path).absolute(), params, custom_metadata=metadata)


def load(
    path: str | Path,
    config: MLPConfig | None = None,
    *,
    activations: Mapping[str, Activation] | None = None,
) -> tuple[MLPConfig, Params]:
    """Reads a network from an Orbax checkpoint onto the default device.

    Args:
        path: The directory.
        config: The network, for a checkpoint that does not tell it, such as that of an
            `orbax.checkpoint.StandardCheckpointer` which was given `params`.
        activations: As for `jaxmlp.load`.

    Returns:
        The config and the parameters.

    Raises:
        CheckpointError: It is not an Orbax checkpoint of this network; all arrays that do not fit
            are named.
        ValueError: It holds no config and none was given, or another one.
    """
    require_path("path", path)
    path = Path(path).absolute()
    with ocp.StandardCheckpointer() as checkpointer:
        try:
            metadata = checkpointer.metadata(path)
            tree = metadata.item_metadata.tree
        except (AttributeError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is not an Orbax checkpoint of arrays.") from error
        stored_config = metadata.custom_metadata.get("config")
        config = choose_config(path, stored_config, config, activations)
        stored = {leaf.name: leaf for leaf in jax.tree.leaves(tree)}
        skeleton = params_skeleton(config, stored)
        require_arrays(path, skeleton, stored)
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), tree
        )
        restored = checkpointer.restore(path, target)
    names = jax.tree.map(lambda leaf: leaf.name, tree)
    pairs = zip(jax.tree.leaves(names), jax.tree.leaves(restored), strict=True)
    return config, restore_by_path(skeleton, {name: np.array(array) for name, array in pairs})
