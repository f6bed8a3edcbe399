"""Tells whether a loss depends on the weights of rows, without which folds would change nothing."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from ..loading import apply_transform
from ..network import Batch
from .factories import ProgramSpec
from .programs import MemberInputs


def require_weighed(
    spec: ProgramSpec,
    params: PyTree,
    inputs: MemberInputs,
    *,
    rows: Batch,
    batch_size: int,
    validation: Any,
) -> None:
    """Refuses weights that a loss, or the monitored metric of validation rows, does not depend on.

    Args:
        spec: What makes the loss.
        params: Members' parameters.
        inputs: Members' weights and hyperparameters.
        rows: Rows to train on.
        batch_size: How many of them the loss is given.
        validation: Rows to validate on, or `None`.

    Raises:
        ValueError: Weights have no effect.
    """
    # Traced below, as in the programs: arrays of NumPy have not all that a loss may ask for.
    one = jax.tree.map(lambda a: a[0], (params, inputs.hyperparameters))
    transform, monitor = spec.plan.transform, spec.plan.monitor
    advice = "take means over rows by jaxmlp.weighted_mean(values, batch.weight)."

    def train(params: PyTree, numbers: Any, batch: Batch) -> Any:
        loss_fn, _ = spec.make(numbers, set())
        batch = batch if transform is None else apply_transform(transform, batch)
        return loss_fn(params, batch, jax.random.key(0))[0]

    def validate(params: PyTree, numbers: Any, rows: Batch) -> Any:
        loss_fn, _ = spec.make(numbers, set())
        loss, metrics = loss_fn(params, rows, None)
        return {"loss": loss, **metrics}[monitor]

    if inputs.row_weights is not None and not _depends(train, one, rows, batch_size):
        raise ValueError(
            f"row_weights have no effect, since the loss does not depend on batch.weight; {advice}"
        )
    factors = inputs.validation_weights
    if factors is not None and not _depends(validate, one, validation, factors.shape[1]):
        raise ValueError(
            "validation_weights have no effect, since the monitored metric "
            f"{monitor!r} does not depend on batch.weight; {advice}"
        )


def _depends(function: Callable[..., Any], one: tuple[Any, Any], rows: Batch, count: int) -> bool:
    """Whether there is a path from the weights of so many rows to what a function returns."""
    # Here, since it brings Pallas along, which takes longer to import than all of this library.
    from jax.extend.core import Literal

    def of_weight(weight: Any, one: tuple[Any, Any], others: Batch) -> Any:
        return function(*one, others._replace(weight=weight))

    weight = jax.ShapeDtypeStruct((count,), np.float32)
    others = rows._replace(weight=None)
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), others)
    jaxpr = jax.make_jaxpr(of_weight)(weight, one, shapes).jaxpr
    reached = {jaxpr.invars[0]}
    for equation in jaxpr.eqns:
        # All that an equation returns, also where it holds functions that do not use it.
        if not reached.isdisjoint(v for v in equation.invars if not isinstance(v, Literal)):
            reached.update(equation.outvars)
    return not reached.isdisjoint(v for v in jaxpr.outvars if not isinstance(v, Literal))
