"""Criteria for classes and yes/no labels: outputs and targets to row losses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from .options import Scalar, as_option
from .targets import (
    Outputs,
    RowLosses,
    Targets,
    as_outputs,
    as_targets,
    check_range,
    match_targets,
    mean_in_range,
)

# Probabilities of 16 bits sum to 1 but for their rounding.
_SUM_TOLERANCE = 0.01
# From so many classes on, reading one number of a row is faster than going over all of them.
_MANY_CLASSES = 256


def softmax_cross_entropy(
    logits: Outputs, targets: Targets, *, label_smoothing: Scalar = 0.0
) -> RowLosses:
    """Negative log-likelihood of a class under the softmax of the logits, in nats per row.

    A logit of -inf masks its class: it costs nothing in rows whose target is another one.

    Args:
        logits: Unnormalised log-probabilities, shape (*batch, classes), at least two classes.
        targets: Integer classes in [0, classes), shape (*batch,), or floating probabilities, at
            least 0, that sum to one within 0.01, shape (*batch, classes).
        label_smoothing: Mass in [0, 1) of each target that is spread evenly over all classes
            (Szegedy et al. 2016, section 7). A traced one that is out of range gives NaN.

    Returns:
        Loss per row, shape (*batch,). A target that is no class, or are no probabilities, gives NaN
        under `jax.jit`.

    Raises:
        TypeError: Integer targets in the shape of probabilities, or floating ones in that of
            classes.
        ValueError: Shapes do not match, there is one class only, the smoothing is out of range,
            or, outside `jax.jit`, a target is not a class, or are no probabilities.
    """
    logits, dtype = as_outputs(logits, "logits")
    targets = as_targets(targets)
    classes = logits.shape[-1]
    if classes < 2:
        raise ValueError(
            "softmax_cross_entropy needs at least 2 classes, since the softmax of one logit is "
            f"always 1; got logits.shape={logits.shape}. Use sigmoid_binary_cross_entropy."
        )
    smooths = isinstance(label_smoothing, Tracer) or bool(np.any(np.asarray(label_smoothing) != 0))
    label_smoothing = as_option(
        "label_smoothing", label_smoothing, "in [0, 1)", lambda s: (s >= 0) & (s < 1), logits.dtype
    )
    log_probabilities = jax.nn.log_softmax(logits, axis=-1)
    if jnp.issubdtype(targets.dtype, jnp.floating):
        if targets.shape != logits.shape:
            raise _target_error("softmax_cross_entropy", "floating", logits.shape, targets)
        _check_probabilities(targets)
        probabilities = targets.astype(logits.dtype)
        valid = _are_probabilities(probabilities, jnp)
        if smooths:
            probabilities = optax.losses.smooth_labels(probabilities, label_smoothing)
        chosen = jnp.sum(_times(probabilities, log_probabilities), axis=-1)
    else:
        if targets.shape != logits.shape[:-1]:
            raise _target_error("softmax_cross_entropy", "integer", logits.shape[:-1], targets)
        check_range("softmax_cross_entropy", targets, 0.0, classes - 1.0)
        # In 8 bits, 256 classes would be 0.
        targets = targets if targets.dtype.itemsize >= 4 else targets.astype(jnp.int32)
        valid = (targets >= 0) & (targets < classes)
        chosen = _choose(log_probabilities, jnp.where(valid, targets, 0).astype(jnp.int32))
        if smooths:
            # -(1 - s) log p_y - s mean_k log p_k
            spread = jnp.mean(log_probabilities, axis=-1)
            chosen = (1 - label_smoothing) * chosen + _times(label_smoothing, spread)
    return jnp.where(valid, -chosen, jnp.nan).astype(dtype)


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
    logits, dtype = as_outputs(logits, "logits")
    targets, in_range = match_targets("sigmoid_binary_cross_entropy", logits, targets, 0.0, 1.0)
    # -y log s(z) - (1 - y) log s(-z)
    losses = -_times(targets, jax.nn.log_sigmoid(logits))
    losses -= _times(1 - targets, jax.nn.log_sigmoid(-logits))
    return mean_in_range(losses, in_range, dtype)


def hinge(scores: Outputs, targets: Targets) -> RowLosses:
    """Hinge loss of yes/no labels, mean over the labels of a row.

    Args:
        scores: Signed distances, positive for yes, shape (*batch, labels).
        targets: Labels 0 or 1, shape (*batch, labels), or (*batch,) for one.

    Returns:
        `max(0, 1 - s * score)` with `s = 2 * target - 1`, shape (*batch,); at a margin of exactly 1
        the slope is `-s`, as in scikit-learn. A label out of range gives NaN under `jax.jit`.

    Raises:
        ValueError: Shapes do not match, or, outside `jax.jit`, a label is out of range.

    References:
        Cortes & Vapnik 1995, section 3. For classes see `optax.losses.multiclass_hinge_loss`.
    """
    scores, dtype = as_outputs(scores, "scores")
    targets, _ = match_targets("hinge", scores, targets, 0.0, 1.0)
    shortfall = 1 - (2 * targets - 1) * scores
    losses = jnp.where(shortfall < 0, 0, shortfall)
    return mean_in_range(losses, (targets == 0) | (targets == 1), dtype)


def _choose(
    values: Float[Array, "*batch classes"], index: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Takes one value of each row.

    The gradient of a gather is a scatter, which compilers keep apart from what surrounds it; that
    of a choice among few is not. The numbers are the same.
    """
    classes = values.shape[-1]
    if classes >= _MANY_CLASSES:
        return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]
    is_chosen = jnp.arange(classes, dtype=index.dtype) == index[..., None]
    return jnp.sum(jnp.where(is_chosen, values, 0), axis=-1)


def _times(
    probability: Float[Array, "..."], log_probability: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Product in which 0 * -inf is 0, as in the limit of p log p."""
    return jnp.where(probability == 0, 0, probability * log_probability)


def _check_probabilities(targets: Array) -> None:
    if isinstance(targets, Tracer):
        return
    # In NumPy, since under `jax.jit` JAX would trace even targets whose values are known.
    known = np.asarray(targets).astype(np.float64)
    wrong = ~_are_probabilities(known, np) & ~np.isnan(known).any(axis=-1)
    if wrong.any():
        raise ValueError(
            "softmax_cross_entropy needs targets of at least 0 that sum to 1 in every row; got "
            f"{known[wrong][0]}, which sum to {known[wrong][0].sum():g}. Divide by the sum, or "
            "give integer classes."
        )


def _are_probabilities(targets: Any, numpy: Any) -> Any:
    total = numpy.sum(targets, axis=-1)
    is_one = numpy.abs(total - 1) <= _SUM_TOLERANCE
    return is_one & numpy.all(targets >= 0, axis=-1)


def _target_error(name: str, kind: str, shape: tuple[int, ...], targets: Array) -> Exception:
    message = (
        f"{name} needs {kind} targets of shape {shape}; got {targets.dtype}{list(targets.shape)}. "
        "Give integer classes per row, as y.astype(int), or floating probabilities per row and "
        "class."
    )
    right_rank_for_the_other = abs(targets.ndim - len(shape)) == 1
    return TypeError(message) if right_rank_for_the_other else ValueError(message)
