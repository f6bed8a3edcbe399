"""Metrics of what the outputs say of classes: their probabilities, and the order of the rows."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..checks import require_int
from .counting import (
    Counts,
    Metric,
    Outputs,
    Targets,
    Weight,
    is_correct,
    ratio,
    rescale,
    rows,
    weighted_sum,
)


def _limits(logits: Array) -> Array:
    """Logits of the same softmax, in which none is infinite above: inf is certainty."""
    certain = logits == jnp.inf
    alone = jnp.sum(certain, axis=-1, keepdims=True) == 1
    return jnp.where(alone, jnp.where(certain, 0, -jnp.inf), logits)


def _count_log_likelihood(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    if outputs.shape[-1] == 1:
        losses = -jax.nn.log_sigmoid(jnp.where(targets == 1, 1, -1) * outputs[:, 0])
    else:
        index = jnp.where(jnp.isnan(weight), 0, targets).astype(jnp.int32)[:, None]
        log_probabilities = jax.nn.log_softmax(_limits(outputs), axis=-1)
        losses = -jnp.take_along_axis(log_probabilities, index, axis=-1)[:, 0]
    return jnp.sum(jnp.where(weight == 0, 0, weight * losses)), jnp.sum(weight)


log_loss = Metric(name="log_loss", count=_count_log_likelihood, compute=ratio)
"""Mean negative log-likelihood of the classes under the softmax of the outputs, in nats per row, at
least 0; targets integer (*batch,). One output is read as the log-odds of class 1. One logit of inf
is certainty; the loss is infinite where a class that occurs had probability 0, which scikit-learn's
function of probabilities cuts off at their rounding error."""


def calibration_error(bins: int = 15) -> Metric:
    """Returns the expected calibration error: mean gap between confidence and accuracy per bin.

    Args:
        bins: Number of equal confidence bins over [0, 1], at least 1.

    Returns:
        A `Metric` in [0, 1] for logits and integer targets of shape (*batch,); the confidence is
        the softmax (for one output: sigmoid) probability of the predicted class.

    Raises:
        TypeError: `bins` is no int.
        ValueError: `bins` is below 1.

    References:
        Guo et al. 2017, equation 3.
    """
    require_int("bins", bins, 1, None)
    count = functools.partial(_count_gaps, bins)
    return Metric(name="calibration_error", count=count, compute=_mean_gap)


def _count_gaps(bins: int, outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    correct = is_correct(outputs, targets)
    if outputs.shape[-1] == 1:
        confidence = jax.nn.sigmoid(jnp.abs(outputs[:, 0]))
    else:
        confidence = jnp.max(jax.nn.softmax(_limits(outputs), axis=-1), axis=-1)
    # Bins are (lower, upper], as in the paper.
    index = jnp.clip(jnp.ceil(confidence * bins).astype(jnp.int32) - 1, 0, bins - 1)
    in_bin = jax.nn.one_hot(index, bins, dtype=outputs.dtype)  # (rows, bins)
    return weighted_sum(weight * (correct - confidence), in_bin), jnp.sum(weight)


def _mean_gap(counts: Counts) -> Array:
    gaps, weight = counts
    return jnp.sum(jnp.abs(gaps)) / weight


def roc_auc(outputs: Outputs, targets: Targets, weight: Weight | None = None) -> Float[Array, ""]:
    """Area under the ROC curve: the chance that a row of class 1 scores above one of class 0.

    Args:
        outputs: Scores, shape (*batch, 1), or two logits (*batch, 2), scored by their difference.
        targets: Integer or boolean classes 0 and 1, shape (*batch,).
        weight: Weight of each row, at least 0, shape (*batch,); `None` weighs all alike.

    Returns:
        A scalar in [0, 1], ties counted as half; NaN where a class is missing, an output is NaN,
        or a target is neither 0 nor 1.

    Raises:
        ValueError: Shapes do not match, or there are more than two outputs.

    References:
        Hanley & McNeil 1982, section "Meaning of the area".
    """
    weight = None if weight is None else rescale(weight)
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    if outputs.shape[-1] > 2:
        raise ValueError(
            f"roc_auc needs one score or two logits per row; got {outputs.shape[-1]} outputs."
        )
    score = outputs[:, 0] if outputs.shape[-1] == 1 else outputs[:, 1] - outputs[:, 0]
    # Equal infinite logits are unordered.
    weight = jnp.where((weight != 0) & jnp.isnan(score), jnp.nan, weight)
    positive = jnp.where(targets == 1, weight, 0)
    negative = jnp.where(targets == 1, 0, weight)
    order = jnp.argsort(score)
    score, positive, negative = score[order], positive[order], negative[order]
    below = jnp.concatenate([jnp.zeros(1, negative.dtype), jnp.cumsum(negative)])
    first = jnp.searchsorted(score, score, side="left")
    last = jnp.searchsorted(score, score, side="right")
    # Negatives strictly below, plus half of those that tie.
    wins = jnp.sum(positive * (below[first] + below[last]) / 2)
    return wins / (jnp.sum(positive) * jnp.sum(negative))
