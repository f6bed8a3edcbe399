"""Criteria: functions `(outputs, targets) -> loss per row`, in which several outputs are averaged.

Any function of that signature can be given to `jaxmlp.make_loss`, those of `optax.losses` that
return one number per row among them. In reading order: `options`, `targets`, `weights`,
`classification`, `regression`, `loss_function`.
"""

from .classification import hinge, sigmoid_binary_cross_entropy, softmax_cross_entropy
from .regression import (
    absolute_error,
    gaussian,
    gaussian_parameters,
    huber,
    poisson,
    quantile,
    squared_error,
)

__all__ = [
    "absolute_error",
    "gaussian",
    "gaussian_parameters",
    "hinge",
    "huber",
    "poisson",
    "quantile",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
]
