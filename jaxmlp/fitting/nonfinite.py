"""Turns a call that ended in NaN or infinity into the first bad step, its cause and its rows."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from ..loading import apply_transform
from ..train_step import TrainState, make_pure_step
from ..types import trained_part
from .calls import Call, Run, is_finite
from .program import FitState


class NonFiniteError(FloatingPointError):
    """A loss, gradient or parameter became NaN or infinite.

    Its `result` is the `FitResult` up to the step before, with the last good parameters.

    Args:
        message: What happened, why, and what to do.
        step: Number of the first bad step, counted from 0 over the run.
        rows: Numbers of the rows in its batch; `None` where the data has no row numbers.
    """

    def __init__(self, message: str, *, step: int, rows: np.ndarray | None) -> None:
        super().__init__(message)
        self.step = step
        self.rows = rows
        self.result: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is made again from its positional arguments, of which the message is one.
        make = functools.partial(type(self), step=self.step, rows=self.rows)
        return make, self.args, self.__dict__


def find_first_bad_step(run: Run, call: Call) -> tuple[FitState, NonFiniteError]:
    """Repeats a call one step at a time; returns the last good state, and what went wrong then.

    Steps are not guarded one by one in training, since that costs a small network a third of its
    time; the state before every call is kept instead.
    """
    advance = run.compiled("advance")
    state = call.before
    for batch, rows in call.batches():
        after, metrics = advance(jax.tree.map(jnp.copy, state), batch)
        if not is_finite((metrics["loss"], after.train.params)):
            if run.plan.transform is not None:
                batch = jax.jit(functools.partial(apply_transform, run.plan.transform))(batch)
            loss, gradients = _gradients(run, state.train, batch)
            culprit = _culprit(loss, gradients, after.train.params)
            return state, _error(culprit, int(state.train.step), batch, rows)
        state = after
    message = "A non-finite number appeared in training, but not when its steps were repeated."
    return call.before, NonFiniteError(message, step=int(call.before.train.step), rows=None)


def _gradients(run: Run, train: TrainState, batch: Any) -> tuple[jax.Array, PyTree]:
    """Takes the same step with an optimizer whose new state is the gradient."""

    def keep_gradient(updates: PyTree, state: PyTree, params: PyTree = None) -> Any:
        del state, params
        return updates, updates

    keep = optax.GradientTransformation(lambda params: params, keep_gradient)
    step = jax.jit(make_pure_step(run.loss_fn, keep, run.plan.accumulate_steps))
    after, metrics = step(train._replace(opt_state=trained_part(train.params)), batch)
    return metrics["loss"], after.opt_state


def _culprit(loss: jax.Array, gradients: PyTree, params: PyTree) -> str:
    if not jnp.isfinite(loss):
        return f"the loss is {loss}"
    for what, tree in (("gradient", gradients), ("updated parameter", params)):
        names = [
            jax.tree_util.keystr(path).lstrip(".")
            for path, leaf in jax.tree.leaves_with_path(tree)
            if not jnp.isfinite(leaf).all()
        ]
        if names:
            return f"the loss is finite, but not the {what} of {', '.join(names)}"
    return "the loss is finite, but not the update"


def _error(culprit: str, step: int, batch: Any, rows: np.ndarray | None) -> NonFiniteError:
    if rows is not None:
        rows = rows[rows >= 0]
        shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
        where = f"its batch held the rows {shown} (all of them in error.rows)"
    else:
        where = "its batch came from an iterable"
    bad = [
        jax.tree_util.keystr(path).lstrip(".")
        for path, leaf in jax.tree.leaves_with_path(batch)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and not jnp.isfinite(leaf).all()
    ]
    data = f"; the batch itself is not finite in {', '.join(bad)}" if bad else ""
    return NonFiniteError(
        f"step {step} is not finite: {culprit}; {where}{data}. Lower the learning rate, clip "
        "gradients (optax.clip_by_global_norm), or look at these rows: a label that is no class "
        "gives NaN, too. The last good parameters "
        "are in error.result; nonfinite='skip' leaves such steps out, 'stop' ends the run there.",
        step=step,
        rows=rows,
    )
