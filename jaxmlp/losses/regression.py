"""Criteria for numbers, counts, distributions, quantiles: outputs and targets to row losses."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from .options import Levels, Scalar, as_option
from .targets import Outputs, RowLosses, Targets, as_outputs, match_targets, mean_in_range


def squared_error(predictions: Outputs, targets: Targets) -> RowLosses:
    """Squared error, mean over the outputs of a row, in squared target units.

    Args:
        predictions: Shape (*batch, outputs).
        targets: Shape (*batch, outputs), or (*batch,) for one output.

    Returns:
        Loss per row, shape (*batch,).

    Raises:
        ValueError: Shapes do not match.
    """
    predictions, dtype = as_outputs(predictions, "predictions")
    targets, _ = match_targets("squared_error", predictions, targets)
    return jnp.mean(optax.losses.squared_error(predictions, targets), axis=-1).astype(dtype)


def absolute_error(predictions: Outputs, targets: Targets) -> RowLosses:
    """Absolute error, mean over the outputs of a row, in target units.

    Args:
        predictions: Shape (*batch, outputs).
        targets: Shape (*batch, outputs), or (*batch,) for one output.

    Returns:
        Loss per row, shape (*batch,).

    Raises:
        ValueError: Shapes do not match.
    """
    predictions, dtype = as_outputs(predictions, "predictions")
    targets, _ = match_targets("absolute_error", predictions, targets)
    residual = predictions - targets
    # |r| of slope 0 at 0, as PyTorch's; that of jnp.abs is 1 there.
    losses = residual * jax.lax.stop_gradient(jnp.sign(residual))
    return jnp.mean(losses, axis=-1).astype(dtype)


def huber(predictions: Outputs, targets: Targets, *, delta: Scalar = 1.0) -> RowLosses:
    """Huber loss: `r**2 / 2` up to a residual r of `delta`, linear beyond; mean over outputs.

    Args:
        predictions: Shape (*batch, outputs).
        targets: Shape (*batch, outputs), or (*batch,) for one output.
        delta: Residual above 0, in target units, at which the loss becomes linear; infinity makes
            it `r**2 / 2` everywhere. A traced one that is out of range gives NaN.

    Returns:
        Loss per row, shape (*batch,).

    Raises:
        ValueError: Shapes do not match, or `delta` is not positive.

    References:
        Huber 1964, equation 1.1 with his k as delta.
    """
    predictions, dtype = as_outputs(predictions, "predictions")
    delta = as_option("delta", delta, "above 0", lambda d: d > 0, predictions.dtype)
    targets, _ = match_targets("huber", predictions, targets)
    residual = predictions - targets
    # c (r - c / 2) with r cut to c in [-delta, delta]; its slope is c, at any delta.
    cut = jnp.clip(residual, -delta, delta)
    losses = cut * (residual - cut / 2)
    return jnp.mean(losses, axis=-1).astype(dtype)


def poisson(log_rates: Outputs, targets: Targets) -> RowLosses:
    """Poisson negative log-likelihood without its constant `log(y!)`, in nats per row and output.

    Args:
        log_rates: Logarithm of the expected count, shape (*batch, outputs).
        targets: Counts of at least 0, shape (*batch, outputs), or (*batch,) for one output.

    Returns:
        `exp(log_rate) - y * log_rate`, mean over the outputs of a row, shape (*batch,). A negative
        count gives NaN under `jax.jit`.

    Raises:
        ValueError: Shapes do not match, or, outside `jax.jit`, a count is negative.
    """
    log_rates, dtype = as_outputs(log_rates, "log_rates")
    targets, in_range = match_targets("poisson", log_rates, targets, 0.0, np.inf)
    # A rate of 0, whose logarithm is -inf, explains a count of 0 exactly.
    likelihood = jnp.where(targets == 0, 0, targets * log_rates)
    return mean_in_range(jnp.exp(log_rates) - likelihood, in_range, dtype)


def gaussian(outputs: Outputs, targets: Targets, *, min_scale: Scalar = 1e-3) -> RowLosses:
    """Gaussian negative log-likelihood of a predicted mean and scale, in nats per row and target.

    Args:
        outputs: Shape (*batch, 2 * targets): all means, then all raw scales; the standard
            deviation is `softplus(raw) + min_scale` (see `gaussian_parameters`).
        targets: Shape (*batch, targets), or (*batch,) for one.
        min_scale: Smallest standard deviation, above 0, in target units; bounds the likelihood of
            a row that is fitted exactly. A traced one that is out of range gives NaN.

    Returns:
        Loss per row, shape (*batch,), the constant `log(2 pi) / 2` included.

    Raises:
        ValueError: Shapes do not match, or `min_scale` is not positive.

    References:
        Lakshminarayanan et al. 2017, equation 1.
    """
    outputs, dtype = as_outputs(outputs)
    mean, scale = gaussian_parameters(outputs, min_scale=min_scale)
    targets, _ = match_targets("gaussian", mean, targets)
    standardised = _divide(targets - mean, scale)
    losses = jnp.square(standardised) / 2 + jnp.log(scale) + math.log(2 * math.pi) / 2
    return jnp.mean(losses, axis=-1).astype(dtype)


def gaussian_parameters(
    outputs: Outputs, *, min_scale: Scalar = 1e-3
) -> tuple[Float[Array, "*batch targets"], Float[Array, "*batch targets"]]:
    """Splits the outputs of a network trained with `gaussian` into mean and standard deviation.

    Args:
        outputs: Shape (*batch, 2 * targets): all means, then all raw scales.
        min_scale: The `min_scale` of the loss.

    Returns:
        Mean and standard deviation, each of shape (*batch, targets), in target units.

    Raises:
        ValueError: The number of outputs is odd, or `min_scale` is not positive.
    """
    outputs, dtype = as_outputs(outputs)
    min_scale = as_option("min_scale", min_scale, "above 0", lambda s: s > 0, outputs.dtype)
    if outputs.shape[-1] % 2:
        raise ValueError(
            "gaussian needs a mean and a scale output per target, an even number; got "
            f"outputs.shape={outputs.shape}. Set out_features to 2 * targets."
        )
    mean, raw_scale = jnp.split(outputs, 2, axis=-1)
    return mean.astype(dtype), (jax.nn.softplus(raw_scale) + min_scale).astype(dtype)


@jax.custom_jvp
def _divide(numerator: Array, denominator: Array) -> Array:
    """Quotient whose derivative squares no denominator, which would over- or underflow."""
    return numerator / denominator


@_divide.defjvp
def _divide_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (numerator, denominator), (d_numerator, d_denominator) = primals, tangents
    quotient = _divide(numerator, denominator)
    # d(a / b) = (da - (a / b) db) / b
    return quotient, _divide(d_numerator - quotient * d_denominator, denominator)


def quantile(outputs: Outputs, targets: Targets, *, levels: Levels) -> RowLosses:
    """Quantile (pinball) loss at any number of levels, in target units.

    Args:
        outputs: Shape (*batch, targets * levels), the levels of one target next to each other.
        targets: Shape (*batch, targets), or (*batch,) for one.
        levels: Probabilities in (0, 1), such as (0.05, 0.5, 0.95), or an array of them. A traced
            one that is out of range gives NaN.

    Returns:
        `max(q * r, (q - 1) * r)` for residual `r = target - output`, mean over targets and levels,
        shape (*batch,).

    Raises:
        ValueError: A level is out of range, or shapes do not match.

    References:
        Koenker & Bassett 1978, equation 3.1.
    """
    outputs, dtype = as_outputs(outputs)
    requirement = "probabilities in (0, 1)"
    level = as_option(
        "levels", levels, requirement, lambda q: (q > 0) & (q < 1), outputs.dtype, ndim=1
    )
    if outputs.shape[-1] % len(level):
        raise ValueError(
            f"quantile needs one output per target and level, a multiple of {len(level)}; got "
            f"outputs.shape={outputs.shape}. Set out_features to targets * levels."
        )
    outputs = outputs.reshape(*outputs.shape[:-1], -1, len(level))
    targets, _ = match_targets("quantile", outputs[..., 0], targets)
    residual = targets[..., None] - outputs  # (*batch, targets, levels)
    losses = jnp.maximum(level * residual, (level - 1) * residual)
    return jnp.mean(losses, axis=(-2, -1)).astype(dtype)
