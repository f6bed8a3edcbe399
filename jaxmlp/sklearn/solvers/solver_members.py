"""Turns fits of scikit-learn's solvers that differ in numbers into members of one program."""

import threading
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ...data import DataLoader
from ...ensembles.planned import fit_planned_members
from ...fitting import Plan
from .orders import ShuffledOrders
from .stopping import LossRule
from .training_loop import Ended, Reached, SolverRun, Trained

# Row numbers of all epochs, which are kept while members are trained: 512 MB.
_MOST_NUMBERS = 2**26
# Each member has a place for the loss of every epoch that it may reach: 512 KB.
_MOST_EPOCHS = 2**16
# What a fit calls its end, by what `MembersResult.stopped_by` calls it.
_ENDS: dict[str, Ended] = {"patience": "stop", "epochs": "epochs", "nonfinite": "nonfinite"}


class _KeptOrders:
    """A sampler that gives threads the orders of any epoch, drawn once."""

    def __init__(self, orders: ShuffledOrders) -> None:
        self._orders, self._drawn, self._lock = orders, [], threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers draw their own: a lock is of one process.
        return _KeptOrders, (self._orders,)

    def __len__(self) -> int:
        return len(self._orders)

    def order(self, epoch: int) -> np.ndarray:
        """Returns the order in an epoch."""
        with self._lock:
            while len(self._drawn) <= epoch:
                self._drawn.append(self._orders.order(len(self._drawn)))
            return self._drawn[epoch]


def can_be_member(run: SolverRun) -> bool:
    """Whether a run's epochs need nothing of the host but to be told when to stop."""
    told = run.validate is not None or run.observe is not None or run.stopping.verbose
    shown = run.progress is not False
    begun = run.optimizer_state is not None
    if told or shown or begun or run.stopping.adaptive or run.loader.rows is None:
        return False
    if run.epochs > _MOST_EPOCHS:
        return False
    return run.orders is None or len(run.orders) * run.epochs <= _MOST_NUMBERS


def draw_alike(run: SolverRun, other: SolverRun) -> bool:
    """Whether two runs visit rows in the same order, in every epoch."""
    if run.orders is None or other.orders is None:
        return run.orders is other.orders
    return run.orders.draws_like(other.orders)


def train_solver_members(runs: Sequence[SolverRun], **settings: Any) -> list[Trained]:
    """Trains runs that are alike but for their numbers; each stops as it would alone.

    Args:
        runs: Runs of equal losses, optimizers, epochs, rows and orders of rows.
        settings: Further settings of `fit_members`.

    Returns:
        What each has become, without the optimizer's state.

    Raises:
        KeyboardInterrupt: An interrupt ended them.
        KeyError: One was lost with its workers.
    """
    first = runs[0]
    rows: Any = first.loader.rows
    loader = first.loader
    if first.orders is not None:
        loader = DataLoader(
            *(rows.x, rows.y),
            batch_size=loader.batch_size,
            sampler=_KeptOrders(first.orders),
            check_finite=False,
        )
    # On the host: what depends on the number of runs is compiled for each.
    key_data = [np.asarray(jax.random.key_data(run.key)) for run in runs]
    result = fit_planned_members(
        Plan(stop_rule=LossRule()),
        first.loss_fn,
        optax.GradientTransformation(first.optimizer.init, first.optimizer.update),
        jax.tree.map(lambda *leaves: np.stack(leaves), *(run.model for run in runs)),
        loader,
        epochs=first.epochs,
        keys=jax.random.wrap_key_data(jnp.asarray(np.stack(key_data))),
        progress=False,
        **settings,
    )
    if (result.stopped_by == "interrupt").any():
        raise KeyboardInterrupt
    models: Any = jax.tree.map(np.asarray, result.params)
    trained = []
    for number, run in enumerate(runs):
        losses = result.history["loss"][number]
        for loss in losses[~np.isnan(losses)].tolist():
            run.stopping.after_epoch(loss, None)
        ended = _ENDS[result.stopped_by[number]]
        if ended == "nonfinite":
            run.stopping.after_epoch(np.nan, None)
        # Copies, that what is kept of one run does not keep all.
        params = jax.tree.map(lambda leaf, at=number: leaf[at].copy(), models.params)
        trained.append(Trained(Reached(params, None, None), ended))
    return trained
