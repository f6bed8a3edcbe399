"""Turns candidates and folds into what `fit_members` takes: a member for each of both."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree, Shaped, UInt32

from ..data import DataLoader
from .factories import as_init, split_hyperparameters
from .weights import fold_weights, rows_of_weights


class Folds(NamedTuple):
    """Rows to validate on, and per fold the weights of all rows, `None` where they are all 1.

    Of `validation`, each fold has its own `rows`, with `weights`.
    """

    number: int
    training: Float[np.ndarray, "folds rows"] | None
    validation: PyTree
    rows: Int[np.ndarray, "folds chosen"] | None
    weights: Float[np.ndarray, "folds chosen"] | None


def as_columns(candidates: Any, reserved: Any) -> dict[str, list[Any]]:
    """Returns one list per hyperparameter, with one value per candidate.

    Raises:
        TypeError: `candidates` are no dict, or an entry is no list or array.
        ValueError: There are none, numbers of values differ, or a name is `reserved`.
    """
    if not isinstance(candidates, Mapping):
        raise TypeError(
            "candidates must be a dict of one value per candidate by name, as grid and "
            f"draw_candidates make it; got a {type(candidates).__name__}."
        )
    columns = {}
    for name, values in candidates.items():
        if isinstance(values, np.ndarray | jax.Array):
            values = values.tolist()
        if not isinstance(values, list | tuple):
            raise TypeError(
                f"candidates[{name!r}] must be an array or a list with one value per candidate; "
                f"got {values!r}. For all combinations of some values use grid."
            )
        columns[name] = list(values)
    counts = {name: len(values) for name, values in columns.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(
            "candidates must have one value per candidate for each of at least one name; got "
            f"{counts} values."
        )
    if taken := [name for name in columns if name in reserved or name.startswith("score_fold_")]:
        raise ValueError(f"candidates are named {taken}, as columns of the table; rename them.")
    return columns


def make_folds(folds: Any, stratify: Any, validation: PyTree | None, data: DataLoader) -> Folds:
    """Returns the folds of a search, or the one where there are rows to validate on.

    Raises:
        TypeError: `folds` are neither an int nor two arrays.
        ValueError: There are both folds and rows to validate on, or neither, or a shape is wrong.
    """
    if (folds is None) == (validation is None):
        raise ValueError(
            "search needs either folds or validation to score candidates; got "
            f"{'neither' if folds is None else 'both'}. Give folds=5, or validation=(x, y)."
        )
    if stratify is not None and (folds is None or isinstance(folds, tuple)):
        raise ValueError(
            "stratify spreads labels over a number of folds, as folds=5; here it has no effect."
        )
    if folds is None:
        return Folds(1, None, validation, None, None)
    rows = len(data.source)
    if not isinstance(folds, int | np.integer | tuple):
        raise TypeError(
            "folds must be a number of folds, or (training, validation) weights of shape (folds, "
            f"{rows}) each; got a {type(folds).__name__}. A splitter of scikit-learn becomes such "
            "weights by validation[fold, test_rows] = 1 and training = 1 - validation."
        )
    if not isinstance(folds, tuple):
        training, weights = fold_weights(rows, int(folds), seed=0, stratify=stratify)
        return Folds(len(training), training, data, *rows_of_weights(weights))
    shapes = [np.shape(weights) for weights in folds]
    if len(folds) != 2 or len(set(shapes)) != 1 or len(shapes[0]) != 2 or shapes[0][1] != rows:
        raise ValueError(
            f"folds must be a number of folds, or (training, validation) weights of shape (folds, "
            f"{rows}) each, as fold_weights returns them; got shapes {shapes}."
        )
    training, weights = map(np.asarray, folds)
    return Folds(len(training), training, data, *rows_of_weights(weights))


def make_keys(key: Any, folds: int) -> Key[Array, " keys"]:
    """Returns the keys of the folds, and a last one to refit with.

    Raises:
        TypeError: `key` is no typed JAX random key.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or key.shape != ():
        raise TypeError(f"key must be one typed JAX random key, as jax.random.key(0); got {key!r}.")
    return _fold_in_each(key, np.arange(folds + 1, dtype=np.uint32))


@jax.jit
def _fold_in_each(key: Key[Array, ""], numbers: UInt32[Array, " keys"]) -> Key[Array, " keys"]:
    # One by one: under vmap, keys of some kinds give others.
    return jax.lax.map(functools.partial(jax.random.fold_in, key), numbers)


def require_init(params: Any) -> None:
    """Refuses parameters that are there already."""
    if as_init(params) is None:
        raise TypeError(
            "params must be init(key) or init(hyperparameters, key), since every candidate starts "
            f"anew; got a {type(params).__name__}."
        )


def repeat_settings(columns: Mapping[str, list[Any]], folds: int) -> dict[str, Any]:
    """Returns each candidate's hyperparameters once per fold; numbers are of JAX's types."""
    traced, static = split_hyperparameters(columns, len(next(iter(columns.values()))))
    repeated: dict[str, Any] = {
        name: [value for value in values for _ in range(folds)] for name, values in static.items()
    }
    return repeated | {name: np.repeat(values, folds, axis=0) for name, values in traced.items()}


def repeat_rows(
    values: Shaped[np.ndarray, "folds rows"] | None, candidates: int
) -> Shaped[np.ndarray, "members rows"] | None:
    """Returns the folds' weights, or numbers of rows, once per candidate."""
    return None if values is None else np.tile(values, (candidates, 1))
