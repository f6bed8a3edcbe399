"""Turns rows, in memory or batch by batch, into the mean and scale that a network applies to them.

Sums are taken in double precision on the host, in one pass and bounded memory.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Real

from ..checks import as_real_array, is_real_array
from ..data import DataLoader
from ..network import Batch, Params, Standardization
from ..sources import Source
from ..sources.choice import is_dataset
from ..sources.columns import ingest_frame, is_frame, read_numbers
from ..sources.ingestion import as_array, is_sparse

# Numbers that are widened to float64 at once: 8 MiB.
_BLOCK_SIZE = 2**20
# Rows of a source that are read at once.
_SOURCE_ROWS = 2**10


class _Block(NamedTuple):
    """Some rows of positive weight, shape (rows, features), and those weights."""

    x: Float[np.ndarray, "rows features"]
    weight: Float[np.ndarray, " rows"]


class _Moments(NamedTuple):
    """Sum of weights, and by feature the mean and the weighted sum of squares around it."""

    weight: float
    mean: Float[np.ndarray, " features"]
    squares: Float[np.ndarray, " features"]


def with_standardization(
    params: Params,
    data: DataLoader | Iterable[Any] | Any,
    weight: Real[np.ndarray | jax.Array, " rows"] | Any | None = None,
    *,
    features: Any | None = None,
) -> Params:
    """Returns the parameters with the mean and standard deviation of every feature of the data.

    From then on `apply` standardises its inputs, `(x - mean) / scale`: in training, in validation
    and in predictions alike, since the statistics travel with the parameters. Compute them from
    training rows only. They are those of scikit-learn's `StandardScaler`: the deviation divides by
    the sum of weights, and a constant feature has scale 1.

    The optimizer does not see them. Masks and labels for it that are trees, not functions, are
    therefore made from the parameters as they were before.

    Args:
        params: Parameters of a network, or those of an ensemble with a leading member axis, whose
            members share the statistics. Statistics that they hold already are replaced.
        data: The rows, shape (rows, ..., in_features): an array, also one that is memory-mapped; a
            frame or table of pandas, polars or pyarrow, read in double precision; SciPy's sparse
            rows; a `DataLoader`, of which epoch 0 is read; a source or dataset that one is made of;
            or an iterable of arrays or `Batch`es, read once. Rows of weight 0, such as padding, do
            not count.
        weight: Weight of each row of an array or frame, finite and at least 0, shape (rows,): an
            array or a column of a frame.
        features: Which features to standardise: their places, or a mask of shape (in_features,);
            `None` takes all. The others stay as they are, as columns of 0 and 1 should: scaled by
            its deviation, a rare category would weigh more than all numbers.

    Returns:
        The parameters with a `Standardization` of float32, or float64 for float64 parameters.

    Raises:
        TypeError: `params` are no `Params`, `data` gives no real arrays, or `features` are no ints
            or bools.
        ValueError: There are no rows; there is no such feature; a number is missing, masked or not
            finite; a shape or weight is wrong; or a feature varies too little around its mean for
            the type of the statistics.

    References:
        Chan, Golub & LeVeque 1983: the corrected two-pass algorithm for a block of rows, the
        pairwise update to merge blocks, and a shift, here the first row, against cancellation.

    Example:
        >>> import jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> params = with_standardization(params, np.array([[1.0, 10.0], [3.0, 10.0]]))
        >>> params.standardization.mean.tolist(), params.standardization.scale.tolist()
        ([2.0, 10.0], [1.0, 1.0])
    """
    if not isinstance(params, Params):
        raise TypeError(
            f"params must be jaxmlp.Params; got a {type(params).__name__}. A model of your own "
            "takes its statistics from a jaxmlp.Standardization(mean, scale) in its params."
        )
    kernel = (*params.hidden, params.output)[0].kernel
    dtype = np.promote_types(kernel.dtype, np.float32)
    *members, in_features, _ = kernel.shape
    chosen = _as_mask(features, in_features)
    origin, total = None, None
    rounding = np.zeros(in_features)
    for block in _blocks(data, weight, in_features):
        # The first row, from which the differences of a constant feature are exactly 0.
        origin = block.x[0] if origin is None else origin
        moments = _block_moments(block, origin)
        total = moments if total is None else _merge(total, moments)
        with np.errstate(over="ignore"):
            error = np.abs(block.x.astype(dtype) - block.x)
        rounding = np.maximum(rounding, error.max(axis=0))
    if origin is None or total is None:
        raise ValueError("data must have at least one row of positive weight; got none.")
    mean = origin + total.mean
    deviation = np.sqrt(total.squares / total.weight)
    # What is left of a constant feature is the rounding of its numbers.
    is_constant = deviation <= 4 * np.finfo(np.float64).eps * np.abs(mean)
    _check_resolution(mean, deviation, rounding, is_constant | ~chosen, dtype)
    mean, scale = np.where(chosen, mean, 0), np.where(is_constant | ~chosen, 1, deviation)
    shape = (*members, in_features)
    statistics = [jnp.asarray(np.broadcast_to(a, shape), dtype) for a in (mean, scale)]
    return params._replace(standardization=Standardization(*statistics))


def _as_mask(features: Any, in_features: int) -> np.ndarray:
    if features is None:
        return np.ones(in_features, bool)
    places = np.asarray(features)
    if places.dtype == bool and places.shape == (in_features,):
        return places
    mask = np.zeros(in_features, bool)
    if not places.size:
        return mask
    if places.dtype.kind not in "iu":
        raise TypeError(
            f"features must be places, or a mask of {in_features} bools; got {features!r}."
        )
    if places.min() < -in_features or places.max() >= in_features:
        raise ValueError(
            f"features must be places in [0, {in_features}), the in_features of params; got "
            f"{features!r}."
        )
    mask[places] = True
    return mask


def _block_moments(block: _Block, origin: Float[np.ndarray, " features"]) -> _Moments:
    weight = float(block.weight.sum())
    shifted = block.x - origin
    mean = block.weight @ shifted / weight
    centred = shifted - mean
    # Corrected two-pass algorithm: the second term is 0 but for the rounding of the mean.
    squares = block.weight @ centred**2 - (block.weight @ centred) ** 2 / weight
    return _Moments(weight, mean, np.maximum(squares, 0))


def _merge(a: _Moments, b: _Moments) -> _Moments:
    weight = a.weight + b.weight
    delta = b.mean - a.mean
    mean = a.mean + delta * (b.weight / weight)
    squares = a.squares + b.squares + delta**2 * (a.weight * (b.weight / weight))
    return _Moments(weight, mean, squares)


def _check_resolution(
    mean: np.ndarray,
    deviation: np.ndarray,
    rounding: np.ndarray,
    is_constant: np.ndarray,
    dtype: np.dtype,
) -> None:
    """Raises unless the type resolves how the features vary, and their statistics themselves."""
    limits = np.finfo(dtype)
    fits = (np.abs(mean) < limits.max) & (deviation < limits.max)
    fits &= is_constant | ((deviation > limits.tiny) & (rounding <= deviation / 10))
    if not fits.all():
        feature = int(fits.argmin())
        raise ValueError(
            f"the features of data must vary on a scale that {dtype} resolves; feature {feature} "
            f"has mean {mean[feature]:.6g} and standard deviation {deviation[feature]:.6g}, and "
            f"rounding to {dtype} changes it by up to {rounding[feature]:.2g}. Subtract an offset "
            "in float64 or change its unit before training, or use param_dtype='float64'."
        )


def _blocks(data: Any, weight: Any, in_features: int) -> Iterator[_Block]:
    if _is_array(data):
        yield from _array_blocks("data", data, weight, in_features)
        return
    if weight is not None:
        raise ValueError(
            "weight is that of the rows of an array or a frame; a DataLoader, a source and Batches "
            "bring their own."
        )
    if isinstance(data, Source) or is_dataset(data):
        data = DataLoader(data, batch_size=min(len(data), _SOURCE_ROWS))
    if isinstance(data, Batch | Mapping | str | Path) or not isinstance(data, Iterable):
        raise TypeError(
            "data must be an array, a frame, a DataLoader or what one is made of, or an iterable "
            f"of arrays or Batches; got a {type(data).__name__}."
        )
    # Iterating over a loader would count an epoch.
    batches = data.epoch(0) if isinstance(data, DataLoader) else data
    for number, batch in enumerate(batches):
        name = f"batch {number} of data"
        x, row_weight = (batch.x, batch.weight) if isinstance(batch, Batch) else (batch, None)
        if not _is_array(x):
            raise TypeError(
                f"{name} must be an array or a Batch of arrays; got a {type(x).__name__}."
            )
        yield from _array_blocks(name, x, row_weight, in_features)


def _is_array(data: Any) -> bool:
    return is_frame(data) or hasattr(data, "__array__") or is_sparse(data)


def _array_blocks(name: str, data: Any, weight: Any, in_features: int) -> Iterator[_Block]:
    if is_frame(data):
        # In float64: an offset takes no digits from the statistics.
        data = ingest_frame(name, data, check_finite=False, dtype=np.dtype(np.float64))
    # A memory-mapped array is read block by block, and sparse rows are made dense so.
    array: Any = data.tocsr() if is_sparse(data) else as_array(name, data)
    if not is_real_array(array):
        raise TypeError(
            f"{name} must hold real numbers; got an array of {array.dtype}. Encode categories as "
            "numbers, as scikit-learn's OneHotEncoder does."
        )
    if array.ndim < 2 or array.shape[-1] != in_features:
        raise ValueError(
            f"{name} must have shape (rows, ..., {in_features}), the in_features of params last; "
            f"got {array.shape}."
        )
    weights = _check_weight(name, weight, array.shape[0])
    size = max(1, _BLOCK_SIZE // max(1, math.prod(array.shape[1:])))
    for start in range(0, array.shape[0], size):
        rows = np.flatnonzero(weights[start : start + size]) + start
        if not len(rows):
            continue
        block = array[rows].toarray() if is_sparse(array) else array[rows]
        x = np.asarray(block, np.float64)
        if not np.isfinite(x).all():
            row, *between, feature = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
            raise ValueError(
                f"{name} must be finite; got {x[(row, *between, feature)]} in feature {feature} of "
                f"row {rows[row]}. Impute or drop such rows, or give them weight 0."
            )
        repeats = x[0].size // in_features
        yield _Block(x.reshape(-1, in_features), np.repeat(weights[rows], repeats))


def _check_weight(name: str, weight: Any, rows: int) -> Float[np.ndarray, " rows"]:
    if weight is None:
        return np.ones(rows)
    name_of_weight = f"the weight of {name}"
    numbers = as_real_array(name_of_weight, read_numbers(name_of_weight, weight))
    array = np.asarray(numbers, np.float64)
    if array.shape != (rows,):
        raise ValueError(
            f"the weight of {name} must have shape ({rows},), one per row; got {array.shape}."
        )
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"the weight of {name} must be finite and at least 0; got values in "
            f"[{array.min()}, {array.max()}]."
        )
    return array
