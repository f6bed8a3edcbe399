"""Turns a stage of a sweep into pieces that workers train, some of which may die meanwhile."""

import collections
import queue
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from .cuts import Cut, choose_places, cut_group, make_piece, take_trained
from .executors import WorkerPool, shorten
from .parallelism import Parallelism
from .piece_plans import Shared
from .runs import Hooks, MemberGroup
from .workers import Reply, import_cloudpickle

# A stop that is asked for is seen within that time.
_LOOK_SECONDS = 0.2
# Pieces under way: so many, and two more for each worker that has answered. A queue of all of them
# would hold what each worker is sent, and those before a worker has the rows are sent twice.
_FIRST_PIECES = 16
# Of a piece whose worker died so often, it is tried alone, since another piece may have killed it;
# and so often in all, it is given up.
_DEATHS_TOGETHER = 2
_DEATHS = 4


class _Task(NamedTuple):
    cut: Cut
    deaths: int = 0


class _Sent(NamedTuple):
    task: _Task
    with_shared: bool
    is_alone: bool


class Workers:
    """The workers of an executor, as they train the pieces of one sweep.

    `lost` tells which members were given up, since whoever trained them died.

    Args:
        make: Gives an executor.
        shared: What all pieces need.
        members: Number of members of the sweep.
    """

    def __init__(self, make: Callable[[], Executor], shared: Shared, members: int) -> None:
        self.lost = np.zeros(members, bool)
        self._pool, self._plans = WorkerPool(make, shared), shared.groups
        self._draws = shared.init is not None
        self._places: list[int | None] = [None] * len(shared.groups)
        self._epoch = 0
        self._having, self._lacking = set[str](), set[str]()
        self._sent: dict[Future[Reply], _Sent] = {}

    def train_stage(
        self,
        groups: Sequence[tuple[MemberGroup, Parallelism]],
        until: int,
        dropped: Bool[np.ndarray, " members"],
        hooks: Hooks,
    ) -> None:
        """Trains what goes on of all groups until an epoch; what is under way at a stop is left.

        Raises:
            BrokenSweepError: The executor takes no more pieces.
            Exception: What went wrong in any worker; it tells the members.
            ValueError: A worker has other versions.
        """
        only = [group for group, _ in groups]
        tasks = [_Task(cut) for cut in self._cut(only, until, dropped)]
        self._epoch, lost_before = until, self.lost.copy()
        try:
            self._train(only, tasks, until, hooks)
        except KeyboardInterrupt:
            hooks.interrupted.set()
        finally:
            for future in self._sent:
                future.cancel()
            self._sent.clear()
        told = self.lost & ~lost_before
        if told.any() and not hooks.stops():
            warnings.warn(
                f"{np.count_nonzero(told)} of {len(told)} members were given up, since {_DEATHS} "
                f"times the worker died that trained them: {shorten(np.flatnonzero(told))}. The "
                "others go on. Such a worker mostly lacks memory: give less members_at_once, or "
                "workers with more of it; a sweep that is resumed tries them again.",
                RuntimeWarning,
                stacklevel=6,
            )

    def _cut(self, groups: list[MemberGroup], until: int, dropped: Any) -> list[Cut]:
        cuts: list[Cut] = []
        for number, (group, plan) in enumerate(zip(groups, self._plans, strict=True)):
            kept = int(np.count_nonzero(~dropped[group.members.numbers]))
            if kept:
                epochs, before = until - self._epoch, self._places[number]
                places = choose_places(group, plan, kept, epochs, before)
                self._places[number] = places
                cuts += cut_group(number, group, places, until, dropped, self.lost)
        return cuts

    def _train(
        self, groups: list[MemberGroup], tasks: list[_Task], until: int, hooks: Hooks
    ) -> None:
        waiting = collections.deque(tasks)
        # Those that a worker without rows gave back, until some worker has got them; and those that
        # may have killed their workers, which are tried alone at the end.
        held: list[_Task] = []
        suspects: collections.deque[_Task] = collections.deque()
        done: queue.SimpleQueue[Future[Reply]] = queue.SimpleQueue()

        def send(task: _Task, *, with_shared: bool, is_alone: bool = False) -> None:
            group = groups[task.cut.group]
            made = make_piece(group, task.cut, until, draws=self._draws)
            piece = import_cloudpickle().dumps(made)
            numbers = group.members.numbers[task.cut.positions]
            future = self._pool.submit(piece, numbers, with_shared=with_shared)
            self._sent[future] = _Sent(task, with_shared, is_alone)
            future.add_done_callback(done.put)

        while waiting or held or suspects or self._sent:
            if hooks.stops():
                return
            # What has come back is kept before more is sent.
            while waiting and done.empty() and len(self._sent) < self._most_sent():
                is_first = not self._having and not self._carriers()
                send(waiting.popleft(), with_shared=is_first)
            if not self._sent and held:
                waiting.extend(held)
                held.clear()
                continue
            if not self._sent:
                send(suspects.popleft(), with_shared=not self._having, is_alone=True)
            try:
                future = done.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            sent = self._sent.pop(future)
            task, members = sent.task, groups[sent.task.cut.group].members.numbers
            reply = self._pool.reply_of(future, members[task.cut.positions])
            # Of a worker that dies, Dask has that trained again which anyone still holds.
            del future
            if reply is None:
                task = task._replace(deaths=task.deaths + 1)
                if sent.is_alone and task.deaths >= _DEATHS:
                    self.lost[members[task.cut.positions]] = True
                elif task.deaths >= _DEATHS_TOGETHER:
                    suspects.append(task)
                else:
                    waiting.append(task)
            elif reply.kind == "lacks":
                self._having.discard(reply.worker)
                self._lacking.add(reply.worker)
                if sent.is_alone or self._carriers() < len(self._lacking):
                    send(task, with_shared=True, is_alone=sent.is_alone)
                else:
                    held.append(task)
            else:
                self._lacking.discard(reply.worker)
                self._having.add(reply.worker)
                waiting.extendleft(reversed(held))
                held.clear()
                group, trained = groups[task.cut.group], import_cloudpickle().loads(reply.content)
                hooks.meet(reply.worker, reply.machine)
                with hooks.lock:
                    epochs = take_trained(group, task.cut, trained)
                    hooks.after_piece(task.cut.group, task.cut.positions, until)
                    hooks.after_call(epochs)

    def _most_sent(self) -> int:
        return _FIRST_PIECES + 2 * len(self._pool.known)

    def _carriers(self) -> int:
        """Returns how many of the pieces under way bring along what all pieces need."""
        return sum(sent.with_shared for sent in self._sent.values())
