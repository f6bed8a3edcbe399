"""Turns a loss of all rows into its minimum by L-BFGS, in one compiled program."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from ...network import Batch, MLPConfig, Params
from ..heads import Head, Losses
from .networks import compute_losses

# Those of scipy.optimize.minimize(method="L-BFGS-B"), which scikit-learn calls.
_MEMORY = 10
_LINE_SEARCH_STEPS = 20
_SMALLEST_REDUCTION = 1e7 * 2.220446049250313e-16


class Limits(NamedTuple):
    """When to stop: iterations, evaluations, and the largest number in the gradient."""

    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    gradient: Float[Array, ""]


class Minimum(NamedTuple):
    """Where it stopped: `loss` is the one to tell, `converged` whether no limit was reached."""

    params: Params
    loss: Float[Array, ""]
    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    converged: Bool[Array, ""]


class _Iterate(NamedTuple):
    params: Any  # of optax's types none is a NamedTuple
    state: optax.OptState
    value: Float[Array, ""]
    gradient: Any
    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]
    reduction: Float[Array, ""]


@functools.partial(jax.jit, static_argnums=(0, 1))
def minimise(
    config: MLPConfig,
    head: Head,
    params: Any,
    rows: Batch,
    alpha: Float[Array, ""],
    options: Float[Array, " options"],
    limits: Limits,
) -> Minimum:
    """Minimises the loss of `compute_losses` over all rows.

    It stops like SciPy's: when no number in the gradient is above `limits.gradient`, when an
    iteration lowers the loss by less than 2.2e-9 of it, or at a limit.

    References:
        Liu & Nocedal 1989; the line search is optax's, Nocedal & Wright 2006, algorithms 3.5, 3.6.
    """

    def losses(params: Params) -> Losses:
        return compute_losses(params, rows, alpha, options, config=config, head=head)

    def value_fn(params: Params) -> Array:
        return losses(params).descended

    search = optax.scale_by_zoom_linesearch(
        max_linesearch_steps=_LINE_SEARCH_STEPS, initial_guess_strategy="one"
    )
    optimizer = optax.lbfgs(memory_size=_MEMORY, linesearch=search)

    def goes_on(iterate: _Iterate) -> Bool[Array, ""]:
        largest = optax.tree.norm(iterate.gradient, ord=jnp.inf)
        within = iterate.iterations < limits.iterations
        within &= iterate.evaluations < limits.evaluations
        return within & (largest > limits.gradient) & (iterate.reduction > _SMALLEST_REDUCTION)

    def advance(iterate: _Iterate) -> _Iterate:
        with jax.numpy_dtype_promotion("standard"):  # as in make_train_step
            updates, state = optimizer.update(
                iterate.gradient,
                iterate.state,
                iterate.params,
                value=iterate.value,
                grad=iterate.gradient,
                value_fn=value_fn,
            )
        params = optax.apply_updates(iterate.params, updates)
        value, gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")
        steps = optax.tree.get(state, "num_linesearch_steps")
        largest = jnp.maximum(jnp.maximum(jnp.abs(iterate.value), jnp.abs(value)), 1)
        return _Iterate(
            params,
            state,
            value,
            gradient,
            iterate.iterations + 1,
            iterate.evaluations + steps.astype(jnp.int32),
            (iterate.value - value) / largest,
        )

    value, gradient = jax.value_and_grad(value_fn)(params)
    start = _Iterate(
        params,
        optimizer.init(params),
        value,
        gradient,
        jnp.zeros((), jnp.int32),
        jnp.ones((), jnp.int32),
        jnp.full((), jnp.inf, value.dtype),
    )
    end = jax.lax.while_loop(goes_on, advance, start)
    reached = (end.iterations >= limits.iterations) | (end.evaluations >= limits.evaluations)
    told = losses(end.params).told
    return Minimum(end.params, told, end.iterations, end.evaluations, ~reached)
