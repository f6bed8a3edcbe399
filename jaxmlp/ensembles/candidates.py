"""Turns the values that hyperparameters may take into candidates: grids, and draws at random."""

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import numpy as np

from ..checks import require_int
from ..loading import philox_words

# Loaders count epochs from 0; splits, folds and bootstraps take the last four numbers.
_CANDIDATE_WORDS = 2**64 - 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """Values to draw from: `uniform`, `log_uniform` or `integers` makes one."""

    low: float
    high: float
    kind: Literal["uniform", "log_uniform", "integers"]


def uniform(low: float, high: float) -> Range:
    """Describes numbers that are drawn uniformly, for `draw_candidates`.

    Args:
        low: Smallest value, finite.
        high: End of the values, finite and above `low`.

    Raises:
        TypeError: A bound is no number.
        ValueError: A bound is out of range.
    """
    _require_bounds("uniform", low, high, -math.inf)
    return Range(low=float(low), high=float(high), kind="uniform")


def log_uniform(low: float, high: float) -> Range:
    """Describes numbers whose logarithm is drawn uniformly, for `draw_candidates`.

    Each factor of ten has the same chance, as suits learning rates and weight decays.

    Args:
        low: Smallest value, above 0.
        high: End of the values, finite and above `low`.

    Raises:
        TypeError: A bound is no number.
        ValueError: A bound is out of range.
    """
    _require_bounds("log_uniform", low, high, 0.0)
    return Range(low=float(low), high=float(high), kind="log_uniform")


def integers(low: int, high: int) -> Range:
    """Describes whole numbers of equal chance, for `draw_candidates`.

    Args:
        low: Smallest value.
        high: End of the values, above `low`: `high - 1` is the largest one.

    Raises:
        TypeError: A bound is no int.
        ValueError: `high` is not above `low`, or a bound does not fit into 32 bits.
    """
    require_int("low", low, -(2**31), 2**31)
    require_int("high", high, int(low) + 1, 2**31 + 1)
    return Range(low=float(low), high=float(high), kind="integers")


def grid(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Returns all combinations of values, as candidates for `search`.

    The last name changes fastest, as in scikit-learn's `ParameterGrid`, which sorts names first.

    Args:
        values: The values of each hyperparameter by name, in a list, a tuple or an array.

    Returns:
        One value per candidate by name.

    Raises:
        TypeError: `values` are no dict, or an entry is no list.
        ValueError: There are none.

    Example:
        >>> grid({"learning_rate": [0.1, 0.01], "dropout_rate": [0.0, 0.5]})
        {'learning_rate': [0.1, 0.1, 0.01, 0.01], 'dropout_rate': [0.0, 0.5, 0.0, 0.5]}
    """
    _require_names("values", values)
    lists = [_as_list(f"values[{name!r}]", some) for name, some in values.items()]
    columns = zip(*itertools.product(*lists), strict=True)
    return {name: list(column) for name, column in zip(values, columns, strict=True)}


def draw_candidates(space: Mapping[str, Any], *, candidates: int, seed: int) -> dict[str, list]:
    """Draws candidates for `search` at random.

    A draw depends on the seed, the name and the number of the candidate, whatever the version of
    NumPy: more candidates begin with the same ones, and another hyperparameter leaves the others'
    values as they are. Random draws find what matters sooner than a grid of as many candidates
    where only some hyperparameters matter.

    Args:
        space: What each hyperparameter may be, by name: `uniform(low, high)`,
            `log_uniform(low, high)`, `integers(low, high)`, or a list whose entries have equal
            chances.
        candidates: Number of candidates, at least 1.
        seed: Number in [0, 2**64) that fixes the draws.

    Returns:
        One value per candidate by name.

    Raises:
        TypeError: A number is no int, `space` is no dict, or an entry is nothing to draw from.
        ValueError: A number is out of range, or there is nothing to draw from.

    References:
        Bergstra & Bengio 2012.

    Example:
        >>> space = {"learning_rate": log_uniform(1e-4, 1e-1), "width": [(32,), (64,)]}
        >>> drawn = draw_candidates(space, candidates=3, seed=0)
        >>> [f"{rate:.4f}" for rate in drawn["learning_rate"]], drawn["width"]
        (['0.0022', '0.0002', '0.0692'], [(32,), (32,), (32,)])
    """
    require_int("candidates", candidates, 1, None)
    _require_names("space", space)
    drawn = {}
    for name, values in space.items():
        if not isinstance(values, Range):
            values = _as_list(f"space[{name!r}]", values, "uniform, log_uniform, integers, or ")
        # A stream for each name, so that hyperparameters are drawn independently of each other.
        stream = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        words = philox_words(candidates, seed=seed, epoch=_CANDIDATE_WORDS, stream=stream)
        drawn[name] = [_pick(values, word) for word in words.tolist()]
    return drawn


def _pick(values: Range | list[Any], word: int) -> Any:
    """Turns a uniform word in [0, 2**64) into a value."""
    if isinstance(values, list):
        return values[len(values) * word >> 64]
    low, high = values.low, values.high
    if values.kind == "integers":
        return int(low) + (int(high - low) * word >> 64)
    share = (word >> 11) * 2.0**-53  # In [0, 1).
    if values.kind == "uniform":
        return min(low * (1 - share) + high * share, math.nextafter(high, low))
    # Python's functions: NumPy's are rounded otherwise from version to version.
    drawn = math.exp(math.log(low) * (1 - share) + math.log(high) * share)
    return min(max(drawn, low), math.nextafter(high, low))


def _require_bounds(name: str, low: Any, high: Any, above: float) -> None:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float | np.number):
            raise TypeError(f"{name} needs two numbers, low and high; got {bound!r}.")
    if not above < low < high < math.inf:
        floor = "" if above == -math.inf else f"{above:g} < "
        raise ValueError(f"{name} needs finite {floor}low < high; got low={low}, high={high}.")


def _require_names(name: str, values: Any) -> None:
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{name} must be a dict of what each hyperparameter may be, by name; got a "
            f"{type(values).__name__}."
        )
    if not values:
        raise ValueError(f"{name} must name at least one hyperparameter; got none.")
    for key in values:
        if not isinstance(key, str):
            raise TypeError(f"{name} must be a dict with names as keys; got the key {key!r}.")


def _as_list(name: str, values: Any, others: str = "") -> list[Any]:
    if not isinstance(values, list | tuple | range | np.ndarray | jax.Array):
        raise TypeError(f"{name} must be {others}a list of values; got {values!r}.")
    values = values.tolist() if isinstance(values, np.ndarray | jax.Array) else list(values)
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name} must be {others}a list of at least one value; got {values!r}.")
    return values
