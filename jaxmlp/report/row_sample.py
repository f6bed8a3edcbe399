"""Turns the rows that a caller hands over into a checked sample, and the names of its columns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from ..network import MLPConfig

# What is measured over all epochs is measured over so many rows at most.
_MOST_MEASURED = 4096


class Rows(NamedTuple):
    """The rows of a report.

    `x` and `y` are what is measured, `shown` the numbers, within them, of the rows that the page
    holds, and `given` how many the caller handed over. `classes` names the classes, `None` where
    targets are numbers.
    """

    x: Float[np.ndarray, "rows in_features"]
    y: Shaped[np.ndarray, "rows ..."]
    shown: np.ndarray
    given: int
    features: list[str]
    classes: list[str] | None


def float_type(config: MLPConfig) -> Any:
    """Returns the type in which rows go to a network, which takes them to its own."""
    return np.float64 if config.param_dtype == "float64" else np.float32


def targets_by_output(rows: Rows, config: MLPConfig) -> Float[np.ndarray, "rows outputs"]:
    """Returns the targets, as numbers, of those outputs that have one.

    A single target is that of every output, as quantiles have it; else they are paired in order.
    """
    targets = rows.y.reshape(len(rows.y), -1).astype(np.float64)
    if targets.shape[1] == 1:
        return np.repeat(targets, config.out_features, axis=1)
    return targets[:, : config.out_features]


def take_rows(
    x: Any,
    y: Any,
    config: MLPConfig,
    *,
    max_rows: int,
    feature_names: Sequence[str] | None,
    class_names: Sequence[str] | None,
) -> Rows:
    """Checks the rows and takes the same sample each time."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != config.in_features or not len(x):
        raise ValueError(
            f"x must have rows of {config.in_features} features, as the config says; got "
            f"x.shape={x.shape}."
        )
    if x.dtype.kind not in "fiub" and x.dtype.name != "bfloat16":
        raise TypeError(f"x must be numbers; got an array of {x.dtype}.")
    if y.dtype.kind not in "fiub" and y.dtype.name != "bfloat16":
        raise TypeError(
            f"y must be numbers, classes as integers from 0; got an array of {y.dtype}. Number "
            "them: classes, y = np.unique(y, return_inverse=True)."
        )
    if len(y) != len(x) if y.ndim else True:
        raise ValueError(f"y must have a target for each row of x, {len(x)}; got shape {y.shape}.")
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        row = int(np.isfinite(x).all(axis=1).argmin())
        raise ValueError(f"x must be finite; row {row} is not. Leave such rows out.")
    count = max(2, config.out_features)
    classes = None
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("y must be finite; leave out the rows where it is not.")
    if y.ndim == 1 and y.dtype.kind in "iub":
        if y.min() < 0 or y.max() >= count:
            raise ValueError(
                f"y must be classes from 0 to {count - 1}, as its integers say; got {y.min()} to "
                f"{y.max()}. Convert targets that are numbers by y.astype('float32')."
            )
        classes = _names("class_names", class_names, count, [str(n) for n in range(count)])
    elif class_names is not None:
        raise ValueError(
            f"class_names name integer targets of shape (rows,); got y of {y.dtype} and shape "
            f"{y.shape}. Leave them out."
        )
    features = [f"x{number + 1}" for number in range(config.in_features)]
    features = _names("feature_names", feature_names, config.in_features, features)
    measured = _spread(len(x), _MOST_MEASURED)
    return Rows(
        x[measured], y[measured], _spread(len(measured), max_rows), len(x), features, classes
    )


def _spread(rows: int, most: int) -> np.ndarray:
    """Numbers of at most `most` rows, drawn without an order that the data may have."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def _names(argument: str, given: Any, count: int, default: list[str]) -> list[str]:
    if given is None:
        return default
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{argument} must be {count} texts; got {given!r}.")
    if len(given) != count:
        raise ValueError(f"{argument} must be {count} texts; got {len(given)}.")
    return list(given)
