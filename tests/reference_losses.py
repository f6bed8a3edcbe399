"""The oracle's criteria: loss per row, and its gradient with respect to the row's outputs."""

import numpy as np
from reference import activate, sigmoid, softplus


def softmax_cross_entropy(logits, targets, *, label_smoothing=0.0):
    classes = logits.shape[-1]
    if np.issubdtype(targets.dtype, np.integer):
        targets = np.eye(classes)[targets]
    targets = (1 - label_smoothing) * targets + label_smoothing / classes
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    total = targets.sum(axis=-1, keepdims=True)
    return -np.sum(targets * log_p, axis=-1), total * activate("softmax", logits) - targets


def sigmoid_binary_cross_entropy(logits, targets):
    # -y log s(z) - (1 - y) log(1 - s(z)), where -log s(z) = softplus(-z)
    losses = targets * softplus(-logits) + (1 - targets) * softplus(logits)
    return _mean_over_outputs(losses, sigmoid(logits) - targets)


def hinge(scores, targets):
    sign = 2 * targets - 1
    margin = 1 - sign * scores
    return _mean_over_outputs(np.maximum(margin, 0), np.where(margin > 0, -sign, 0.0))


def squared_error(predictions, targets):
    residual = predictions - targets
    return _mean_over_outputs(residual**2, 2 * residual)


def absolute_error(predictions, targets):
    residual = predictions - targets
    return _mean_over_outputs(np.abs(residual), np.sign(residual))


def huber(predictions, targets, *, delta=1.0):
    residual = predictions - targets
    size = np.abs(residual)
    losses = np.where(size <= delta, residual**2 / 2, delta * (size - delta / 2))
    return _mean_over_outputs(losses, np.clip(residual, -delta, delta))


def poisson(log_rates, targets):
    rates = np.exp(log_rates)
    return _mean_over_outputs(rates - targets * log_rates, rates - targets)


def gaussian(outputs, targets, *, min_scale=1e-3):
    mean, raw = np.split(outputs, 2, axis=-1)
    scale = softplus(raw) + min_scale
    residual = mean - targets
    losses = np.log(scale) + residual**2 / (2 * scale**2) + np.log(2 * np.pi) / 2
    d_scale = 1 / scale - residual**2 / scale**3
    d_outputs = np.concatenate([residual / scale**2, d_scale * sigmoid(raw)], axis=-1)
    return losses.mean(axis=-1), d_outputs / targets.shape[-1]


def quantile(outputs, targets, *, levels):
    level = np.tile(levels, targets.shape[-1])
    residual = np.repeat(targets, len(levels), axis=-1) - outputs
    losses = np.where(residual > 0, level * residual, (level - 1) * residual)
    return _mean_over_outputs(losses, np.where(residual > 0, -level, 1 - level))


def _mean_over_outputs(losses, slopes):
    return losses.mean(axis=-1), slopes / losses.shape[-1]


def weighted_mean(row_losses, d_outputs, weight=None):
    """Weighted mean over rows, and its gradient with respect to the outputs of all rows."""
    weight = np.ones_like(row_losses) if weight is None else weight
    share = weight / weight.sum()
    return np.sum(share * row_losses), share[..., None] * d_outputs
