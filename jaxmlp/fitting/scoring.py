"""Turns trained parameters and rows into a loss, metrics and predictions: `evaluate`, `predict`."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ..checks import is_real_array, require_int, require_loss
from ..data import DataLoader
from ..forward import apply
from ..loading import apply_transform, with_automatic_axes
from ..losses.loss_function import NetworkLoss
from ..network import Batch, LossFn, MLPConfig, Params, check_inputs, require_config
from .evaluation import evaluate_rows
from .program_cache import ProgramCache
from .row_blocks import choose_block, compute_by_rows, cut, rows_per_call
from .step_metrics import row_weight
from .validation import as_validation

_PROGRAMS = ProgramCache(32)


def evaluate(loss_fn: LossFn, params: PyTree, data: Any) -> dict[str, float]:
    """Computes the loss and the metrics of rows, without randomness: as `fit` does of validation.

    With a loss of `make_loss`, rows are computed in blocks, and all metrics are those of all rows
    together. Of batches with any other loss, they are means over the batches by their weight.

    Args:
        loss_fn: `(params, batch, key) -> (loss, metrics)`; it is given `key=None`.
        params: Its parameters.
        data: `(x, y)`, `(x, y, weight)`, a `Batch`, a `DataLoader`, of which all rows are taken
            once, or an iterable of batches.

    Returns:
        "loss" and the metrics by name.

    Raises:
        TypeError: `loss_fn` is no function, `params` holds no arrays, or `data` is no such thing.
        ValueError: There are no rows, or they do not fit.

    Example:
        >>> import jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=1)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> params = jax.tree.map(jnp.zeros_like, params)
        >>> loss_fn = jaxmlp.make_loss(config, jaxmlp.losses.squared_error)
        >>> evaluate(loss_fn, params, (np.ones((3, 2)), np.array([1.0, 2.0, 3.0])))
        {'loss': 4.666666507720947}
    """
    require_loss(loss_fn)
    _require_params(params)
    params = with_automatic_axes(params)
    if isinstance(data, tuple | Batch) or (isinstance(data, DataLoader) and data.rows is not None):
        rows = as_validation(data, loss_fn)
        of_rows = functools.partial(evaluate_rows, loss_fn)
        program = _PROGRAMS.get((loss_fn,), "rows", lambda traced: jax.jit(traced(of_rows)))
        loss, metrics = program(params, rows)
    else:
        loss, metrics = _evaluate_batches(loss_fn, params, _batches(data))
    return {"loss": float(loss), **{name: float(value) for name, value in metrics.items()}}


def predict(
    params: Params, x: Any, *, config: MLPConfig, batch_size: int | None = None
) -> Float[Array, "rows out_features"]:
    """Computes the outputs of any number of rows, in blocks of one compiled program.

    On a CPU blocks are computed on all cores. For a few rows at a time, again and again,
    `compile_predict` takes less time. Within `jax.jit`, `jax.vmap` and `jax.grad` blocks are part
    of the program around them.

    Args:
        params: Parameters of `config`.
        x: The rows: an array, shape (rows, ..., in_features), or whatever `DataLoader` takes as
            `x`; of a `DataLoader` all rows in the order of its source, through its transform.
        config: The network.
        batch_size: Rows per block, at least 1; `None` for 256 on a CPU, whose caches they fit, and
            8192 on other devices. The last block is filled up; a row's outputs do not depend on
            the rows beside it.

    Returns:
        What `apply` gives for the rows, on the device of the parameters if they are put on one.

    Raises:
        TypeError: `x` holds no numbers, `params` are no `Params`, or `config` no `MLPConfig`.
        ValueError: There are no rows, `x` has the wrong number of features, or `params` are not
            those of `config`.

    Example:
        >>> import jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, out_features=3)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> predict(params, np.zeros((5000, 2), np.float32), config=config).shape
        (5000, 3)
    """
    require_config(config)
    if isinstance(x, jax.Array | np.ndarray) and x.ndim > 1:
        check_inputs(params, x, config)
    return put_beside(params, predict_rows(_apply, params, x, config, batch_size))


def predict_rows(
    compute: Callable[[Any, Any, MLPConfig], Array],
    params: PyTree,
    x: Any,
    config: MLPConfig,
    batch_size: int | None,
) -> Array | np.ndarray:
    """Computes `compute(params, block, config)` of any number of rows, as `predict` says."""
    if batch_size is not None:
        require_int("batch_size", batch_size, 1, None)
    params = with_automatic_axes(params)
    block = batch_size or choose_block(params)
    size = rows_per_call(block, max(_numbers_of_row(x), config.in_features, config.out_features))
    pieces, count = _pieces(x, size, config.in_features)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((params, x))):
        rows = jnp.concatenate([*pieces])
        return jax.lax.map(lambda x: compute(params, x[None], config)[0], rows, batch_size=block)
    return compute_by_rows(compute, params, pieces, config, count=count, block=block, size=size)


def put_beside(params: PyTree, outputs: Array | np.ndarray) -> Array:
    """Puts outputs on the device that parameters are bound to, or where JAX computes."""
    bound = {
        device
        for leaf in jax.tree.leaves(params)
        if isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.committed
        for device in leaf.devices()
    }
    one_device = bound.pop() if len(bound) == 1 else None
    return jax.device_put(outputs, None if isinstance(outputs, jax.Array) else one_device)


def _numbers_of_row(x: Any) -> int:
    return math.prod(x.shape[1:]) if isinstance(x, jax.Array | np.ndarray) else 1


def _pieces(x: Any, size: int, in_features: int) -> tuple[Iterator[Any], int | None]:
    """Returns what iterates over so many rows each, the last of which may be fewer, and of all.

    A transform may give any number of rows, so that of all is not known.
    """
    if isinstance(x, jax.Array | np.ndarray) and not isinstance(x, np.ma.MaskedArray):
        if x.ndim < 2 or not len(x):
            raise ValueError(
                f"x must have at least one row, shape (rows, ..., {in_features}); got shape "
                f"{x.shape}. For a single row use x[None]."
            )
        return cut(x, size), len(x)
    loader = x if isinstance(x, DataLoader) else DataLoader(x, batch_size=1, check_finite=False)
    batches = _read_in_order(loader, size, check_finite=False)
    count = None if loader.transform else len(loader.source)
    return (batch.x for batch in batches), count


def _read_in_order(loader: DataLoader, size: int, *, check_finite: bool) -> Iterator[Batch]:
    """Reads all rows of a loader's source, so many at a time, through its transform."""
    # One without sharding, whose batches have all their rows.
    whole = DataLoader(loader.source, batch_size=size, check_finite=check_finite)
    rows, transform = len(whole.source), loader.transform
    for first in range(0, rows, size):
        batch = whole.read(np.arange(first, min(first + size, rows)))
        yield batch if transform is None else apply_transform(transform, batch)


def _apply(params: Params, x: Array, config: MLPConfig) -> Array:
    return apply(params, x, config=config)


def _require_params(params: PyTree) -> None:
    for leaf in jax.tree.leaves(params):
        if not is_real_array(leaf) and not isinstance(leaf, int | float):
            raise TypeError(f"params must be a pytree of arrays; got {leaf!r} in it.")


def _batches(data: Any) -> Iterator[Any]:
    if isinstance(data, DataLoader):
        yield from _read_in_order(data, data.batch_size, check_finite=data.check_finite)
        return
    if not isinstance(data, Iterable) or isinstance(data, str | dict):
        raise TypeError(
            "data must be (x, y), (x, y, weight), a Batch, a DataLoader or an iterable of batches; "
            f"got a {type(data).__name__}."
        )
    for batch in data:
        if not hasattr(batch, "x"):
            raise TypeError(f"data must be an iterable of batches; got one of {batch!r}.")
        yield batch


def _evaluate_batches(loss_fn: LossFn, params: PyTree, batches: Iterator[Any]) -> Any:
    if not isinstance(loss_fn, NetworkLoss):
        return _mean_over_batches(loss_fn, params, batches)
    outputs: list[Any] = []
    rows: list[Batch] = []
    of_batch = loss_fn.outputs
    compute = _PROGRAMS.get((loss_fn,), "outputs", lambda traced: jax.jit(traced(of_batch)))
    for batch in batches:
        outputs.append(np.asarray(compute(params, batch.x)))
        weight = np.ones(len(outputs[-1]), np.float32) if batch.weight is None else batch.weight
        rows.append(Batch(None, batch.y, np.asarray(weight)))
    if not rows:
        raise ValueError("data must give at least one batch; got none.")
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *rows)
    return loss_fn.of_outputs(jnp.asarray(np.concatenate(outputs)), whole)


def _mean_over_batches(loss_fn: LossFn, params: PyTree, batches: Iterator[Any]) -> Any:
    totals: dict[str, list[float]] = {}
    weights = []
    for batch in batches:
        loss, metrics = loss_fn(params, batch, None)
        weights.append(float(row_weight(batch)))
        for name, value in {"loss": loss, **metrics}.items():
            totals.setdefault(name, []).append(float(value))
    if not weights:
        raise ValueError("data must give at least one batch; got none.")
    means = {name: np.average(values, weights=weights) for name, values in totals.items()}
    return means.pop("loss"), means
