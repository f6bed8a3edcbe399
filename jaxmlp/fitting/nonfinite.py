"""Turns a call that ended in NaN or infinity into the first bad step, its cause and its rows."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from ..loading import Transform, apply_transform, place_whole
from ..network import LossFn, trained_part
from ..train_step import TrainState, make_pure_step, with_auto_axes
from .calls import Call, Run, is_finite
from .fit_state import FitState


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
                batch = _transformed(run.plan.transform, state.train.params, batch)
            train, step = state.train, int(state.train.step)
            loss, gradients = _gradients(run, train, batch)
            culprit = _culprit(loss, gradients, after.train.params)
            said = _said_of_values(run.loss_fn, train, batch)
            is_first_loss = step == 0 and not jnp.isfinite(loss)
            where = _where(train.params, batch, rows)
            remedy = _remedy(said, is_first_loss=is_first_loss)
            message = (
                f"step {step} is not finite: {culprit}; {where}{said}. {remedy} The last good "
                "parameters are in error.result; nonfinite='skip' leaves such steps out, 'stop' "
                "ends the run there."
            )
            numbers = None if rows is None else rows[rows >= 0]
            return state, NonFiniteError(message, step=step, rows=numbers)
        state = after
    message = "A non-finite number appeared in training, but not when its steps were repeated."
    return call.before, NonFiniteError(message, step=int(call.before.train.step), rows=None)


def _transformed(transform: Transform, params: PyTree, batch: Any) -> Any:
    def transformed(params: PyTree, batch: Any) -> Any:
        return params, apply_transform(transform, batch)

    return jax.jit(with_auto_axes(transformed))(params, batch)[1]


def _gradients(run: Run, train: TrainState, batch: Any) -> tuple[jax.Array, PyTree]:
    """Takes the same step with an optimizer whose new state is the gradient."""

    def keep_gradient(updates: PyTree, state: PyTree, params: PyTree = None) -> Any:
        del state, params
        return updates, updates

    keep = optax.GradientTransformation(lambda params: params, keep_gradient)
    step = jax.jit(with_auto_axes(make_pure_step(run.loss_fn, keep, run.plan.accumulate_steps)))
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


def _said_of_values(loss_fn: LossFn, train: TrainState, batch: Any) -> str:
    """What the loss says of the batch's values where it sees them, which it does not when traced.

    The criteria of this library then refuse labels that give NaN.
    """
    leaves = jax.tree.leaves((batch, train.params))
    if not all(getattr(leaf, "is_fully_addressable", True) for leaf in leaves):
        return ""  # some of them lie in other processes
    # Of one device, where a loss may do what it will.
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    batch, train = jax.tree.map(
        lambda a: place_whole(a, one) if isinstance(a, jax.Array | np.ndarray) else a,
        (batch, train),
    )
    key = jax.random.fold_in(train.key, train.step)
    try:
        # Only the parameters are traced, so that nothing is compiled or computed.
        jax.eval_shape(lambda params: loss_fn(params, batch, key), train.params)
    except ValueError as error:
        return f"; of its values the loss says: {str(error).rstrip('.')}"
    except Exception:  # what is being told must not be lost to it
        return ""
    return ""


def _where(params: PyTree, batch: Any, rows: np.ndarray | None) -> str:
    """Names the batch's rows, and what of them or of the parameters was not finite before."""
    if rows is None:
        where = "its batch came from an iterable"
    else:
        rows = rows[rows >= 0]
        shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
        where = f"its batch held the rows {shown} (all of them in error.rows)"
    if bad := _not_finite(params):
        where += f"; so were the parameters before it in {', '.join(bad)}"
    if bad := _not_finite(batch):
        where += f"; the batch itself is not finite in {', '.join(bad)}"
    return where


def _not_finite(tree: PyTree) -> list[str]:
    return [
        jax.tree_util.keystr(path).lstrip(".")
        for path, leaf in jax.tree.leaves_with_path(tree)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) and not jnp.isfinite(leaf).all()
    ]


def _remedy(said: str, *, is_first_loss: bool) -> str:
    if said:
        return "Mend these values."
    if is_first_loss:  # before any step, and so none of the learning rate's making
        return "Look at these rows, and at the first parameters."
    return (
        "Lower the learning rate, clip gradients (optax.clip_by_global_norm), or look at these "
        "rows: a label that is no class gives NaN, too."
    )
