"""Criteria for classes and yes/no labels: outputs and targets to row losses."""

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from jaxtyping import Array, Float

from .targets import (
    Outputs,
    RowLosses,
    Targets,
    as_targets,
    check_range,
    match_targets,
    mean_in_range,
)


def softmax_cross_entropy(
    logits: Outputs, targets: Targets, *, label_smoothing: float | Float[Array, ""] = 0.0
) -> RowLosses:
    """Negative log-likelihood of a class under the softmax of the logits, in nats per row.

    Args:
        logits: Unnormalised log-probabilities, shape (*batch, classes), at least two classes.
        targets: Integer classes in [0, classes), shape (*batch,), or floating probabilities that
            sum to one, shape (*batch, classes).
        label_smoothing: Mass in [0, 1) of each target that is spread evenly over all classes
            (Szegedy et al. 2016, section 7). It may be traced, and is not checked then.

    Returns:
        Loss per row, shape (*batch,). A class out of range gives NaN under `jax.jit`.

    Raises:
        TypeError: Integer targets in the shape of probabilities, or floating ones in that of
            classes.
        ValueError: Shapes do not match, there is one class only, the smoothing is out of range,
            or, outside `jax.jit`, a target is not a class.
    """
    logits, targets = jnp.asarray(logits), as_targets(targets)
    classes = logits.shape[-1]
    if classes < 2:
        raise ValueError(
            "softmax_cross_entropy needs at least 2 classes, since the softmax of one logit is "
            f"always 1; got logits.shape={logits.shape}. Use sigmoid_binary_cross_entropy."
        )
    is_traced = isinstance(label_smoothing, Tracer)
    if not is_traced and not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1); got {label_smoothing}.")
    smooths = is_traced or label_smoothing > 0
    if jnp.issubdtype(targets.dtype, jnp.floating):
        if targets.shape != logits.shape:
            raise _target_error("softmax_cross_entropy", "floating", logits.shape, targets)
        probabilities = targets.astype(logits.dtype)
        if smooths:
            probabilities = optax.losses.smooth_labels(probabilities, label_smoothing)
        return optax.losses.softmax_cross_entropy(logits, probabilities)
    if targets.shape != logits.shape[:-1]:
        raise _target_error("softmax_cross_entropy", "integer", logits.shape[:-1], targets)
    check_range("softmax_cross_entropy", targets, 0.0, classes - 1.0)
    log_probabilities = jax.nn.log_softmax(logits, axis=-1)
    in_range = (targets >= 0) & (targets < classes)
    index = jnp.where(in_range, targets, 0)[..., None]
    chosen = jnp.take_along_axis(log_probabilities, index, axis=-1)[..., 0]
    if smooths:
        # -(1 - s) log p_y - s mean_k log p_k
        spread = jnp.mean(log_probabilities, axis=-1)
        chosen = (1 - label_smoothing) * chosen + label_smoothing * spread
    return jnp.where(in_range, -chosen, jnp.nan)


def sigmoid_binary_cross_entropy(logits: Outputs, targets: Targets) -> RowLosses:
    """Negative log-likelihood of independent yes/no labels, in nats per row and label.

    Args:
        logits: Log-odds, shape (*batch, labels).
        targets: Labels or probabilities in [0, 1], shape (*batch, labels), or (*batch,) for one.

    Returns:
        Mean over the labels of a row, shape (*batch,). A target out of range gives NaN under
        `jax.jit`.

    Raises:
        ValueError: Shapes do not match, or, outside `jax.jit`, a target is out of range.
    """
    logits, targets = match_targets("sigmoid_binary_cross_entropy", logits, targets)
    check_range("sigmoid_binary_cross_entropy", targets, 0.0, 1.0)
    losses = optax.losses.sigmoid_binary_cross_entropy(logits, targets)
    return mean_in_range(losses, (targets >= 0) & (targets <= 1))


def hinge(scores: Outputs, targets: Targets) -> RowLosses:
    """Hinge loss of yes/no labels, mean over the labels of a row.

    Args:
        scores: Signed distances, positive for yes, shape (*batch, labels).
        targets: Labels 0 or 1, shape (*batch, labels), or (*batch,) for one.

    Returns:
        `max(0, 1 - s * score)` with `s = 2 * target - 1`, shape (*batch,). A label out of range
        gives NaN under `jax.jit`.

    Raises:
        ValueError: Shapes do not match, or, outside `jax.jit`, a label is out of range.

    References:
        Cortes & Vapnik 1995, section 3. For classes see `optax.losses.multiclass_hinge_loss`.
    """
    scores, targets = match_targets("hinge", scores, targets)
    check_range("hinge", targets, 0.0, 1.0)
    losses = optax.losses.hinge_loss(scores, 2 * targets - 1)
    return mean_in_range(losses, (targets == 0) | (targets == 1))


def _target_error(name: str, kind: str, shape: tuple[int, ...], targets: Array) -> Exception:
    message = (
        f"{name} needs {kind} targets of shape {shape}; got {targets.dtype}{list(targets.shape)}. "
        "Give integer classes per row, as y.astype(int), or floating probabilities per row and "
        "class."
    )
    right_rank_for_the_other = abs(targets.ndim - len(shape)) == 1
    return TypeError(message) if right_rank_for_the_other else ValueError(message)
