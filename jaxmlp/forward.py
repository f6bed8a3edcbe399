"""Turns parameters and inputs into outputs, and shows every net input and activation on the way."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from .checks import require_key
from .network import (
    Dense,
    MLPConfig,
    Norm,
    Params,
    Standardization,
    activate,
    check_dropout_rate,
    check_inputs,
)


class Layer(NamedTuple):
    """What one layer computed: `net_input` z, `activation` a, and the `inputs` it saw.

    `net_input = inputs @ kernel + bias`. For a hidden layer `activation = f(norm(net_input))`; for
    the output layer it is the network's output. Dropout and residual connections act after the
    activation, so they show in the next layer's `inputs`; those of the first layer are x,
    standardised where the parameters say how.
    """

    net_input: Float[Array, "*batch net_input_features"]
    activation: Float[Array, "*batch features"]
    inputs: Float[Array, "*batch in_features"]


def apply(
    params: Params,
    x: Shaped[Array | np.ndarray, "*batch in_features"],
    *,
    config: MLPConfig,
    key: Key[Array, ""] | None = None,
    dropout_rate: float | Float[Array, ""] | None = None,
) -> Float[Array, "*batch out_features"]:
    """Computes the outputs of the network: a pure function of its arguments.

    Args:
        params: Parameters that `init_params` drew for `config`.
        x: Inputs, any number of leading batch axes; NumPy or JAX. Floating, or integers of a type
            that the compute dtype holds exactly (any, where `params` hold a standardization).
        config: The network; static under `jax.jit`.
        key: Random key for dropout; without it nothing is random.
        dropout_rate: Probability in [0, 1) in place of the config's, with a key. It may be traced:
            by it the members of a sweep differ within one program. A traced one that is out of
            range gives NaN.

    Returns:
        Outputs of type `config.param_dtype`: logits, unless `output_activation` is named.

    Raises:
        TypeError: `x` or another argument has another type.
        ValueError: `x` has the wrong number of features, `params` are not those of `config`, or
            `dropout_rate` is out of range, comes without a key or has no hidden layer to act on.

    Example:
        >>> config = MLPConfig(in_features=3, hidden_features=(8,), out_features=2)
        >>> from jaxmlp import init_params
        >>> params = init_params(config, key=jax.random.key(0))
        >>> apply(params, np.zeros((5, 3), np.float32), config=config).shape
        (5, 2)
    """
    return intermediates(params, x, config=config, key=key, dropout_rate=dropout_rate)[
        -1
    ].activation


def intermediates(
    params: Params,
    x: Shaped[Array | np.ndarray, "*batch in_features"],
    *,
    config: MLPConfig,
    key: Key[Array, ""] | None = None,
    dropout_rate: float | Float[Array, ""] | None = None,
) -> tuple[Layer, ...]:
    """Computes the net input z and the activation a of every layer.

    Args:
        params: Parameters that `init_params` drew for `config`.
        x: Inputs, any number of leading batch axes; NumPy or JAX. Floating, or integers of a type
            that the compute dtype holds exactly (any, where `params` hold a standardization).
        config: The network; static under `jax.jit`.
        key: Random key for dropout; without it nothing is random.
        dropout_rate: Probability in [0, 1) in place of the config's, with a key. It may be traced:
            by it the members of a sweep differ within one program. A traced one that is out of
            range gives NaN.

    Returns:
        One `Layer` per hidden layer, then one for the output layer, whose activation is what
        `apply` returns.

    Raises:
        TypeError: `x` or another argument has another type.
        ValueError: `x` has the wrong number of features, `params` are not those of `config`, or
            `dropout_rate` is out of range, comes without a key or has no hidden layer to act on.

    Example:
        >>> config = MLPConfig(in_features=3, hidden_features=(8,), out_features=2)
        >>> from jaxmlp import init_params
        >>> params = init_params(config, key=jax.random.key(0))
        >>> hidden, output = intermediates(params, np.zeros((5, 3), np.float32), config=config)
        >>> hidden.net_input.shape, output.activation.shape
        ((5, 8), (5, 2))
    """
    if key is None and dropout_rate is not None:
        raise ValueError(
            "dropout_rate needs key, without which nothing is dropped; got dropout_rate="
            f"{dropout_rate} and key=None. Pass key=jax.random.key(0), or leave the rate out."
        )
    return compute_layers(params, x, config, key, dropout_rate)


def compute_layers(
    params: Params,
    x: Shaped[Array | np.ndarray, "*batch in_features"],
    config: MLPConfig,
    key: Key[Array, ""] | None,
    dropout_rate: float | Float[Array, ""] | None,
) -> tuple[Layer, ...]:
    """Computes `intermediates`; without a key the rate rests, as when a loss is evaluated."""
    check_inputs(params, x, config)
    if key is not None:
        require_key("apply", key)
    if dropout_rate is None:
        dropout_rate = config.dropout_rate
    else:
        check_dropout_rate(dropout_rate, config)
    drops = isinstance(dropout_rate, jax.Array) or dropout_rate > 0
    compute_dtype = jnp.dtype(config.compute_dtype or config.param_dtype)
    if params.standardization is None:
        inputs = jnp.asarray(x, compute_dtype)
    else:
        inputs = _standardise(params.standardization, x).astype(compute_dtype)
    layers = []
    for index, (dense, name) in enumerate(
        zip(params.hidden, config.hidden_activations, strict=True)
    ):
        net_input = _net_input(dense, inputs)
        activation = activate(name, normalise(dense.norm, net_input, config))
        layers.append(Layer(net_input, activation, inputs))
        outputs = activation
        if key is not None and drops:
            outputs = dropout(outputs, dropout_rate, jax.random.fold_in(key, index))
        inputs = inputs + outputs if config.residual and index > 0 else outputs
    net_input = _net_input(params.output, inputs)
    # Output functions and losses are computed at the precision of the parameters.
    outputs = net_input.astype(config.param_dtype)
    if config.output_activation == "softmax":
        outputs = jax.nn.softmax(outputs, axis=-1)
    elif config.output_activation is not None:
        outputs = activate(config.output_activation, outputs)
    return (*layers, Layer(net_input, outputs, inputs))


def _standardise(
    statistics: Standardization, x: Shaped[Array | np.ndarray, "*batch in_features"]
) -> Float[Array, "*batch in_features"]:
    # Digits that 16 bits cannot hold cancel in x - mean.
    wide = np.promote_types(np.promote_types(x.dtype, statistics.mean.dtype), "float32")
    wide = jax.dtypes.canonicalize_dtype(wide)
    mean, scale = jax.tree.map(lambda a: jax.lax.stop_gradient(jnp.asarray(a, wide)), statistics)
    return (jnp.asarray(x, wide) - mean) / scale


def _net_input(
    dense: Dense, inputs: Float[Array, "*batch in_features"]
) -> Float[Array, "*batch features"]:
    z = inputs @ jnp.asarray(dense.kernel, inputs.dtype)
    return z if dense.bias is None else z + jnp.asarray(dense.bias, inputs.dtype)


def normalise(
    norm: Norm | None, z: Float[Array, "*batch features"], config: MLPConfig
) -> Float[Array, "*batch features"]:
    """Normalises net inputs over a layer's features, if it has a norm."""
    if norm is None:
        return z
    # Means over features are taken in at least single precision.
    wide = z.astype(np.promote_types(z.dtype, "float32"))
    # LayerNorm: (z - mean) / sqrt(variance + eps); RMSNorm: z / sqrt(mean(z**2) + eps).
    mean = jnp.mean(wide, axis=-1, keepdims=True) if config.norm == "layer" else 0.0
    centred = wide - mean
    mean_square = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    unit = centred * jax.lax.rsqrt(mean_square + config.norm_epsilon)
    scaled = unit * jnp.asarray(norm.scale, wide.dtype)
    if norm.bias is not None:
        scaled = scaled + jnp.asarray(norm.bias, wide.dtype)
    return scaled.astype(z.dtype)


def dropout(
    a: Float[Array, "*batch features"], rate: float | Float[Array, ""], key: Key[Array, ""]
) -> Array:
    """Drops units at a rate, and scales the others so that the mean stays; NaN out of [0, 1)."""
    # Inverted dropout (Srivastava et al. 2014, section 10): E[output] = a.
    keep = jax.random.bernoulli(key, 1 - rate, a.shape)
    scale = 1 - rate
    if isinstance(rate, jax.Array):
        scale = jnp.where((rate >= 0) & (rate < 1), scale, jnp.nan)
    scale = jnp.asarray(scale, a.dtype)
    return jnp.where(keep, a / scale, 0 * scale)
