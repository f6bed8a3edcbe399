"""Turns a network into one file, and the file into the network, with nothing else at hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np
import optax

from ..checks import __version__, require_mapping, require_path
from ..init import init_params
from ..network import Activation, MLPConfig, Params, Standardization, require_config
from .atomic_files import write_atomically
from .container import Contents, encode, read
from .headers import CheckpointError
from .key_paths import differences, flatten_by_path, restore_by_path

_CONFIG = "jaxmlp.config"
_VERSIONS = "jaxmlp.versions"


def save(path: str | Path, config: MLPConfig, params: Params) -> None:
    """Writes a network into one safetensors file, or leaves the file that was there.

    The file holds the arrays by name (`hidden.0.kernel`, `output.bias`, ...), the config as JSON,
    the versions of the libraries, and checksums of everything. Other programs read it as any
    safetensors file.

    Args:
        path: The file, usually `*.safetensors`; its directory exists. A link is followed.
        config: The network.
        params: Its parameters, or those of an ensemble, with further axes in front that are the
            same for all arrays.

    Raises:
        OSError: It could not be written; the message tells why and what to do.
        TypeError: `config` is no `MLPConfig`.
        ValueError: `params` are not parameters of `config`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "network.safetensors"
        >>> config = MLPConfig(in_features=2, out_features=1)
        >>> save(path, config, init_params(config, key=jax.random.key(0)))
        >>> config, params = load(path)
        >>> params.output.kernel.shape
        (2, 1)
    """
    require_path("path", path)
    arrays = named_params(config, params)
    metadata = {_CONFIG: config.to_json(), _VERSIONS: json.dumps(library_versions())}
    write_atomically(path, encode(arrays, metadata), follow_links=True)


def load(
    path: str | Path,
    config: MLPConfig | None = None,
    *,
    activations: Mapping[str, Activation] | None = None,
) -> tuple[MLPConfig, Params]:
    """Reads a network from a file that `save` wrote, or weights from any safetensors file.

    The file may come from anybody: it is checked before it is used, and nothing in it is run.

    Args:
        path: The file.
        config: The network, for a file that does not tell it; its arrays must have the names that
            `save` gives them. For a file of `save` it must be equal to the one in the file.
        activations: The activations of your own that the file names, by name; `config` brings its.

    Returns:
        The config and the parameters.

    Raises:
        CheckpointError: The file is damaged, or is not of this network; all arrays that do not fit
            are named.
        OSError: It cannot be read.
        TypeError: `path`, `config` or `activations` are something else.
        ValueError: It holds no config and none was given, or another one; it names an activation
            that was not given; or it holds 64-bit arrays while JAX has 64-bit types switched off.
    """
    require_path("path", path)
    if config is not None:
        require_config(config)
    require_mapping("activations", activations or {}, "as config.own_activations() gives them")

    def choose(contents: Contents) -> tuple[MLPConfig, Params]:
        chosen = choose_config(path, contents.metadata.get(_CONFIG), config, activations)
        skeleton = params_skeleton(chosen, contents.arrays)
        require_arrays(path, skeleton, contents.arrays)
        return chosen, skeleton

    contents = read(path, check=choose)
    chosen, skeleton = choose(contents)
    return chosen, restore_by_path(skeleton, contents.arrays)


def params_skeleton(config: MLPConfig, arrays: Mapping[str, Any]) -> Params:
    """Returns shapes and types of the parameters that are stored under these names.

    Args:
        config: The network.
        arrays: Its arrays by name, or those of stacked networks, or their shapes.

    Raises:
        ValueError: The network has 64-bit parameters while JAX has 64-bit types switched off; or
            more layers than there are arrays.
    """
    if len(config.hidden_features) >= max(1, len(arrays)):  # before a million layers are traced
        raise CheckpointError(
            f"A network of {len(config.hidden_features) + 1} layers has as many arrays or more; "
            f"got {len(arrays)}."
        )
    skeleton = jax.eval_shape(lambda key: init_params(config, key=key), jax.random.key(0))
    if any(name.startswith("standardization.") for name in arrays):
        dtype = np.promote_types(skeleton.output.kernel.dtype, np.float32)
        feature: Any = jax.ShapeDtypeStruct((config.in_features,), dtype)
        skeleton = skeleton._replace(standardization=Standardization(feature, feature))
    kernel = arrays.get("output.kernel")
    members = () if kernel is None else tuple(kernel.shape[: max(0, len(kernel.shape) - 2)])
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(members + a.shape, a.dtype), skeleton)


def named_params(config: MLPConfig, params: Params) -> dict[str, np.ndarray]:
    """Returns parameters by name, once they are found to be those of a network.

    Args:
        config: The network.
        params: Its parameters, or those of stacked networks.

    Raises:
        TypeError: `config` is no `MLPConfig`.
        ValueError: The parameters are not those of `config`; all that do not fit are named.
    """
    if not isinstance(config, MLPConfig):
        raise TypeError(f"save takes (path, config, params), an MLPConfig second; got {config!r}.")
    if not any(hasattr(leaf, "shape") for leaf in jax.tree.leaves(params)):
        raise TypeError(
            f"params must be the jaxmlp.Params of config; got a {type(params).__name__}. Of other "
            "trees, save a state with jaxmlp.save_state."
        )
    arrays = flatten_by_path(params)
    if problems := differences(params_skeleton(config, arrays), arrays):
        raise ValueError(
            "params must be those of config, as init_params(config, key=...) makes them, or "
            f"stacked ones; got: {'; '.join(problems)}."
        )
    return arrays


def require_arrays(path: str | Path, skeleton: Params, arrays: Mapping[str, Any]) -> None:
    """Raises unless a file has just the arrays of a skeleton.

    Args:
        path: The file, for the message.
        skeleton: Shapes and types.
        arrays: Arrays by name, or their shapes.

    Raises:
        CheckpointError: It has not; all that do not fit are named.
    """
    if problems := differences(skeleton, arrays):
        raise CheckpointError(
            f"{path} does not hold the parameters of its network: {'; '.join(problems)}."
        )


def choose_config(
    path: str | Path,
    stored: str | None,
    config: MLPConfig | None,
    activations: Mapping[str, Activation] | None = None,
) -> MLPConfig:
    """Returns the config in a file, or the one that was given in its place.

    Args:
        path: The file, for messages.
        stored: Its config as JSON, if it has one.
        config: The config that was given, if any.
        activations: The user's own activations by name.

    Raises:
        CheckpointError: The stored config cannot be used.
        ValueError: There is neither, or they differ.
    """
    if stored is None:
        if activations:
            raise ValueError(f"activations have no effect for {path}, which names none.")
        if config is None:
            raise ValueError(
                f"{path} holds arrays only; give the config of their network. A file of an "
                "estimator is read by jaxmlp.sklearn.load."
            )
        return config
    if config is not None:
        own = config.own_activations()
        named = {name: own[name] for name in own if f'"{name}"' in stored}
        activations = named | dict(activations or {})
    try:
        found = MLPConfig.from_json(stored, activations=activations)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} holds a config that cannot be used: {error}") from None
    if config not in (None, found):
        raise ValueError(
            f"{path} holds another network than the config given: {found}. Leave it out."
        )
    return found


def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that made a file, by name."""
    return {
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
        "jaxmlp": __version__,
        "numpy": np.__version__,
        "optax": optax.__version__,
    }
