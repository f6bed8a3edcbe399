"""Turns a pure step into a pure program of many steps: epochs, evaluation, early stopping.

Nothing here touches the host. `run_epochs` is a whole run; it can be jitted, and vmapped over its
first argument and anything else.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import Array, Bool, Int, PyTree

from ..loading import apply_transform
from ..network import Batch, LossFn, map_trained, with_types_of
from ..optimizers import Optimizer
from ..train_step import make_pure_step
from .buckets import padded_steps
from .evaluation import evaluate_rows
from .fit_state import FitState, note_value
from .partitioning import PartedRows, cut_batch, cut_rows, hold_whole, take_from_parts
from .settings import Plan
from .step_metrics import Metrics, all_finite, check_metrics, mean_metrics, row_weight


def take_batch(
    rows: Batch | PartedRows, index: Int[Array, " batch"], sharding: Sharding | None = None
) -> Batch:
    """Gathers rows by number; a number i < 0 is row ~i as padding, with weight 0.

    With a sharding, each device gathers the rows of its part.
    """
    if isinstance(rows, PartedRows):
        return take_from_parts(rows, index, sharding)
    index = hold_whole(index, sharding)
    row = hold_whole(jnp.where(index < 0, ~index, index), sharding)
    own = cut_rows(row, sharding)
    x, y = jax.tree.map(lambda a: a[own], (rows.x, rows.y))
    weight = jnp.where(index < 0, 0, jax.tree.map(lambda a: a[row], rows.weight))
    return Batch(x, y, hold_whole(weight, sharding))


def advance(
    loss_fn: LossFn,
    optimizer: Optimizer,
    plan: Plan,
    state: FitState,
    batch: Any,
) -> tuple[FitState, Metrics]:
    """Takes one step, guarded and averaged as the plan says; "weight" joins the metrics."""
    if plan.transform is not None:
        batch = apply_transform(plan.transform, batch)
    sharding = plan.batch_sharding
    cut = functools.partial(cut_batch, sharding=sharding)
    cut_micro = None if sharding is None else functools.partial(cut, axis=1)
    step = make_pure_step(loss_fn, optimizer, plan.accumulate_steps, cut_micro)
    train, metrics = step(state.train, batch if sharding is None else cut(batch))
    check_metrics(metrics)
    average = state.average
    if plan.ema_decay is not None:
        decay = plan.ema_decay
        average = map_trained(
            lambda mean, new: mean + (1 - decay) * (new.astype(mean.dtype) - mean),
            average,
            train.params,
        )
    total = row_weight(batch)
    if plan.skip_nonfinite:
        finite = all_finite((metrics["loss"], train.params))
        kept = (state.train._replace(step=train.step), state.average)
        train, average = jax.tree.map(functools.partial(jnp.where, finite), (train, average), kept)
        metrics = {name: jnp.where(finite, value, 0) for name, value in metrics.items()}
        total = jnp.where(finite, total, 0)
        metrics["skipped"] = (~finite).astype(total.dtype)
    return state._replace(train=train, average=average), {**metrics, "weight": total}


def run_steps(
    loss_fn: LossFn,
    optimizer: Optimizer,
    plan: Plan,
    state: FitState,
    rows: Batch | PartedRows,
    index: Int[Array, "steps batch"],
    *,
    start: Int[Array, ""] | int,
    count: Int[Array, ""] | int,
) -> tuple[FitState, Metrics]:
    """Takes `count` of the steps whose rows `index` names, from `start` on.

    Returns the state, and every step's metrics, with as many places as an epoch is padded to and 0
    for steps not taken; "finite" says whether all went well.
    """

    def body(state: FitState, index: Int[Array, " batch"]) -> tuple[FitState, Metrics]:
        batch = take_batch(rows, index, plan.batch_sharding)
        return advance(loss_fn, optimizer, plan, state, batch)

    return _run_counted(body, state, index, start, count, places=padded_steps(len(index)))


def run_block(
    loss_fn: LossFn,
    optimizer: Optimizer,
    plan: Plan,
    state: FitState,
    batches: Batch,
    count: Int[Array, ""],
) -> tuple[FitState, Metrics]:
    """Takes the first `count` of stacked batches as steps; returns what `run_steps` does."""
    body = functools.partial(advance, loss_fn, optimizer, plan)
    batches = cut_batch(batches, plan.batch_sharding, axis=1)
    places = len(jax.tree.leaves(batches)[0])
    return _run_counted(body, state, batches, 0, count, places=places)


def _run_counted(
    body: Callable[[FitState, Any], tuple[FitState, Metrics]],
    state: FitState,
    stacked: PyTree,
    start: Int[Array, ""] | int,
    count: Int[Array, ""] | int,
    *,
    places: int,
) -> tuple[FitState, Metrics]:
    def item(position: Array | int) -> PyTree:
        return jax.tree.map(lambda leaf: leaf[position], stacked)

    # Jitted, so that asking for its shapes and calling it trace it once.
    body = jax.jit(body)
    shapes = jax.eval_shape(body, state, item(0))[1]
    zeros = {name: jnp.zeros(places, shape.dtype) for name, shape in shapes.items()}

    def step(position: Array, carry: tuple[FitState, Metrics]) -> tuple[FitState, Metrics]:
        state, taken = carry
        state, metrics = body(state, item(position))
        return state, {name: taken[name].at[position].set(metrics[name]) for name in taken}

    state, metrics = jax.lax.fori_loop(start, start + count, step, (state, zeros))
    finite = all_finite((metrics["loss"], state.train.params))
    return state, {**metrics, "finite": finite}


def end_epoch(
    loss_fn: LossFn, plan: Plan, state: FitState, metrics: Metrics, validation: PyTree | None
) -> tuple[FitState, Metrics]:
    """Averages, evaluates, keeps the best parameters, and decides whether to stop."""
    params = state.train.params
    average, averaged = state.average, state.averaged
    if plan.ema_decay is not None:
        params = with_types_of(average, params)
    if plan.swa_start is not None:
        active = state.epoch >= plan.swa_start
        averaged = averaged + active.astype(jnp.int32)
        # Running mean m + (p - m) / n; until there are two, the parameters themselves.
        share = 1 / jnp.maximum(averaged, 1).astype(jnp.float32)

        def add(mean: Array, new: Array) -> Array:
            new = new.astype(mean.dtype)
            return jnp.where(averaged > 1, mean + share.astype(new.dtype) * (new - mean), new)

        average = map_trained(add, average, params)
        params = with_types_of(average, params)
    values = metrics
    if validation is not None:
        loss, values = evaluate_rows(loss_fn, params, validation, parts=plan.validation_parts)
        check_metrics(values)
        values = {"loss": loss, **values}
        metrics |= {f"validation_{name}": jnp.asarray(v) for name, v in values.items()}
    if plan.monitor not in values:
        raise ValueError(
            f"monitor must be a metric that loss_fn returns, one of {sorted(values)}; got "
            f"{plan.monitor!r}."
        )
    monitored = jnp.asarray(values[plan.monitor], state.best_value.dtype)
    # The loss of an epoch whose steps were all skipped is NaN.
    loss = jnp.zeros(()) if plan.skip_nonfinite else metrics["loss"]
    finite = all_finite((loss, state.train.params))
    state, improved = note_value(plan, state, monitored)
    best_params = state.best_params
    if best_params is not None:
        best_params = jax.tree.map(
            lambda new, old: jnp.where(improved, new, old), params, best_params
        )
    # What follows a non-finite step is thrown away.
    stopped = state.stopped | ~finite
    if plan.patience is not None:
        counted_epoch = state.best_epoch if state.counted is None else state.counted.epoch
        stopped = stopped | (state.epoch - counted_epoch >= plan.patience)
    stopping = state.stopping
    if plan.stop_rule is not None:
        stopping, ends = plan.stop_rule.update(stopping, state.train.params, monitored)
        stopped = stopped | ends
    return state._replace(
        average=average,
        averaged=averaged,
        best_params=best_params,
        epoch=state.epoch + 1,
        stopped=stopped,
        stopping=stopping,
    ), {**metrics, "finite": finite}


def run_epochs(
    loss_fn: LossFn,
    optimizer: Optimizer,
    plan: Plan,
    state: FitState,
    rows: Batch | PartedRows,
    index: Int[Array, "epochs steps batch"],
    epochs: Int[Array, ""],
    validation: PyTree | None,
    *,
    steps: Int[Array, ""] | None,
    vmapped: bool = False,
) -> tuple[FitState, Metrics]:
    """Runs whole epochs; those after the run has stopped or from epoch `epochs` on change nothing.

    An epoch takes the first `steps` of its places in `index`, or all of them: then the compiler
    knows how many.

    `vmapped` says that `vmap` will map over the state: members then share the rows. Without it they
    would get the same results from copies of the rows, one for each member.

    Returns the state, and every epoch's metrics, shape (epochs,) each; "ran" says which epochs ran.
    """

    # Jitted, so that asking for its shapes and calling it trace it once.
    @jax.jit
    def run(state: FitState, index: Int[Array, "steps batch"]) -> tuple[FitState, Metrics]:
        count = len(index) if steps is None else steps
        state, metrics = run_steps(
            loss_fn, optimizer, plan, state, rows, index, start=0, count=count
        )
        del metrics["finite"]
        state, means = end_epoch(loss_fn, plan, state, mean_metrics(metrics), validation)
        return state, {**means, "ran": jnp.ones((), bool)}

    def body(state: FitState, index: Int[Array, "steps batch"]) -> tuple[FitState, Metrics]:
        shapes = jax.eval_shape(run, state, index)[1]
        nothing = {name: jnp.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}
        nothing["finite"] = jnp.ones((), bool)
        active = ~state.stopped & (state.epoch < epochs)
        if vmapped:
            return _loop_once(active, lambda state: run(state, index), state, nothing)
        return jax.lax.cond(active, run, lambda state, _: (state, nothing), state, index)

    return jax.lax.scan(body, state, index)


def _loop_once(
    active: Bool[Array, ""],
    run: Callable[[FitState], tuple[FitState, Metrics]],
    state: FitState,
    nothing: Metrics,
) -> tuple[FitState, Metrics]:
    """Runs if active: a branch as a loop of one pass at most.

    Under `vmap`, `cond` copies all that its branches close over for each member, a loop does not.
    """

    def body(carry: tuple[Array, FitState, Metrics]) -> tuple[Array, FitState, Metrics]:
        return jnp.zeros((), bool), *run(carry[1])

    _, state, metrics = jax.lax.while_loop(lambda carry: carry[0], body, (active, state, nothing))
    return state, metrics
