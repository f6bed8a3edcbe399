"""Turns inputs and parameters that do not fit a network into clear errors."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from .activations import net_input_features
from .config import MLPConfig, require_config
from .types import Dense, Params


def check_dropout_rate(rate: float | Float[Array, ""], config: MLPConfig) -> None:
    """Refuses a rate that is out of range, where it is known, or that acts on nothing."""
    if not config.hidden_features:
        raise ValueError(
            "dropout_rate acts on hidden layers, but hidden_features is (); leave it out or add a "
            "hidden layer."
        )
    # Python's number, since operations of a JAX array are traced where anything is.
    if isinstance(rate, Tracer):
        return
    if np.ndim(rate) or not isinstance(rate, int | float | np.number | jax.Array | np.ndarray):
        raise TypeError(f"dropout_rate must be a number in [0, 1); got {rate!r}.")
    if not 0 <= float(rate) < 1:
        raise ValueError(f"dropout_rate must be in [0, 1); got {rate}.")


def check_inputs(params: Params, x: Array | np.ndarray, config: MLPConfig) -> None:
    """Refuses inputs that a network cannot take, and parameters that are not of its config."""
    require_config(config)
    standardization = getattr(params, "standardization", None)
    _check_type(x, config, standardised=standardization is not None)
    if not isinstance(params, Params):
        raise TypeError(
            f"params must be the jaxmlp.Params of this config; got a {type(params).__name__}. "
            "Draw them with jaxmlp.init_params(config, key=key)."
        )
    if x.ndim == 0 or x.shape[-1] != config.in_features:
        features = "no axes" if x.ndim == 0 else f"{x.shape[-1]} features in its last axis"
        raise ValueError(
            f"x has {features}, but the network was initialised for {config.in_features}; "
            f"got x.shape={x.shape}."
        )
    if standardization is not None:
        got = [np.shape(statistic) for statistic in standardization]
        if got != [(config.in_features,)] * 2:
            raise ValueError(
                f"params.standardization must have a mean and a scale of shape "
                f"({config.in_features},); got {got}. Make it with jaxmlp.with_standardization, "
                "and use jax.vmap over the member axis of an ensemble."
            )
    widths = map(net_input_features, config.hidden_activations, config.hidden_features)
    fans_in = (config.in_features, *config.hidden_features)
    required = list(zip(fans_in, (*widths, config.out_features), strict=True))
    got = [dense.kernel.shape for dense in (*params.hidden, params.output)]
    if got != required:
        members = all(len(shape) == 3 for shape in got)
        remedy = "use jax.vmap over the member axis" if members else "draw them for this config"
        raise ValueError(
            f"params must have kernels of shapes {required} for this config; got {got}; {remedy}."
        )
    hidden_parts = (
        config.use_bias,
        config.norm is not None,
        config.norm == "layer" and config.use_bias,
    )
    required_parts = [*(hidden_parts for _ in params.hidden), (config.use_bias, False, False)]
    got_parts = [_parts(dense) for dense in (*params.hidden, params.output)]
    if got_parts != required_parts:
        raise ValueError(
            f"params must have the biases and norms of config.use_bias={config.use_bias} and "
            f"config.norm={config.norm!r}; got (bias, norm, norm bias) by layer = {got_parts} "
            f"where {required_parts} are needed. Draw them with init_params(config, key=key)."
        )


def _check_type(x: Array | np.ndarray, config: MLPConfig, *, standardised: bool) -> None:
    dtype = getattr(x, "dtype", None)
    is_bool = dtype is not None and jnp.issubdtype(dtype, jnp.bool_)
    is_integer = dtype is not None and jnp.issubdtype(dtype, jnp.integer)
    if not (is_bool or is_integer or (dtype is not None and jnp.issubdtype(dtype, jnp.floating))):
        if dtype is None:
            raise TypeError(
                f"x must be a NumPy or JAX array; got a {type(x).__name__}. jaxmlp.predict takes "
                "frames, tables and sparse rows, with the columns in the order of training."
            )
        raise TypeError(
            f"x must be a floating or integer NumPy or JAX array; got an array of {dtype}. "
            "Convert it explicitly, as in x.astype('float32')."
        )
    compute_dtype = config.compute_dtype or config.param_dtype
    # Floats hold every integer up to 2**(mantissa bits + 1); statistics are taken off in float32.
    largest_exact = 2 ** (jnp.finfo(compute_dtype).nmant + 1)
    if is_integer and not standardised and jnp.iinfo(dtype).max > largest_exact:
        raise TypeError(
            f"x must be floating, or of a type all of whose integers {compute_dtype} holds "
            f"exactly, such as int8; got an array of {dtype}. Convert it explicitly, as in "
            "x.astype('float32')."
        )


def _parts(dense: Dense) -> tuple[bool, bool, bool]:
    if dense.norm is None:
        return dense.bias is not None, False, False
    return dense.bias is not None, True, dense.norm.bias is not None
