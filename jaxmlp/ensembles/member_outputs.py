"""Turns members' parameters and rows into the outputs of all: `predict_members`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..fitting import predict_rows, put_beside
from ..forward import apply
from ..network import MLPConfig, Params, check_inputs, require_config


def predict_members(
    params: Params, x: Any, *, config: MLPConfig, batch_size: int | None = None
) -> Float[Array, "members rows out_features"]:
    """Computes every member's outputs of any number of rows: `jaxmlp.predict` of each.

    A block of rows goes through one member after the other while it is in the caches.

    Args:
        params: Parameters of `config` with a leading member axis, as `fit_members` gives them.
        x: The rows, as `jaxmlp.predict` takes them.
        config: The network of one member.
        batch_size: Rows per block, as of `jaxmlp.predict`.

    Returns:
        Outputs, as the functions for members' outputs take them.

    Raises:
        TypeError: `x` holds no numbers, `params` are no `Params`, or `config` is no `MLPConfig`.
        ValueError: There are no rows, `x` has the wrong number of features, `params` have no member
            axis, or they are not those of `config`.

    Example:
        >>> import jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=3)
        >>> keys = jax.random.split(jax.random.key(0), 5)
        >>> params = jax.vmap(lambda key: jaxmlp.init_params(config, key=key))(keys)
        >>> predict_members(params, jnp.zeros((4000, 2)), config=config).shape
        (5, 4000, 3)
    """
    require_config(config)
    if not isinstance(params, Params):
        raise TypeError(f"params must be jaxmlp.Params; got a {type(params).__name__}.")
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(params)}
    if len(counts) != 1 or counts <= {(), (0,)}:
        raise ValueError(
            "params must have a leading axis of at least one member, the same for all arrays, as "
            f"fit_members gives them; got axes of {sorted(counts)}. For one network use "
            "jaxmlp.predict."
        )
    if isinstance(x, jax.Array | np.ndarray) and x.ndim > 1:
        check_inputs(jax.eval_shape(_first, params), x, config)
    outputs = predict_rows(_apply_members, params, x, config, batch_size)
    moveaxis: Any = np.moveaxis if isinstance(outputs, np.ndarray) else jnp.moveaxis
    return put_beside(params, moveaxis(outputs, 1, 0))


def _first(params: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf[0], params)


def _apply_members(params: Params, x: Array, config: MLPConfig) -> Array:
    outputs = jax.lax.map(lambda member: apply(member, x, config=config), params)
    return jnp.moveaxis(outputs, 0, 1)
