"""Criteria: functions `(outputs, targets) -> loss per row`, in which several outputs are averaged.

Any function of that signature can be given to `jaxmlp.make_loss`, those of `optax.losses` that
return one number per row among them. In reading order: `options`, `targets`, `weights`,
`classification`, `regression`, `scaling`, `loss_function`, `accumulation`.
"""

from ..checks import did_you_mean as _did_you_mean
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
from .scaling import in_target_units, target_scaling

__all__ = [
    "absolute_error",
    "gaussian",
    "gaussian_parameters",
    "hinge",
    "huber",
    "in_target_units",
    "poisson",
    "quantile",
    "sigmoid_binary_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
    "target_scaling",
]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "losses")
    raise AttributeError(f"jaxmlp.losses has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
