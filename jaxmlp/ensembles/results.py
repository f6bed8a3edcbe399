"""Turns trained pieces into the result of a sweep: parameters, history, and how each run ended."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ..order import require_int
from .runs import Record, Trained


class Group(NamedTuple):
    """Members of one architecture.

    `numbers` are the numbers of these members, shape (members,), `params` their parameters with a
    leading member axis, and `settings` the hyperparameters that they have in common since they are
    no numbers, by name.
    """

    numbers: np.ndarray
    params: PyTree
    settings: dict[str, Any]


class MembersResult(NamedTuple):
    """What the members' runs gave, each as `jaxmlp.FitResult` says.

    `groups` hold the parameters: one group, unless hyperparameters decide shapes; `params` are
    those of the only group and `member(number)` those of one member. `history` has one array of
    shape (members, epochs) per metric, NaN where a member ran no more. Shape (members,) each:
    `best_epoch`, or -1 if none was finite; `best_value`, the monitored value then, or NaN;
    `stopped_by`, "epochs", "patience", "nonfinite" or "interrupt"; `bad_step`, the number of the
    step that was not finite where that ended a run, or -1.
    """

    groups: tuple[Group, ...]
    history: dict[str, np.ndarray]
    best_epoch: np.ndarray
    best_value: np.ndarray
    stopped_by: np.ndarray
    bad_step: np.ndarray

    @property
    def params(self) -> PyTree:
        """Parameters of all members, with a leading member axis.

        Raises:
            ValueError: There are several groups.
        """
        if len(self.groups) != 1:
            raise ValueError(
                f"params needs members of one architecture; these are {len(self.groups)} groups: "
                "use result.groups, or result.member(number)."
            )
        return self.groups[0].params

    def member(self, number: int | np.integer) -> PyTree:
        """Returns the parameters of one member, as `fit` would.

        Args:
            number: Number of the member, in [0, members).

        Raises:
            ValueError: There is no such member.
        """
        require_int("number", number, 0, len(self.best_epoch))
        for group in self.groups:
            for position in np.flatnonzero(group.numbers == number):
                return jax.tree.map(lambda leaf, at=position: leaf[at], group.params)
        raise AssertionError("groups hold every member")


def make_result(
    groups: list[Trained],
    records: list[Record],
    settings: list[dict[str, Any]],
    *,
    epochs: int,
    interrupted: bool,
) -> MembersResult:
    """Gathers groups whose members are numbered over all of them."""
    numbers = np.concatenate([group.numbers for group in groups])
    members = len(numbers)

    def gather(name: str) -> np.ndarray:
        values = np.concatenate([getattr(group, name) for group in groups])
        return values[np.argsort(numbers)]

    best_epoch, bad_step, ran = gather("best_epoch"), gather("bad_step"), gather("epochs")
    stopped_by = np.where(gather("stopped"), "patience", "interrupt" if interrupted else "epochs")
    stopped_by = np.where(~gather("stopped") & (ran == epochs), "epochs", stopped_by)
    stopped_by = np.where(bad_step >= 0, "nonfinite", stopped_by)
    return MembersResult(
        groups=tuple(
            Group(group.numbers, group.params, chosen)
            for group, chosen in zip(groups, settings, strict=True)
        ),
        history=_make_history(records, members, epochs),
        best_epoch=best_epoch,
        best_value=np.where(best_epoch >= 0, gather("best_value"), np.nan),
        stopped_by=stopped_by,
        bad_step=bad_step,
    )


def _make_history(records: list[Record], members: int, epochs: int) -> dict[str, np.ndarray]:
    history: dict[str, np.ndarray] = {}
    for record in records:
        metrics = dict(record.metrics)
        # Members that only fill up a piece run nothing, and joined epochs go beyond the last.
        position, epoch = np.nonzero(metrics.pop("ran"))
        for name, values in metrics.items():
            wide = np.promote_types(values.dtype, np.float32)
            if name not in history:
                history[name] = np.full((members, epochs), np.nan, wide)
            at = record.numbers[position], record.first + epoch
            history[name][at] = values[position, epoch]
    return history
