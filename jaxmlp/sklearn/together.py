"""Turns fits of candidates on the same rows into trained ones, as members of one program."""

import contextlib
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import joblib
import numpy as np

from ..data import DataLoader
from .devices import computing_on, name_device
from .programs import programs_on_disk
from .recipes import MembersRun, train_members, uses_recipe
from .solvers import SolverRun, can_be_member, draw_alike, train, train_solver_members


class TrainedFit(NamedTuple):
    """A fit that lacks its end only: `estimator` is as it was before the training."""

    estimator: Any
    run: Any
    trained: Any
    warnings: list[Any]


class _Begun(NamedTuple):
    number: int
    name: tuple[str, str]
    fit: TrainedFit


# By what is fitted to what.
_trained: ContextVar[dict[tuple[str, str], TrainedFit] | None] = ContextVar("trained", default=None)


def train_alone(run: Any) -> Any:
    """Trains a run that an estimator has begun; of "lbfgs", nothing."""
    if isinstance(run, MembersRun):
        with jax.enable_x64(run.dtype == np.float64):
            return train_members([run])[0]
    if isinstance(run, SolverRun):
        with jax.enable_x64(run.dtype == np.float64):
            return train(run)
    return None


def warn_of_two_kinds(candidates: Sequence[Any], X: Any) -> None:
    """Warns where "auto" trains some candidates by a recipe, and others as scikit-learn."""
    by_recipe = [uses_recipe(one, X) for one in candidates if one.preset == "auto"]
    if any(by_recipe) and not all(by_recipe):
        warnings.warn(
            f"{sum(by_recipe)} of {len(by_recipe)} candidates with preset='auto' are trained by a "
            "recipe, several networks that are averaged, since all their values happen to be "
            "scikit-learn's defaults, and the others as scikit-learn trains. To compare values, "
            "give the estimator preset='sklearn'.",
            stacklevel=8,
        )


@contextlib.contextmanager
def handing_out(trained: dict[tuple[str, str], TrainedFit]) -> Iterator[None]:
    """Has every estimator that is fitted in the block take what it would become, if it is there."""
    token = _trained.set(trained)
    try:
        yield
    finally:
        _trained.reset(token)


def take_trained(estimator: Any, arguments: tuple[Any, ...]) -> tuple[Any, Any] | None:
    """Gives an estimator that is fitted all that precedes training, and returns what follows it.

    Returns:
        A run and what became of it; `None` if it was not trained before.
    """
    waiting = _trained.get()
    if not waiting:
        return None
    fit = waiting.pop((_hash_settings(estimator), joblib.hash(arguments) or ""), None)
    if fit is None:
        return None
    for told in fit.warnings:
        warnings.warn(told.message, stacklevel=4)
    own = estimator.get_params(deep=False)
    vars(estimator).update({k: v for k, v in vars(fit.estimator).items() if k not in own})
    return fit.run, fit.trained


def train_candidates(
    candidates: Sequence[Any], arguments: tuple[Any, ...], *, settings: dict[str, Any]
) -> tuple[dict[tuple[str, str], TrainedFit], dict[int, float]]:
    """Trains candidates together, those that can be.

    A candidate whose fit fails, or that is trained as no other is, is left to its own fit.

    Args:
        candidates: Estimators to fit, which are written to.
        arguments: Rows, targets, weights, and rows to validate on, as `_fit` takes them.
        settings: Of `fit_members`, what tells who trains members.

    Returns:
        What candidates have become, by what is fitted to what; and for each number of theirs the
        seconds that they took, which are those of all divided by how many there were.

    Raises:
        BrokenExecutor: The workers of an executor died.
    """
    start = time.perf_counter()
    rows = joblib.hash(arguments) or ""
    trained: dict[tuple[str, str], TrainedFit] = {}
    numbers = []
    for group in _group(_begin(candidates, rows, arguments)):
        first = group[0].fit
        # What goes wrong goes wrong again, and is told, in their own fits.
        try:
            with _computing(first.estimator, first.run.dtype):
                results = _train(group, settings)
        except BrokenExecutor:
            raise
        except Exception:  # noqa: S112
            continue
        numbers += [begun.number for begun in group]
        for begun, result in zip(group, results, strict=True):
            trained[begun.name] = begun.fit._replace(trained=result)
    seconds = time.perf_counter() - start
    return trained, {number: seconds / len(numbers) for number in numbers}


def _train(group: list[_Begun], settings: dict[str, Any]) -> Sequence[Any]:
    runs: list[Any] = [begun.fit.run for begun in group]
    if isinstance(runs[0], MembersRun):
        return train_members(runs, **settings)
    return train_solver_members(runs, **settings)


@contextlib.contextmanager
def _computing(estimator: Any, dtype: Any) -> Iterator[None]:
    with programs_on_disk(), computing_on(estimator.device), jax.enable_x64(dtype == np.float64):
        yield


def _hash_settings(estimator: Any) -> str:
    settings = estimator.get_params(deep=False)
    settings["device"] = name_device(settings["device"])
    return joblib.hash((type(estimator).__qualname__, settings)) or ""


def _begin(
    candidates: Sequence[Any], rows: str, arguments: tuple[Any, ...]
) -> Iterator[tuple[int, _Begun]]:
    """Begins the fits of candidates that may be trained with others."""
    seen = set()
    X, y, sample_weight, validation = arguments
    for number, candidate in enumerate(candidates):
        # Without a seed, every fit draws from NumPy's own generator, in the order of fits.
        alone = candidate.random_state is None or candidate.solver == "lbfgs"
        if alone and not uses_recipe(candidate):
            continue
        with (
            contextlib.suppress(Exception),
            warnings.catch_warnings(record=True) as told,
            programs_on_disk(),
            computing_on(candidate.device),
        ):
            warnings.simplefilter("always")
            name = _hash_settings(candidate), rows
            if name not in seen:
                seen.add(name)
                candidate._validate_params()
                run = candidate._begin(X, y, sample_weight, False, validation)
                yield number, _Begun(number, name, TrainedFit(candidate, run, None, told or []))


def _group(begun: Iterator[tuple[int, _Begun]]) -> list[list[_Begun]]:
    """Returns groups of several that can be members of one program."""
    groups: list[list[_Begun]] = []
    for _, own in begun:
        run = own.fit.run
        if isinstance(run, SolverRun) and not can_be_member(run):
            continue
        for group in groups:
            first = group[0].fit
            if _are_alike(first.run, run) and _same_device(first, own.fit):
                # They share one copy of the rows.
                run = run._replace(loader=first.run.loader)
                if isinstance(run, MembersRun) and "validation" in run.settings:
                    validation = first.run.settings["validation"]
                    run = run._replace(settings={**run.settings, "validation": validation})
                group.append(own._replace(fit=own.fit._replace(run=run)))
                break
        else:
            groups.append([own])
    return [group for group in groups if len(group) > 1]


def _same_device(fit: TrainedFit, other: TrainedFit) -> bool:
    return name_device(fit.estimator.device) == name_device(other.estimator.device)


def _are_alike(run: Any, other: Any) -> bool:
    """Whether two runs differ in numbers alone."""
    if type(run) is not type(other):
        return False
    if isinstance(run, SolverRun):
        same = (run.loss_fn, run.optimizer, run.epochs) == (
            *(other.loss_fn, other.optimizer, other.epochs),
        )
        same = same and draw_alike(run, other) and _shapes(run.model) == _shapes(other.model)
    else:
        same = _static(run) == _static(other) and _equal(
            run.settings.get("validation"), other.settings.get("validation")
        )
    return same and _same_rows(run.loader, other.loader)


def _static(run: MembersRun) -> Any:
    # The number of members may be any.
    shapes = [shape[1:] for shape in _shapes(run.model)]
    settings = {
        name: None if name == "validation" else np.shape(value)[1:]
        for name, value in run.settings.items()
    }
    return run.loss, run.recipe.schedule, run.recipe.epochs, shapes, run.dtype, settings


def _shapes(model: Any) -> list[tuple[int, ...]]:
    return [np.shape(leaf) for leaf in jax.tree.leaves(model)]


def _same_rows(loader: DataLoader, other: DataLoader) -> bool:
    return loader.batch_size == other.batch_size and _equal(loader.rows, other.rows)


def _equal(tree: Any, other: Any) -> bool:
    leaves, others = jax.tree.leaves(tree), jax.tree.leaves(other)
    return len(leaves) == len(others) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(leaves, others, strict=True)
    )
