"""Turns what `fit` is given as data into the calls of a run, and into rows to validate on."""

import functools
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .calls import Call, NumberedBatch, Run, StepMetrics
from .data import DataLoader
from .drivers import DRIVERS, Driver, choose_driver, run_loader
from .parts import run_batches
from .program import FitState
from .sources.ingestion import package_of
from .transforms import apply_transform
from .types import Batch


def as_validation(validation: PyTree | None) -> PyTree | None:
    """Copies the rows to validate on; those of a loader go through its transform.

    Raises:
        ValueError: There are not two or three entries, or rows that do not fit together.
    """
    if isinstance(validation, tuple) and not hasattr(validation, "_fields"):
        if len(validation) not in (2, 3):
            raise ValueError(
                f"validation must be (x, y) or (x, y, weight); got {len(validation)} entries."
            )
        validation = DataLoader(*validation, batch_size=1)
    if isinstance(validation, DataLoader):
        loader, validation = validation, read_rows(validation)
        if loader.transform is not None:
            transform = functools.partial(apply_transform, loader.transform)
            return jax.jit(transform)(validation)
        # The loader's arrays cannot change, so that the device may use their memory.
        return jax.device_put(validation)
    return jax.tree.map(lambda a: jnp.array(a, copy=True), validation)


def read_rows(loader: DataLoader) -> Batch:
    """Reads all rows of a loader's source as they lie, before `transform` and not sharded."""
    whole = DataLoader(loader.source, batch_size=1, check_finite=loader.check_finite)
    return whole.rows or whole.read(np.arange(len(loader.source)))


def make_calls(
    driver: Driver | Literal["auto"],
    run: Run,
    state: FitState,
    data: Any,
    *,
    unfinished: StepMetrics,
    each_epoch: bool,
) -> Generator[Call]:
    """Returns the calls of a run over a loader or an iterable of batches.

    `state` may stand within an epoch, of which `unfinished` has the steps' metrics.

    Raises:
        TypeError: `data` is no such thing.
        ValueError: The driver is not known, or cannot run over such data.
    """
    if driver != "auto" and driver not in DRIVERS:
        known = ", ".join(map(repr, ("auto", *DRIVERS)))
        raise ValueError(f"driver must be one of {known}; got {driver!r}.")
    if driver == "epochs" and each_epoch:
        raise ValueError(
            "on_epoch is called after every epoch, but driver='epochs' runs several at once; use "
            "driver='epoch' or 'auto'."
        )
    if isinstance(data, DataLoader):
        if driver == "auto":
            driver = choose_driver(state.train.params, data, each_epoch=each_epoch)
        if driver != "step" and data.sharding is not None:
            raise ValueError(
                f"driver={driver!r} needs batches on one device; a loader with sharding is driven "
                "step by step: use driver='step' or 'auto'."
            )
        if driver in ("epoch", "epochs") and data.rows is None:
            raise ValueError(
                f"driver={driver!r} needs dense rows in memory, which lie on the device; other "
                "rows go there in blocks: use driver='chunk' or 'auto'."
            )
        return run_loader(driver, run, state, data, unfinished)
    if driver not in ("auto", "step"):
        raise ValueError(
            f"driver={driver!r} needs a DataLoader, whose rows lie on the device; an iterable of "
            "batches is driven step by step."
        )
    if isinstance(data, Batch | tuple | Mapping) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be a DataLoader or an iterable of batches; got a "
            f"{type(data).__name__}. Wrap arrays as DataLoader(x, y, batch_size=...)."
        )
    if isinstance(data, Iterator) and run.epochs > 1:
        raise TypeError(
            f"data must give its batches once per epoch; a {type(data).__name__} is used up after "
            "the first. Give a list, or an object whose __iter__ starts anew."
        )
    return run_batches(run, state, unfinished, lambda _, step: _without_numbers(data, step))


def _without_numbers(batches: Iterable[Any], step: int) -> Generator[NumberedBatch]:
    for batch in itertools.islice(batches, step, None):
        if any("torch" in package_of(leaf) for leaf in jax.tree.leaves(batch)):
            raise TypeError(
                "data must give batches of arrays; got tensors of PyTorch. Wrap the iterable as "
                "jaxmlp.sources.batches(data)."
            )
        yield batch, None
