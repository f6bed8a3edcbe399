"""Turns what members have reached into the result of a sweep: parameters, history, endings."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, PyTree

from ..checks import require_int
from ..fitting import FitState, Plan, as_frame
from ..network import with_types_of
from .runs import MemberGroup, where


class Group(NamedTuple):
    """Members of one architecture.

    `numbers` are the numbers of these members, shape (members,), `params` their parameters with a
    leading member axis, and `settings` the hyperparameters that they have in common since they are
    no numbers, by name.
    """

    numbers: np.ndarray
    params: PyTree
    settings: dict[str, Any]

    def __repr__(self) -> str:
        """Shows how many members there are and what they share, and no arrays."""
        return f"Group({len(self.numbers)} members, settings={self.settings!r})"


class MembersResult(NamedTuple):
    """What the members' runs gave, each as `jaxmlp.FitResult` says.

    `groups` hold the parameters: one group, unless hyperparameters decide shapes; `params` are
    those of the only group and `member(number)` those of one member. `history` has one array of
    shape (members, epochs) per metric, NaN where a member ran no more. Shape (members,) each:
    `best_epoch`, or -1 if none was finite; `best_value`, the monitored value then, or NaN;
    `stopped_by`, "epochs", "patience", "nonfinite", "dropped", "interrupt" or, where an executor's
    workers died of it, "lost"; `bad_step`, the number of the step that was not finite where that
    ended a run, or -1.
    """

    groups: tuple[Group, ...]
    history: dict[str, np.ndarray]
    best_epoch: np.ndarray
    best_value: np.ndarray
    stopped_by: np.ndarray
    bad_step: np.ndarray

    def __repr__(self) -> str:
        """Shows how the members' runs went, and no arrays."""
        names, counts = np.unique(self.stopped_by, return_counts=True)
        ends = ", ".join(f"{count} by '{name}'" for name, count in zip(names, counts, strict=True))
        finite = self.best_value[np.isfinite(self.best_value)]
        values = f", best_value {finite.min():.4g} to {finite.max():.4g}" if len(finite) else ""
        groups = "1 group" if len(self.groups) == 1 else f"{len(self.groups)} groups"
        return f"MembersResult({len(self.stopped_by)} members in {groups}, stopped {ends}{values})"

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

    def to_frame(self) -> Any:
        """Returns the history as a tidy `pandas.DataFrame`, one row per member and epoch.

        Epochs that a member ran no more are left out. What is one value per member, such as a
        hyperparameter, joins as a column by `frame.assign(rate=rates[frame["member"]])`.

        Returns:
            The columns "member", "epoch" and one per metric, in the order of `history`; rows in
            the order of members.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> history = {"loss": np.array([[2.0, 1.0], [3.0, np.nan]])}
            >>> ends = np.array(["epochs", "dropped"])
            >>> zeros = np.zeros(2, int)
            >>> print(MembersResult((), history, zeros, zeros, ends, zeros).to_frame())
               member  epoch  loss
            0       0      0   2.0
            1       0      1   1.0
            2       1      0   3.0
        """
        epochs = max((values.shape[1] for values in self.history.values()), default=0)
        is_there = np.zeros((len(self.stopped_by), epochs), bool)
        for values in self.history.values():
            is_there |= ~np.isnan(values)
        # What is undefined in an epoch within a run does not end it.
        ran = np.logical_or.accumulate(is_there[:, ::-1], axis=1)[:, ::-1]
        member, epoch = np.nonzero(ran)
        metrics = {name: values[ran] for name, values in self.history.items()}
        return as_frame({"member": member, "epoch": epoch, **metrics})


def make_result(
    groups: list[MemberGroup],
    settings: list[dict[str, Any]],
    *,
    plan: Plan,
    epochs: int,
    dropped: Bool[np.ndarray, " members"],
    lost: Bool[np.ndarray, " members"],
) -> MembersResult:
    """Gathers groups whose members are numbered over all of them."""
    order = np.argsort(np.concatenate([group.members.numbers for group in groups]))

    def gather(values: list[Any]) -> np.ndarray:
        return np.concatenate(values)[order]

    states = [group.progress.state for group in groups]
    best_epoch = gather([state.best_epoch for state in states])
    bad_step = gather([group.progress.bad_step for group in groups])
    ended = gather([state.epoch for state in states]) == epochs
    stopped = gather([state.stopped for state in states])
    causes = [
        (lost, "lost"),
        (bad_step >= 0, "nonfinite"),
        (stopped, "patience"),
        (ended, "epochs"),
        (dropped, "dropped"),
    ]
    conditions, names = zip(*causes, strict=True)
    return MembersResult(
        groups=tuple(
            Group(group.members.numbers, _choose_params(plan, group.progress.state), chosen)
            for group, chosen in zip(groups, settings, strict=True)
        ),
        history=join_history(groups, epochs),
        best_epoch=best_epoch,
        best_value=np.where(
            best_epoch >= 0, gather([state.best_value for state in states]), np.nan
        ),
        stopped_by=np.select(conditions, names, "interrupt"),
        bad_step=bad_step,
    )


def join_history(groups: list[MemberGroup], epochs: int) -> dict[str, np.ndarray]:
    """Returns the metrics of the first epochs of all members, shape (members, epochs) each."""
    members = sum(len(group.members.numbers) for group in groups)
    history: dict[str, np.ndarray] = {}
    for group in groups:
        for name, values in group.progress.history.items():
            if name not in history:
                history[name] = np.full((members, epochs), np.nan, values.dtype)
            history[name][group.members.numbers] = values[:, :epochs]
    return history


def _choose_params(plan: Plan, state: FitState) -> PyTree:
    """Parameters to use: the best, the averaged or the last ones, as `fit` returns them."""
    params = state.train.params
    if plan.ema_decay is not None:
        params = with_types_of(state.average, params)
    elif plan.swa_start is not None:
        average = with_types_of(state.average, params)
        params = where(np.asarray(state.averaged) > 0, average, params)
    if state.best_params is not None:
        params = where(np.asarray(state.best_epoch) >= 0, state.best_params, params)
    return jax.tree.map(jnp.asarray, params)
