"""Turns outputs and targets into counts that can be summed over batches, and counts into numbers.

A `Metric` called as `metric(outputs, targets, weight)` gives the number for those rows. For rows in
several batches, add up `metric.count(...)` and call `metric.compute` once: the same number as for
all rows together, which averaging per-batch numbers would not give. `roc_auc` ranks rows, so it is
a plain function of all of them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

Counts: TypeAlias = tuple[Array, ...]
Outputs: TypeAlias = Float[Array | np.ndarray, "*batch outputs"]
Targets: TypeAlias = Shaped[Array | np.ndarray, "..."]
Weight: TypeAlias = Shaped[Array | np.ndarray, "*batch"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that is computed from sums over rows.

    Args:
        name: What the number is called.
        count: `(outputs, targets, weight) -> counts`, a tuple of arrays that add up over batches.
        compute: `counts -> scalar`.
    """

    name: str
    count: Callable[[Any, Any, Any], Counts]
    compute: Callable[[Counts], Array]

    def __call__(
        self, outputs: Outputs, targets: Targets, weight: Weight | None = None
    ) -> Float[Array, ""]:
        """Computes the metric of these rows.

        Args:
            outputs: What `jaxmlp.apply` returned, shape (*batch, outputs).
            targets: What the rows should have given, in the shape that the metric names.
            weight: Weight of each row, at least 0, shape (*batch,); `None` weighs all alike.

        Returns:
            A scalar; NaN where it is undefined (no rows), an output is NaN, or a target no class.

        Raises:
            ValueError: Shapes do not match.
        """
        return self.compute(self.count(outputs, targets, weight))


def _predicted_class(outputs: Array) -> Array:
    """Class with the largest output; one output is the log-odds of class 1."""
    if outputs.shape[-1] == 1:
        return (outputs[:, 0] > 0).astype(outputs.dtype)
    return jnp.argmax(outputs, axis=-1).astype(outputs.dtype)


def _is_correct(outputs: Array, targets: Array) -> Array:
    return (_predicted_class(outputs) == targets).astype(outputs.dtype)


def _rows(outputs: Any, targets: Any, weight: Any, *, per_row: bool) -> tuple[Array, Array, Array]:
    """Flattens batch axes: outputs (rows, outputs), targets (rows,) or as outputs, weight (rows,).

    The weight of a row with a NaN output, or whose target is no class, is NaN (unless 0), since
    `argmax(NaN)` returns a class. A row of weight 0 is all zeros, since `0 * NaN` is NaN.
    """
    outputs = jnp.asarray(outputs)
    if outputs.dtype.itemsize < 4:  # half-precision floats count to 256 or 2048
        outputs = outputs.astype(jnp.float32)
    targets = jnp.asarray(targets).astype(outputs.dtype)
    batch = outputs.shape[:-1]
    if targets.shape == (*batch, 1) and outputs.shape[-1] == 1:
        targets = targets[..., 0]
    if not per_row and outputs.shape[-1] == 1 and targets.shape == batch:
        targets = targets[..., None]
    required = batch if per_row else outputs.shape
    if targets.shape != required:
        raise ValueError(f"targets must have shape {required}; got {targets.shape}.")
    if weight is None:
        weight = jnp.ones(batch, outputs.dtype)
    weight = jnp.asarray(weight, outputs.dtype)
    if weight.shape != batch:
        raise ValueError(f"weight must have shape {batch}; got {weight.shape}.")
    weight = weight.reshape(-1)
    outputs = outputs.reshape(-1, outputs.shape[-1])
    outputs = jnp.where((weight == 0)[:, None], 0, outputs)
    invalid = jnp.isnan(outputs).any(axis=-1)
    targets = targets.reshape(-1) if per_row else targets.reshape(outputs.shape)
    targets = jnp.where(weight == 0 if per_row else (weight == 0)[:, None], 0, targets)
    if per_row:
        classes = max(outputs.shape[-1], 2)
        invalid |= ~((targets >= 0) & (targets < classes) & (targets == jnp.round(targets)))
    return outputs, targets, jnp.where(invalid, jnp.nan, weight)


def _weighted_sum(weight: Array, values: Array) -> Array:
    """Sum over rows. A matrix product would be rounded coarsely, on CPUs as on accelerators."""
    return jnp.sum(weight[:, None] * values, axis=0)


def _ratio(counts: Counts) -> Array:
    total, weight = counts
    return total / weight


def _count_correct(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = _rows(outputs, targets, weight, per_row=True)
    correct = _is_correct(outputs, targets)
    return jnp.sum(weight * correct), jnp.sum(weight)


accuracy = Metric(name="accuracy", count=_count_correct, compute=_ratio)
"""Fraction in [0, 1] of rows whose largest output is the target class; targets integer (*batch,).
One output is read as the log-odds of class 1."""


def top_k_accuracy(k: int) -> Metric:
    """Returns the metric "fraction of rows whose target is among the k largest outputs".

    Args:
        k: Number of guesses, at least 1 and at most the number of classes. Of classes that tie,
            those of lower number rank first, as in `accuracy`, which is the case k = 1.

    Returns:
        A `Metric` for integer targets of shape (*batch,), in [0, 1].

    Raises:
        ValueError: `k` is below 1 or, when called, above the number of classes.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}.")

    def count(outputs: Any, targets: Any, weight: Any) -> Counts:
        outputs, targets, weight = _rows(outputs, targets, weight, per_row=True)
        if k > outputs.shape[-1]:
            raise ValueError(
                f"k must be at most the number of classes, {outputs.shape[-1]}; got {k}."
            )
        chosen = jnp.take_along_axis(outputs, targets[:, None].astype(jnp.int32), axis=-1)
        ties_before = jnp.arange(outputs.shape[-1], dtype=targets.dtype) < targets[:, None]
        rank = jnp.sum((outputs > chosen) | ((outputs == chosen) & ties_before), axis=-1)
        return jnp.sum(jnp.where(rank < k, weight, 0 * weight)), jnp.sum(weight)

    return Metric(name=f"top_{k}_accuracy", count=count, compute=_ratio)


def _count_by_class(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = _rows(outputs, targets, weight, per_row=True)
    classes = max(outputs.shape[-1], 2)
    labels = targets.astype(jnp.int32)
    is_class = jax.nn.one_hot(labels, classes, dtype=outputs.dtype)  # (rows, classes)
    correct = _is_correct(outputs, targets)
    return _weighted_sum(weight * correct, is_class), _weighted_sum(weight, is_class)


def _balanced(counts: Counts) -> Array:
    correct, weight = counts
    present = weight != 0
    recall = correct / jnp.where(present, weight, 1)
    return jnp.mean(recall, where=present)


balanced_accuracy = Metric(name="balanced_accuracy", count=_count_by_class, compute=_balanced)
"""Mean over the classes that occur of the fraction of their rows that is right, in [0, 1]; targets
integer (*batch,)."""


def _count_squares(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = _rows(outputs, targets, weight, per_row=False)
    return _weighted_sum(weight, jnp.square(outputs - targets)), jnp.sum(weight)


def _root_mean(counts: Counts) -> Array:
    squares, weight = counts
    return jnp.sqrt(jnp.mean(squares) / weight)


rmse = Metric(name="rmse", count=_count_squares, compute=_root_mean)
"""Root of the mean squared error over rows and outputs, in target units."""


def _count_absolute(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = _rows(outputs, targets, weight, per_row=False)
    return jnp.mean(_weighted_sum(weight, jnp.abs(outputs - targets))), jnp.sum(weight)


mae = Metric(name="mae", count=_count_absolute, compute=_ratio)
"""Mean absolute error over rows and outputs, in target units."""


def _count_moments(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = _rows(outputs, targets, weight, per_row=False)
    total = jnp.sum(weight)
    divisor = jnp.where(total > 0, total, 1)
    summed = _weighted_sum(weight, targets)
    centred = targets - summed / divisor
    # Takes the rounding error of the mean out again (Chan et al. 1983, corrected two-pass).
    correction = jnp.square(_weighted_sum(weight, centred)) / divisor
    return (
        _weighted_sum(weight, jnp.square(outputs - targets)),
        _weighted_sum(weight, jnp.square(centred)) - correction,
        summed,
        jnp.square(summed) / divisor,
        total,
    )


def _r2(counts: Counts) -> Array:
    residual, within, total, squares_between, weight = counts
    # Law of total variance: sum w (y - m)^2 = sum within batches + sum_b W_b m_b^2 - W m^2.
    variation = within + (squares_between - jnp.square(total) / weight)
    return jnp.mean(1 - residual / variation)


r2 = Metric(name="r2", count=_count_moments, compute=_r2)
"""Coefficient of determination, mean over the outputs, at most 1; NaN or -inf for constant
targets. Counts summed over batches lose (mean / standard deviation)**2 of the targets in rounding:
standardise them, or compute all rows at once."""


def calibration_error(bins: int = 15) -> Metric:
    """Returns the expected calibration error: mean gap between confidence and accuracy per bin.

    Args:
        bins: Number of equal confidence bins over [0, 1], at least 1.

    Returns:
        A `Metric` in [0, 1] for logits and integer targets of shape (*batch,); the confidence is
        the softmax (for one output: sigmoid) probability of the predicted class.

    Raises:
        ValueError: `bins` is below 1.

    References:
        Guo et al. 2017, equation 3.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1; got {bins}.")

    def count(outputs: Any, targets: Any, weight: Any) -> Counts:
        outputs, targets, weight = _rows(outputs, targets, weight, per_row=True)
        correct = _is_correct(outputs, targets)
        if outputs.shape[-1] == 1:
            confidence = jax.nn.sigmoid(jnp.abs(outputs[:, 0]))
        else:
            confidence = jnp.max(jax.nn.softmax(outputs, axis=-1), axis=-1)
        # Bins are (lower, upper], as in the paper.
        index = jnp.clip(jnp.ceil(confidence * bins).astype(jnp.int32) - 1, 0, bins - 1)
        in_bin = jax.nn.one_hot(index, bins, dtype=outputs.dtype)  # (rows, bins)
        return _weighted_sum(weight * (correct - confidence), in_bin), jnp.sum(weight)

    def compute(counts: Counts) -> Array:
        gaps, weight = counts
        return jnp.sum(jnp.abs(gaps)) / weight

    return Metric(name="calibration_error", count=count, compute=compute)


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
    outputs, targets, weight = _rows(outputs, targets, weight, per_row=True)
    if outputs.shape[-1] > 2:
        raise ValueError(
            f"roc_auc needs one score or two logits per row; got {outputs.shape[-1]} outputs."
        )
    score = outputs[:, 0] if outputs.shape[-1] == 1 else outputs[:, 1] - outputs[:, 0]
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
