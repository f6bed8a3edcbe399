"""Turns a recorder, and what `fit` returned, into the epochs and curves that a page shows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..fitting import FitResult
from ..inspection import Record, Recorder, count_bytes, thin
from ..network import Params

# A curve has no more points than these.
_MOST_POINTS = 2000


class Curves(NamedTuple):
    """Losses and metrics over the epochs that are done, of which the first is 1.

    `metrics` has, by name, that of training and that of validation, either of which may be missing;
    `returned` is the epoch of the parameters that `fit` returned.
    """

    epochs: np.ndarray
    training: np.ndarray
    validation: np.ndarray | None
    metrics: dict[str, tuple[np.ndarray | None, np.ndarray | None]]
    returned: int | None


def take_records(recorder: Any, result: Any, max_bytes: int) -> tuple[list[Record], int | None]:
    """Chooses as many recorded epochs as the page may hold.

    Args:
        recorder: What kept the run.
        result: What `fit` returned, if it is to be shown.
        max_bytes: Most bytes of parameters.

    Returns:
        Records in the order of epochs, and which of them has the parameters that were returned.

    Raises:
        TypeError: `recorder` or `result` are something else.
        ValueError: Nothing is recorded, or of another network than the result, or `max_bytes` are
            too few.
    """
    if not isinstance(recorder, Recorder):
        raise TypeError(
            f"recorder must be a jaxmlp.Recorder; got a {type(recorder).__name__}. Give one to "
            "jaxmlp.fit as on_epoch."
        )
    records = list(recorder.records)
    if not records:
        raise ValueError("recorder holds no epochs; give it to jaxmlp.fit as on_epoch first.")
    if not isinstance(records[0].params, Params):
        raise ValueError(
            "recorder must hold the jaxmlp.Params of the config; got a "
            f"{type(records[0].params).__name__}."
        )
    returned = None if result is None else _record_of(result, records[0])
    size = count_bytes(records[0].params)
    others = [each for each in records if returned is None or each.epoch != returned.epoch]
    fewest, most = min(2, len(others)), max_bytes // size - (returned is not None)
    if most < fewest:
        needed = fewest + (returned is not None)
        raise ValueError(
            f"max_bytes must hold {needed} epochs of {size:,} bytes of parameters; got "
            f"{max_bytes:,}."
        )
    kept = thin(others, most)
    if returned is None:
        return kept, None
    kept = sorted([*kept, returned], key=lambda record: record.epoch)
    return kept, kept.index(returned)


def take_curves(records: Sequence[Record], result: FitResult | None, epoch: int | None) -> Curves:
    """Takes the whole history of a result, or else what the recorded epochs have.

    Args:
        records: The recorded epochs.
        result: What `fit` returned, if it is to be shown.
        epoch: The epoch of its parameters.
    """
    if result is None:
        trained = [record.metrics for record in records if record.metrics]
        names = trained[0] if trained else {"epoch": 0, "loss": 0.0}
        history = {name: np.array([each.get(name, np.nan) for each in trained]) for name in names}
    else:
        history = result.history
    step = max(1, -(-len(history["epoch"]) // _MOST_POINTS))
    # Counted from the last, which is kept.
    columns = {
        name: np.asarray(values, np.float64)[::-step][::-1]
        for name, values in history.items()
        if np.ndim(values) == 1
    }
    names = [name.removeprefix("validation_") for name in columns if name != "epoch"]
    return Curves(
        epochs=columns["epoch"] + 1,
        training=columns.get("loss", np.full(len(columns["epoch"]), np.nan)),
        validation=columns.get("validation_loss"),
        metrics={
            name: (columns.get(name), columns.get(f"validation_{name}"))
            for name in dict.fromkeys(names)
            if name != "loss"
        },
        returned=epoch,
    )


def _record_of(result: Any, start: Record) -> Record:
    """What `fit` returned, at its epoch: with validation the best, else the last."""
    if not isinstance(result, FitResult):
        raise TypeError(
            f"result must be what jaxmlp.fit returned, or None; got a {type(result).__name__}."
        )
    shapes = [jax.tree.map(np.shape, params) for params in (result.params, start.params)]
    if shapes[0] != shapes[1]:
        raise ValueError("result must be of the run that the recorder kept; its network differs.")
    epochs = result.history["epoch"]
    if not len(epochs):
        raise ValueError("result must have epochs in its history; got none.")
    is_best = "validation_loss" in result.history and result.best_epoch >= 0
    epoch = result.best_epoch if is_best else int(epochs[-1])
    place = int(np.flatnonzero(epochs == epoch)[0])
    metrics = {name: values[place].item() for name, values in result.history.items()}
    return Record(epoch + 1, jax.tree.map(np.array, result.params), metrics)
