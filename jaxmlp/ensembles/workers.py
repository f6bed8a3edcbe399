"""Turns a piece, as bytes, into trained members, as bytes: what runs in an executor's worker."""

import collections
import contextlib
import threading
import traceback
from typing import Any, Literal, NamedTuple

import numpy as np

from ..loading import using_settings
from .draws import ParamsDrawer
from .machines import describe_machine, list_versions, name_process
from .parallelism import Parallelism
from .piece_plans import Piece, Shared, TracedGroup, Trained, new_group, shapes_of, trace_group
from .programs import put_everywhere
from .runs import Hooks, Members, fill_up, run_inputs, shape_of_index, train_member_batch

# Of that many sweeps a worker keeps rows and programs, those that it trained last.
_KEPT_SWEEPS = 2


class Reply(NamedTuple):
    """What a worker answers, all of it in types that any process can read.

    `kind` says what the pickled `content` is: what was "trained"; a traceback and the error, or
    `None` where that cannot be pickled, where it "failed"; nothing where the worker "lacks" what
    the sweep's pieces share; the versions here, where it "refused" other ones.
    """

    worker: str
    machine: dict[str, str]
    kind: Literal["trained", "failed", "lacks", "refused"]
    content: bytes


class Failure(NamedTuple):
    """What went wrong in a worker: the formatted traceback, and the error if it can be pickled."""

    traceback: str
    error: Exception | None


def import_cloudpickle() -> Any:
    """Returns cloudpickle, which pickles lambdas and closures.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import cloudpickle
    except ImportError as error:
        raise ImportError(
            "executor needs cloudpickle, by which functions reach its workers; pip install "
            "'jaxmlp[cluster]', here and where the workers are."
        ) from error
    return cloudpickle


def run_piece(
    number: int,
    versions: dict[str, str],
    settings: dict[str, Any],
    fingerprint: str,
    piece: bytes,
    shared: bytes | None,
) -> Reply:
    """Trains a piece.

    Args:
        number: Makes two calls differ, so that no engine takes the answer of one for the other's.
        versions: Those of the process that sends the piece, without which nothing is unpickled.
        settings: JAX's, as they are there.
        fingerprint: Hash of `shared`, by which it is kept.
        piece: The pickled `Piece`.
        shared: The pickled `Shared`, or `None` where the worker may have it.
    """
    del number
    worker, cloudpickle = name_process(), import_cloudpickle()
    with using_settings(settings):
        machine, here = describe_machine(), list_versions()
        if here != versions:
            return Reply(worker, machine, "refused", cloudpickle.dumps(here))
        try:
            kept = _keep(fingerprint, shared)
            if kept is None:
                return Reply(worker, machine, "lacks", b"")
            trained = kept.train(cloudpickle.loads(piece))
            return Reply(worker, machine, "trained", cloudpickle.dumps(trained))
        except Exception as error:
            failure = Failure(traceback.format_exc(), _as_sendable(error))
            return Reply(worker, machine, "failed", cloudpickle.dumps(failure))


def _as_sendable(error: Exception) -> Exception | None:
    """Returns an error that arrives as it is, or `None`; pickle cannot make all of them anew."""
    cloudpickle = import_cloudpickle()
    with contextlib.suppress(Exception):
        return cloudpickle.loads(cloudpickle.dumps(error.with_traceback(None)))
    return None


class _KeptSweep:
    """What a worker keeps of a sweep: rows on its device, and programs per group and size."""

    def __init__(self, shared: Shared) -> None:
        sweep = shared.sweep
        sweep = sweep._replace(
            rows=put_everywhere(sweep.rows, 1), validation=put_everywhere(sweep.validation, 1)
        )
        self.shared = shared._replace(sweep=sweep)
        self._traced: dict[tuple[int, int], TracedGroup] = {}
        self._drawers: dict[int, ParamsDrawer] = {}
        self._lock = threading.Lock()

    def train(self, piece: Piece) -> Trained:
        """Trains the members of a piece up to its end."""
        members = self._with_params(piece)
        group = new_group(self._compiled(piece, members), members, piece.until)
        first = 0
        if piece.state is not None:
            group = group._replace(progress=group.progress._replace(state=piece.state))
            first = int(piece.state.epoch[0])
        hooks = Hooks(
            *(threading.Lock(), threading.Event(), lambda: False),
            *(lambda _: None, lambda *_: None, lambda *_: None, False),
        )
        batch = fill_up(np.arange(len(members.numbers)), piece.places)
        train_member_batch(group, batch, piece.until, hooks)
        state, bad_step, history = group.progress
        return Trained(state, bad_step, {name: a[:, first:] for name, a in history.items()})

    def _with_params(self, piece: Piece) -> Members:
        """Draws the members' parameters where they have not come with the piece."""
        members, init = piece.members, self.shared.init
        if init is None:
            return members
        with self._lock:
            drawer = self._drawers.get(piece.group)
            if drawer is None:
                plan, kind = self.shared.groups[piece.group], self.shared.sweep.key_kind
                drawer = ParamsDrawer(init, plan.static, kind, set(), members=plan.in_all)
                self._drawers[piece.group] = drawer
        params = drawer.draw(members.inputs.hyperparameters, members.keys)
        return members._replace(params=params)

    def _compiled(self, piece: Piece, members: Members) -> TracedGroup:
        """Compiles what the pieces of a group run, once for all of this size."""
        name = piece.group, piece.places
        with self._lock:
            if name not in self._traced:
                sweep, factories, _, groups = self.shared
                plan = groups[piece.group]
                parallelism = Parallelism(per_call=piece.places, width=plan.width, threads=1)
                traced = trace_group(sweep, factories, plan.static, members, parallelism)
                setup, shapes = traced.setup, shapes_of(members, piece.places)
                setup.programs.compiled("start", shapes.params, shapes.inputs, shapes.keys)
                index, limits = shape_of_index(setup, shapes), np.zeros(piece.places, np.int32)
                inputs = run_inputs(setup, shapes, index, limits)
                setup.programs.compiled("run", traced.state, *inputs)
                self._traced[name] = traced
            return self._traced[name]


_sweeps: collections.OrderedDict[str, _KeptSweep] = collections.OrderedDict()
_lock = threading.Lock()


def _keep(fingerprint: str, shared: bytes | None) -> _KeptSweep | None:
    """Returns what is kept of a sweep, of what was sent now or before, or `None`."""
    with _lock:
        if fingerprint not in _sweeps:
            if shared is None:
                return None
            _sweeps[fingerprint] = _KeptSweep(import_cloudpickle().loads(shared))
            while len(_sweeps) > _KEPT_SWEEPS:
                _sweeps.popitem(last=False)
        _sweeps.move_to_end(fingerprint)
        return _sweeps[fingerprint]
