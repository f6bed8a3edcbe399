"""Turns the members' predictions on validation rows into how much each member should count."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from ..checks import as_real_array, require_function, require_int
from ..fitting import ProgramCache
from ..losses.weights import wide_type


def select_greedily(
    predictions: Shaped[Array | np.ndarray, "members *batch outputs"],
    loss: Callable[[Any], Any],
    *,
    picks: int,
    start: int = 0,
) -> Int[np.ndarray, " members"]:
    """Picks members one by one, with replacement, each so that the mean prediction is best.

    Of all means of at least `start` picks that were reached, the one with the smallest loss is
    taken. With `start` of 0 or 1 the result is on these rows never worse than the best member.

    Args:
        predictions: What is to be averaged, such as probabilities, of rows that no member was
            trained on, shape (members, *batch, outputs).
        loss: Pure function of a mean prediction, shape (*batch, outputs), to a scalar that is
            smaller for better ones.
        picks: Number of picks, at least 1 and at least `start`.
        start: Number of members, the best single ones, to begin with, at least 0: against
            overfitting where there are many members (Caruana et al. 2004, section 2.2).

    Returns:
        How often each member was picked: `weights` for `mean_probabilities` and the others.

    Raises:
        TypeError: A number is no int, or `loss` does not return a scalar.
        ValueError: A number is out of range, or no single member, or not `start` of them, have a
            finite loss.

    References:
        Caruana et al. 2004, sections 2.1 to 2.3.

    Example:
        >>> targets = jnp.array([[1.0], [2.0]])
        >>> predictions = jnp.array([[[0.0], [1.0]], [[2.0], [3.0]], [[5.0], [9.0]]])
        >>> select_greedily(predictions, lambda p: jnp.mean((p - targets) ** 2), picks=2).tolist()
        [1, 1, 0]
    """
    predictions = jnp.asarray(as_real_array("predictions", predictions))
    if predictions.ndim < 2:
        raise ValueError(
            "predictions must have shape (members, *batch, outputs); got shape "
            f"{predictions.shape}."
        )
    require_function("loss", loss, "(mean prediction) -> scalar", "smaller for better ones")
    members = len(predictions)
    require_int("picks", picks, 1, None)
    require_int("start", start, 0, min(members, picks) + 1)
    # Sums of integers and of 16 bits would overflow.
    wide = wide_type(predictions.dtype)
    shape = jax.eval_shape(loss, jax.ShapeDtypeStruct(predictions.shape[1:], wide))
    if jnp.shape(shape) != ():
        raise TypeError(f"loss must return a scalar; got {shape}. Average over rows.")

    losses_with = _make_losses(loss)

    def rank(total: Array, count: int) -> np.ndarray:
        losses = np.asarray(losses_with(predictions, total, jnp.asarray(count, total.dtype)))
        return np.where(np.isfinite(losses), losses, np.inf)

    total = jnp.zeros(predictions.shape[1:], wide)
    counts, best, best_loss = np.zeros(members, np.int64), np.zeros(members, np.int64), np.inf
    alone = rank(total, 1)
    if not np.isfinite(alone).any():
        raise ValueError("loss must be finite for at least one member by itself; got none.")
    if np.isfinite(alone).sum() < start:
        raise ValueError(
            f"start must be at most the number of members with a finite loss, "
            f"{np.isfinite(alone).sum()}; got {start}."
        )
    first = np.argsort(alone, kind="stable")[:start]
    for count in range(1, picks + 1):
        losses = rank(total, count)
        picked = first[count - 1] if count <= start else int(losses.argmin())
        total = total + predictions[picked].astype(wide)
        counts[picked] += 1
        if count >= start and losses[picked] < best_loss:
            best, best_loss = counts.copy(), losses[picked]
    return best


def _make_losses(loss: Callable[[Any], Any]) -> Callable[..., Shaped[Array, " members"]]:
    """Returns what computes the loss of each mean that one more pick could give."""

    # One member at a time, so that no array of the size of all predictions is made anew.
    def losses_with(
        predictions: Shaped[Array, "members *batch outputs"],
        total: Shaped[Array, "*batch outputs"],
        count: Shaped[Array, ""],
    ) -> Shaped[Array, " members"]:
        def of_mean(added: Array) -> Array:
            return loss((total + added.astype(total.dtype)) / count)

        return jax.lax.map(of_mean, predictions)

    return _PROGRAMS.get(loss, "losses", lambda traced: jax.jit(traced(losses_with)))


_PROGRAMS = ProgramCache(8)
