"""Turns scores of half-trained candidates into those that go on: successive halving."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..checks import require_int
from .scores import sort_scores
from .stages import Keep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halving:
    """Successive halving: most candidates are dropped early, the best ones are trained on.

    After `first_epochs`, `first_epochs * factor`, `first_epochs * factor**2`, ... epochs the best
    of the candidates left go on, one in `factor` of them, rounded up, until one is left. They go on
    from where they are: nothing is trained twice.

    A large `factor` saves more and errs more often: with a rate that learns slowly and ends well,
    few epochs tell little. `patience` is no substitute, since it compares a member with itself.

    Args:
        first_epochs: Epochs before the first candidates are dropped, at least 1.
        factor: How many candidates there are for one that goes on, at least 2.

    Raises:
        TypeError: A number is no int.
        ValueError: A number is out of range.

    References:
        Jamieson & Talwalkar 2016; Li et al. 2018, "Hyperband", for the choice of `factor`.

    Example:
        >>> Halving(first_epochs=5)
        Halving(first_epochs=5, factor=3)
    """

    first_epochs: int
    factor: int = 3

    def __post_init__(self) -> None:
        require_int("first_epochs", self.first_epochs, 1, None)
        require_int("factor", self.factor, 2, None)


class Rung(NamedTuple):
    """After how many epochs candidates are dropped, and how many are left then."""

    epoch: int
    survivors: int


def plan_rungs(halving: Halving, *, candidates: int, epochs: int) -> list[Rung]:
    """Returns when candidates are dropped, in order.

    Raises:
        TypeError: `halving` is something else.
        ValueError: None would ever be dropped.
    """
    if not isinstance(halving, Halving):
        raise TypeError(f"halving must be a Halving, as Halving(first_epochs=3); got {halving!r}.")
    if halving.first_epochs >= epochs:
        raise ValueError(
            f"halving must drop candidates before the last epoch, or it has no effect; got "
            f"first_epochs={halving.first_epochs}, epochs={epochs}."
        )
    if candidates == 1:
        raise ValueError("halving needs at least two candidates, or it has no effect; got one.")
    rungs, epoch = [], int(halving.first_epochs)
    while candidates > 1 and epoch < epochs:
        candidates = -(-candidates // int(halving.factor))
        rungs.append(Rung(epoch, candidates))
        epoch *= int(halving.factor)
    return rungs


def make_keep(
    rungs: Sequence[Rung],
    score: Callable[[Mapping[str, np.ndarray]], Float[np.ndarray, " candidates"]],
    *,
    mode: Literal["min", "max"],
    folds: int,
) -> Keep:
    """Returns what tells `fit_members` at each rung which members go on.

    Args:
        rungs: When candidates are dropped, and how many are left.
        score: What scores all candidates by a history up to a rung.
        mode: Which scores are best.
        folds: Number of members per candidate.
    """

    def keep(epochs: int, history: Mapping[str, np.ndarray]) -> Bool[np.ndarray, " members"]:
        goes_on: Any = True
        # From the first rung on, since who was dropped there counts no more.
        for epoch, survivors in rungs:
            if epoch <= epochs:
                scores = score({name: values[:, :epoch] for name, values in history.items()})
                alive = np.where(goes_on, scores, np.nan)
                goes_on = choose_survivors(alive, survivors, mode)
        return np.repeat(goes_on, folds)

    return keep


def choose_survivors(
    scores: Float[np.ndarray, " candidates"], count: int, mode: Literal["min", "max"]
) -> Bool[np.ndarray, " candidates"]:
    """Returns which candidates go on: the best `count`, the first of equal ones, and never NaN."""
    survives = np.zeros(len(scores), bool)
    survives[sort_scores(scores, mode)[:count]] = True
    return survives & ~np.isnan(scores)
