"""Criteria for numbers, counts, distributions, quantiles: outputs and targets to row losses."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from .targets import Outputs, RowLosses, Targets, check_range, match_targets, mean_in_range


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
    predictions, targets = match_targets("squared_error", predictions, targets)
    return jnp.mean(optax.losses.squared_error(predictions, targets), axis=-1)


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
    predictions, targets = match_targets("absolute_error", predictions, targets)
    return jnp.mean(jnp.abs(predictions - targets), axis=-1)


def huber(predictions: Outputs, targets: Targets, *, delta: float = 1.0) -> RowLosses:
    """Huber loss: `r**2 / 2` up to a residual r of `delta`, linear beyond; mean over outputs.

    Args:
        predictions: Shape (*batch, outputs).
        targets: Shape (*batch, outputs), or (*batch,) for one output.
        delta: Residual above 0, in target units, at which the loss becomes linear.

    Returns:
        Loss per row, shape (*batch,).

    Raises:
        ValueError: Shapes do not match, or `delta` is not positive.

    References:
        Huber 1964, equation 1.1 with his k as delta.
    """
    if not delta > 0:
        raise ValueError(f"delta must be above 0; got {delta}.")
    predictions, targets = match_targets("huber", predictions, targets)
    return jnp.mean(optax.losses.huber_loss(predictions, targets, delta=delta), axis=-1)


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
    log_rates, targets = match_targets("poisson", log_rates, targets)
    check_range("poisson", targets, 0.0, np.inf)
    return mean_in_range(jnp.exp(log_rates) - targets * log_rates, targets >= 0)


def gaussian(outputs: Outputs, targets: Targets, *, min_scale: float = 1e-3) -> RowLosses:
    """Gaussian negative log-likelihood of a predicted mean and scale, in nats per row and target.

    Args:
        outputs: Shape (*batch, 2 * targets): all means, then all raw scales; the standard
            deviation is `softplus(raw) + min_scale` (see `gaussian_parameters`).
        targets: Shape (*batch, targets), or (*batch,) for one.
        min_scale: Smallest standard deviation, above 0, in target units; bounds the likelihood of
            a row that is fitted exactly.

    Returns:
        Loss per row, shape (*batch,), the constant `log(2 pi) / 2` included.

    Raises:
        ValueError: Shapes do not match, or `min_scale` is not positive.

    References:
        Lakshminarayanan et al. 2017, equation 1.
    """
    mean, scale = gaussian_parameters(outputs, min_scale=min_scale)
    mean, targets = match_targets("gaussian", mean, targets)
    return -jnp.mean(jax.scipy.stats.norm.logpdf(targets, mean, scale), axis=-1)


def gaussian_parameters(
    outputs: Outputs, *, min_scale: float = 1e-3
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
    outputs = jnp.asarray(outputs)
    if not min_scale > 0:
        raise ValueError(f"min_scale must be above 0; got {min_scale}.")
    if outputs.shape[-1] % 2:
        raise ValueError(
            "gaussian needs a mean and a scale output per target, an even number; got "
            f"outputs.shape={outputs.shape}. Set out_features to 2 * targets."
        )
    mean, raw_scale = jnp.split(outputs, 2, axis=-1)
    return mean, jax.nn.softplus(raw_scale) + min_scale


def quantile(outputs: Outputs, targets: Targets, *, levels: Sequence[float]) -> RowLosses:
    """Quantile (pinball) loss at any number of levels, in target units.

    Args:
        outputs: Shape (*batch, targets * levels), the levels of one target next to each other.
        targets: Shape (*batch, targets), or (*batch,) for one.
        levels: Probabilities in (0, 1), such as (0.05, 0.5, 0.95).

    Returns:
        `max(q * r, (q - 1) * r)` for residual `r = target - output`, mean over targets and levels,
        shape (*batch,).

    Raises:
        ValueError: A level is out of range, or shapes do not match.

    References:
        Koenker & Bassett 1978, equation 3.1.
    """
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must be probabilities in (0, 1); got {tuple(levels)}.")
    outputs = jnp.asarray(outputs)
    if outputs.shape[-1] % len(levels):
        raise ValueError(
            f"quantile needs one output per target and level, a multiple of {len(levels)}; got "
            f"outputs.shape={outputs.shape}. Set out_features to targets * levels."
        )
    outputs = outputs.reshape(*outputs.shape[:-1], -1, len(levels))
    _, targets = match_targets("quantile", outputs[..., 0], targets)
    level = jnp.asarray(levels, outputs.dtype)
    residual = targets[..., None] - outputs  # (*batch, targets, levels)
    return jnp.mean(jnp.maximum(level * residual, (level - 1) * residual), axis=(-2, -1))
