"""Metrics: numbers that are exact over any batches, for `jaxmlp.make_loss` or by themselves.

A `Metric` called as `metric(outputs, targets, weight)` gives the number for those rows. For rows in
several batches, add up `metric.count(...)` and call `metric.compute` once: the same number as for
all rows together, which averaging per-batch numbers would not give. A `confusion_matrix` adds up as
it is. `roc_auc` ranks rows, so it is a plain function of all of them. In reading order: `counting`,
`classification`, `probability`, `regression`.
"""

from ..checks import did_you_mean as _did_you_mean
from .classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    top_k_accuracy,
)
from .counting import Metric
from .probability import calibration_error, log_loss, roc_auc
from .regression import mae, r2, rmse

__all__ = [
    "Metric",
    "accuracy",
    "balanced_accuracy",
    "calibration_error",
    "confusion_matrix",
    "f1",
    "log_loss",
    "mae",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "top_k_accuracy",
]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "metrics")
    raise AttributeError(f"jaxmlp.metrics has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
