"""Turns targets into standard units for a criterion, and what was learned back into their own."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..checks import as_real_array, is_real_array
from ..network import Standardization
from .regression import (
    absolute_error,
    gaussian,
    gaussian_parameters,
    huber,
    quantile,
    squared_error,
)
from .targets import Outputs, Targets

# Those whose outputs are in the units of the targets.
_IN_UNITS = (absolute_error, huber, quantile, squared_error)


def target_scaling(y: Targets) -> Standardization:
    """Returns mean and deviation of each target, for `make_loss(target_scaling=...)`.

    Networks learn targets of mean 0 and deviation 1 with the usual learning rates. The loss, and
    what a criterion has in target units such as Huber's `delta`, are then in deviations; metrics
    are in the targets' own units. `in_target_units` undoes it for predictions.

    Args:
        y: Targets to train on, shape (rows, targets), or (rows,) for one.

    Returns:
        Mean and deviation, shape (targets,) each, in float32, or float64 for float64 targets under
        JAX's 64-bit types; a constant target has scale 1.

    Raises:
        TypeError: `y` holds no real numbers.
        ValueError: There are no rows, or a target is not finite.

    Example:
        >>> target_scaling(np.array([1.0, 3.0])).scale.tolist()
        [1.0]
    """
    values = np.asarray(y)
    if not is_real_array(values):
        raise TypeError(f"y must hold real numbers; got an array of {values.dtype}.")
    wide = values.astype(np.float64)
    if wide.ndim not in (1, 2) or not len(wide):
        raise ValueError(
            f"y must have shape (rows,) or (rows, targets), and a row; got {values.shape}."
        )
    if not np.isfinite(wide).all():
        raise ValueError("y must be finite to be standardised. Impute or drop such rows.")
    wide = wide.reshape(len(wide), -1)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    # What is left of a constant target is the rounding of its mean.
    constant = deviation <= 4 * np.finfo(np.float64).eps * np.abs(mean)
    kept = values.dtype if jnp.issubdtype(values.dtype, jnp.floating) else jnp.float32
    dtype = jax.dtypes.canonicalize_dtype(np.promote_types(kept, np.float32))
    scale = np.where(constant, 1, deviation)
    return Standardization(jnp.asarray(mean, dtype), jnp.asarray(scale, dtype))


def in_target_units(outputs: Outputs, scaling: Standardization, *, criterion: Any) -> Any:
    """Turns what a network gives that was trained with `target_scaling` into target units.

    Args:
        outputs: What `jaxmlp.apply` or `jaxmlp.predict` returned, shape (*batch, outputs).
        scaling: What the loss was given as `target_scaling`.
        criterion: The criterion of the loss, with its options.

    Returns:
        Predictions of the shape of `outputs`; for `gaussian` the mean and the deviation, as
        `gaussian_parameters` gives them.

    Raises:
        TypeError: `outputs` are no numbers, or `scaling` is no `Standardization`.
        ValueError: The outputs of the criterion are in no units, such as logits, or their number
            is not that of the targets.

    Example:
        >>> scaling = target_scaling(np.array([1.0, 5.0]))
        >>> in_target_units(np.array([[0.5]]), scaling, criterion=squared_error).tolist()
        [[4.0]]
    """
    base, options = require_scalable(criterion)
    if not isinstance(scaling, Standardization):
        raise TypeError(f"scaling must be what target_scaling returned; got {scaling!r}.")
    mean, scale = jnp.asarray(scaling.mean), jnp.asarray(scaling.scale)
    outputs = jnp.asarray(as_real_array("outputs", outputs), mean.dtype)
    if outputs.ndim == 0:
        raise ValueError("outputs must have shape (*batch, outputs); got a single number.")
    if base is gaussian:
        means, deviations = gaussian_parameters(outputs, **options)
        _require_targets(float(means.shape[-1]), scaling)
        return means * scale + mean, deviations * scale
    if base is quantile and "levels" not in options:
        raise ValueError(
            "criterion must be that of the loss with its options; got quantile without levels. "
            "Give functools.partial(quantile, levels=...)."
        )
    levels = len(options["levels"]) if base is quantile else 1
    _require_targets(outputs.shape[-1] / levels, scaling)
    # The levels of a target stand next to each other.
    return outputs * jnp.repeat(scale, levels) + jnp.repeat(mean, levels)


def scale_targets(scaling: Standardization, targets: Any) -> Array:
    """Standardises the targets of a batch, which keep their shape."""
    targets = jnp.asarray(targets, scaling.mean.dtype)
    if len(scaling.mean) == 1:
        return (targets - scaling.mean[0]) / scaling.scale[0]
    return (targets - scaling.mean) / scaling.scale


def require_scalable(criterion: Any) -> tuple[Any, dict[str, Any]]:
    """Returns the criterion without its options, and those.

    Raises:
        ValueError: Its targets are no numbers that could be standardised.
    """
    base, options = criterion, {}
    while isinstance(base, functools.partial):
        base, options = base.func, {**base.keywords, **options}
    if base not in (*_IN_UNITS, gaussian):
        names = ", ".join(sorted(known.__name__ for known in (*_IN_UNITS, gaussian)))
        raise ValueError(
            f"target_scaling is for criteria on numbers, {names}; got "
            f"{getattr(base, '__name__', base)}. Standardise targets of a criterion of your own by "
            "hand."
        )
    return base, options


def _require_targets(count: float, scaling: Standardization) -> None:
    if count != len(scaling.mean):
        raise ValueError(
            f"outputs must be those of the {len(scaling.mean)} targets that were scaled; got "
            f"outputs for {count:g}."
        )
