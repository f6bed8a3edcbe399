"""Turns a network into a file of compiled operations that JAX alone runs, and the file into it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float

from ..checks import is_real_array, require_int, require_path
from ..forward import apply
from ..network import MLPConfig, Params, require_config
from ..storage import CheckpointError, named_params, write_atomically
from .operations import is_ensemble

_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def to_stablehlo(
    path: str | Path,
    config: MLPConfig,
    params: Params,
    *,
    vjp_order: int = 0,
    platforms: Sequence[str] = ("cpu",),
) -> None:
    """Writes a network as StableHLO, which JAX runs without jaxmlp, for any number of rows.

    `jax.export.deserialize(Path(path).read_bytes()).call(x)` computes outputs of x, shape (rows,
    in_features), of float32, or of float64 for parameters of float64; of an ensemble the mean of
    the members' outputs and their standard deviation over members. JAX reads such files for six
    months at least; keep `jaxmlp.save`'s beside.

    Args:
        path: The file; its directory exists.
        config: The network, also one with activations of your own.
        params: Its parameters, or those of an ensemble with a leading member axis.
        vjp_order: How often the function can be differentiated with respect to x, at least 0.
        platforms: Where it runs: of "cpu", "cuda", "rocm" and "tpu".

    Raises:
        ImportError: The package flatbuffers is not installed.
        OSError: It could not be written.
        TypeError: `path` is no path, `config` no `MLPConfig`, `params` no `Params`, or another
            argument has another type.
        ValueError: `params` are not those of `config`, `vjp_order` is negative, or a platform is
            unknown or missing.

    Example:
        >>> import tempfile, jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> path = Path(tempfile.mkdtemp()) / "network.stablehlo"
        >>> to_stablehlo(path, config, params, platforms=("cpu", "cuda"))
        >>> from_stablehlo(path)(np.zeros((5, 2), np.float32)).shape
        (5, 3)
    """
    require_path("path", path)
    require_config(config)
    if not isinstance(params, Params):
        raise TypeError(f"params must be the jaxmlp.Params of config; got {type(params).__name__}.")
    require_int("vjp_order", vjp_order, 0, None)
    if isinstance(platforms, str) or not isinstance(platforms, Sequence):
        raise TypeError(f"platforms must be a tuple, as ('cpu', 'cuda'); got {platforms!r}.")
    if not platforms or set(platforms) - set(_PLATFORMS):
        raise ValueError(f"platforms must be some of {_PLATFORMS}; got {tuple(platforms)}.")
    named_params(config, params)
    leading: tuple[int, ...] = params.output.kernel.shape[:-2]
    if len(leading) > 1 or 0 in leading:
        raise ValueError(
            "params must have one axis of at least one member in front, or none; got the leading "
            f"axes {leading}. Join several by a.reshape(-1, *a.shape[{len(leading)}:])."
        )
    _require_flatbuffers()
    constants = jax.tree.map(jnp.asarray, params)

    def outputs(x: Array) -> Any:
        if not is_ensemble(constants):
            return apply(constants, x, config=config)
        members = jax.vmap(lambda member: apply(member, x, config=config))(constants)
        return jnp.mean(members, axis=0), jnp.std(members, axis=0)

    (rows,) = export.symbolic_shape("rows")
    dtype = np.promote_types(config.param_dtype, np.float32)
    shape = jax.ShapeDtypeStruct((rows, config.in_features), dtype)
    exported = export.export(jax.jit(outputs), platforms=tuple(platforms))(shape)
    write_atomically(path, [bytes(exported.serialize(vjp_order=vjp_order))], follow_links=True)


def from_stablehlo(path: str | Path) -> Callable[[Any], Any]:
    """Reads a function that `to_stablehlo` wrote.

    Such a file is a program: read it from whom you would run a program of.

    Args:
        path: The file.

    Returns:
        A function from rows, shape (rows, in_features), to outputs, shape (rows, out_features), or
        to mean and deviation; it may be jitted, and differentiated as often as the file says.

    Raises:
        CheckpointError: The file holds no function of rows that this version of JAX reads.
        ImportError: The package flatbuffers is not installed.
        OSError: It cannot be read.
        TypeError: `path` is no path.
    """
    require_path("path", path)
    _require_flatbuffers()
    content = bytearray(Path(path).read_bytes())
    try:
        exported = export.deserialize(content)
        ((_, in_features),) = (aval.shape for aval in exported.in_avals)
    except Exception as error:  # the parser of these files raises whatever the bytes lead to
        raise CheckpointError(
            f"{path} holds no function of rows that jax {jax.__version__} reads; write it again by "
            "jaxmlp.interchange.to_stablehlo."
        ) from error
    dtype = exported.in_avals[0].dtype

    def predict(x: Float[Array | np.ndarray, "rows in_features"]) -> Any:
        if not is_real_array(x):
            raise TypeError(f"x must be an array of real numbers; got a {type(x).__name__}.")
        if x.ndim != 2 or x.shape[1] != in_features or not x.shape[0]:
            raise ValueError(
                f"x must have at least one row, shape (rows, {in_features}); got {x.shape}. For a "
                "single row use x[None]."
            )
        return exported.call(jnp.asarray(x, dtype))

    return predict


def _require_flatbuffers() -> None:
    try:
        import flatbuffers  # noqa: F401  (jax.export writes and reads by it)
    except ImportError as error:
        raise ImportError(
            "jaxmlp.interchange needs flatbuffers for StableHLO, which is not installed; "
            "pip install 'jaxmlp[stablehlo]'."
        ) from error
