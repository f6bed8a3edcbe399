"""Metrics of predicted classes: how often they are right, and how they are confused."""

import functools
from typing import Any, Literal, TypeAlias

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
    count_classes,
    is_correct,
    predicted_class,
    ratio,
    rows,
    weighted_sum,
)

Average: TypeAlias = Literal["binary", "macro", "micro", "weighted"]


def _count_correct(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    correct = is_correct(outputs, targets)
    return jnp.sum(weight * correct), jnp.sum(weight)


accuracy = Metric(name="accuracy", count=_count_correct, compute=ratio)
"""Fraction in [0, 1] of rows whose largest output is the target class; targets integer (*batch,).
One output is read as the log-odds of class 1."""


def top_k_accuracy(k: int) -> Metric:
    """Returns the metric "fraction of rows whose target is among the k largest outputs".

    Args:
        k: Number of guesses, at least 1 and at most the number of classes. Of classes that tie,
            those of lower number rank first, as in `accuracy`, which is the case k = 1.

    Returns:
        A `Metric` for integer targets of shape (*batch,), in [0, 1]; one output is read as the
        log-odds of class 1.

    Raises:
        TypeError: `k` is no int.
        ValueError: `k` is below 1 or, when called, above the number of classes.
    """
    require_int("k", k, 1, None)
    count = functools.partial(_count_top_k, k)
    return Metric(name=f"top_{k}_accuracy", count=count, compute=ratio)


def _count_top_k(k: int, outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    if outputs.shape[-1] == 1:
        # One output is the log-odds of class 1, those of class 0 being 0.
        outputs = jnp.concatenate([jnp.zeros_like(outputs), outputs], axis=-1)
    if k > outputs.shape[-1]:
        raise ValueError(f"k must be at most the number of classes, {outputs.shape[-1]}; got {k}.")
    chosen = jnp.take_along_axis(outputs, targets[:, None].astype(jnp.int32), axis=-1)
    ties_before = jnp.arange(outputs.shape[-1], dtype=targets.dtype) < targets[:, None]
    rank = jnp.sum((outputs > chosen) | ((outputs == chosen) & ties_before), axis=-1)
    return jnp.sum(jnp.where(rank < k, weight, 0 * weight)), jnp.sum(weight)


def _count_by_class(outputs: Any, targets: Any, weight: Any) -> Counts:
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    classes = count_classes(outputs)
    labels = targets.astype(jnp.int32)
    is_class = jax.nn.one_hot(labels, classes, dtype=outputs.dtype)  # (rows, classes)
    correct = is_correct(outputs, targets)
    return weighted_sum(weight * correct, is_class), weighted_sum(weight, is_class)


def _balanced(counts: Counts) -> Array:
    correct, weight = counts
    present = weight != 0
    recall = correct / jnp.where(present, weight, 1)
    return jnp.mean(recall, where=present)


balanced_accuracy = Metric(name="balanced_accuracy", count=_count_by_class, compute=_balanced)
"""Mean over the classes that occur of the fraction of their rows that is right, in [0, 1]; targets
integer (*batch,)."""


def precision(average: Average = "binary") -> Metric:
    """Returns the metric "fraction of the rows predicted to be of a class that are of it".

    Args:
        average: "binary" for class 1 of two; "micro" for all classes together, which is the
            accuracy; "macro" for the mean over the classes that occur or are predicted; "weighted"
            for that by the weight of each class's rows. As in scikit-learn.

    Returns:
        A `Metric` for integer targets of shape (*batch,), in [0, 1]; 0 for a class that is never
        predicted.

    Raises:
        ValueError: `average` has another value or, when called, is "binary" for more than two
            classes.

    Example:
        >>> import numpy as np
        >>> precision()(np.array([[-1.0], [2.0], [3.0]]), np.array([0, 0, 1]))
        Array(0.5, dtype=float32)
    """
    return _averaged("precision", average)


def recall(average: Average = "binary") -> Metric:
    """Returns the metric "fraction of the rows of a class that are predicted to be of it".

    Args:
        average: As in `precision`; "micro" is the accuracy, and so is "weighted".

    Returns:
        A `Metric` for integer targets of shape (*batch,), in [0, 1]; 0 for a class that never
        occurs.

    Raises:
        ValueError: `average` has another value or, when called, is "binary" for more than two
            classes.

    Example:
        >>> import numpy as np
        >>> recall()(np.array([[-1.0], [2.0], [3.0]]), np.array([1, 0, 1]))
        Array(0.5, dtype=float32)
    """
    return _averaged("recall", average)


def f1(average: Average = "binary") -> Metric:
    """Returns the metric "harmonic mean of precision and recall".

    Args:
        average: As in `precision`; "macro" and "weighted" average the classes' own F1 scores.

    Returns:
        A `Metric` for integer targets of shape (*batch,), in [0, 1]; 0 for a class of which no row
        is right.

    Raises:
        ValueError: `average` has another value or, when called, is "binary" for more than two
            classes.

    Example:
        >>> import numpy as np
        >>> f1()(np.array([[-1.0], [2.0], [3.0]]), np.array([1, 0, 1]))
        Array(0.5, dtype=float32)
    """
    return _averaged("f1", average)


def confusion_matrix(
    outputs: Outputs, targets: Targets, weight: Weight | None = None
) -> Float[Array, "classes classes"]:
    """Counts the rows of every class that are predicted to be of every class.

    Args:
        outputs: What `jaxmlp.apply` returned, shape (*batch, classes), or (*batch, 1) for the
            log-odds of class 1.
        targets: Integer classes, shape (*batch,).
        weight: Weight of each row, at least 0, shape (*batch,); `None` counts each as 1.

    Returns:
        Sums of weights by class (first axis) and predicted class (second axis), which add up over
        batches. All are NaN where an output is NaN, or a target no class.

    Raises:
        ValueError: Shapes do not match.

    Example:
        >>> import numpy as np
        >>> confusion_matrix(np.array([[-1.0], [2.0], [3.0]]), np.array([0, 0, 1])).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    classes = count_classes(outputs)
    known = jnp.where(jnp.isnan(weight), 0, targets).astype(jnp.int32)
    predicted = predicted_class(outputs).astype(jnp.int32)
    matrix = jnp.zeros((classes, classes), weight.dtype).at[known, predicted].add(weight)
    return jnp.where(jnp.isnan(weight).any(), jnp.nan, matrix)


def _averaged(name: str, average: Average) -> Metric:
    if average not in ("binary", "macro", "micro", "weighted"):
        raise ValueError(
            f"average must be 'binary', 'macro', 'micro' or 'weighted'; got {average!r}."
        )
    return Metric(
        name=name if average == "binary" else f"{average}_{name}",
        count=functools.partial(_count_hits, average),
        compute=functools.partial(_average, name, average),
    )


def _count_hits(average: Average, outputs: Any, targets: Any, weight: Any) -> Counts:
    """By class: weight of the rows that are right, that are predicted, that there are."""
    outputs, targets, weight = rows(outputs, targets, weight, per_row=True)
    classes = count_classes(outputs)
    if average == "binary" and classes > 2:
        raise ValueError(
            f"average='binary' needs at most two outputs; got {classes}. Choose 'macro', 'micro' "
            "or 'weighted'."
        )
    is_class = jax.nn.one_hot(targets.astype(jnp.int32), classes, dtype=outputs.dtype)
    predicted = predicted_class(outputs).astype(jnp.int32)
    is_predicted = jax.nn.one_hot(predicted, classes, dtype=outputs.dtype)  # (rows, classes)
    hits = is_class * is_predicted
    return tuple(weighted_sum(weight, a) for a in (hits, is_predicted, is_class))


def _average(name: str, average: Average, counts: Counts) -> Array:
    hits, predicted, there = counts
    total = jnp.sum(there)
    if average == "micro":
        hits, predicted, there = (jnp.sum(count, keepdims=True) for count in counts)
    if name == "f1":  # 2 P R / (P + R)
        by_class = _or_zero(2 * hits, predicted + there)
    else:
        by_class = _or_zero(hits, predicted if name == "precision" else there)
    if average == "weighted":
        value = jnp.sum(by_class * there) / total
    elif average == "binary":
        value = by_class[1]
    else:
        value = jnp.mean(by_class, where=predicted + there != 0)
    return jnp.where(total == 0, jnp.nan, value)


def _or_zero(part: Array, whole: Array) -> Array:
    return jnp.where(whole == 0, 0, part / jnp.where(whole == 0, 1, whole))
