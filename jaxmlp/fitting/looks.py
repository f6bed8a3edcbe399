"""Turns a callback into the epochs after which it is called, at which a run's calls must end."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..train_step import TrainState

OnEpoch: TypeAlias = Callable[[TrainState, Mapping[str, int | float]], bool | None]


@runtime_checkable
class Scheduled(Protocol):
    """An `OnEpoch` that says when it is called: a run between its epochs is cut nowhere else.

    Epochs are counted by how many are done: 0 at the start, 1 after the first. It is called after
    those that it names, and after the run's last.
    """

    def begin(self, state: TrainState, epoch: int) -> None:
        """Is told the state before the first step, and how many epochs were done before."""

    def next_epoch(self, epoch: int) -> int:
        """Names the next epoch after `epoch`: a function of that alone, asked ahead of time."""
        ...

    def __call__(self, state: TrainState, metrics: Mapping[str, int | float], /) -> bool | None:
        """Is what every `OnEpoch` is."""


class Looks(NamedTuple):
    """When the host looks at the state: after `next_epoch(epoch)`, above `epoch`."""

    each_epoch: bool
    next_epoch: Callable[[int], int]


def looks_of(on_epoch: OnEpoch | None, end: int) -> Looks:
    """Returns when a callback is called in a run that ends with epoch `end`."""
    if on_epoch is None:
        return Looks(False, lambda _: end)
    if not isinstance(on_epoch, Scheduled):
        return Looks(True, lambda epoch: epoch + 1)
    scheduled: Scheduled = on_epoch

    def next_epoch(epoch: int) -> int:
        named = scheduled.next_epoch(epoch)
        if not isinstance(named, int) or named <= epoch:
            raise ValueError(
                f"on_epoch.next_epoch({epoch}) must return an int above {epoch}; got {named!r}."
            )
        return min(named, end)

    return Looks(False, next_epoch)
