"""Turns what a user gives for each member into checked arrays, and refuses what has no effect."""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ..checks import require_int
from ..data import DataLoader
from ..network import Batch
from .factories import Factory


def dense_rows(data: Any) -> Batch:
    """Returns all rows of a loader that lie in memory.

    Raises:
        TypeError: `data` is no `DataLoader`.
        ValueError: Its rows are not dense arrays in memory, or are sharded.
    """
    if not isinstance(data, DataLoader):
        raise TypeError(
            f"data must be a DataLoader, whose rows all members share; got a "
            f"{type(data).__name__}. Wrap arrays as DataLoader(x, y, batch_size=...)."
        )
    if data.rows is None or data.sharding is not None:
        raise ValueError(
            "data must have dense rows in memory, which lie on the device once for all members, "
            f"and no sharding; these come from a {type(data.source).__name__}."
        )
    return data.rows


def count_keys(keys: Any) -> int:
    """Returns the number of members.

    Raises:
        TypeError: `keys` are no array of typed keys, shape (members,).
        ValueError: There are none.
    """
    dtype = getattr(keys, "dtype", None)
    is_typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not is_typed or keys.ndim != 1:
        got = f"keys of shape {keys.shape}" if is_typed else repr(keys)
        raise TypeError(
            f"keys must hold one typed JAX random key per member, shape (members,); got {got}. "
            "Make them with jax.random.split(jax.random.key(0), members)."
        )
    if not len(keys):
        raise ValueError("keys must hold at least one key, one per member; got none.")
    return len(keys)


def as_stacked(params: PyTree, members: int) -> PyTree:
    """Returns parameters with a leading member axis as arrays of JAX's types.

    Raises:
        ValueError: An array has not one entry per member.
    """
    for path, leaf in jax.tree.leaves_with_path(params):
        if np.shape(leaf)[:1] != (members,):
            raise ValueError(
                f"params must have a leading axis of {members} members, as many as keys; got shape "
                f"{np.shape(leaf)} at {jax.tree_util.keystr(path)}. Stack them, or give a function "
                "init(key) that draws one member's."
            )
    # JAX's types, but on the host: pieces are cut from them.
    return jax.tree.map(lambda leaf: np.asarray(jnp.asarray(leaf)), params)


def as_row_numbers(numbers: Any, members: int, rows: Any) -> np.ndarray | None:
    """Returns the rows that members are validated on, shape (members, chosen).

    Raises:
        TypeError: They are no array of ints, or there are no rows of a `Batch`.
        ValueError: Their shape is another, or one is out of range.
    """
    if numbers is None:
        return None
    _require_batch("validation_rows", rows)
    values = np.asarray(numbers)
    if values.dtype.kind not in "iu":
        raise TypeError(
            f"validation_rows must be numbers of rows; got an array of {values.dtype}. Weights of "
            "all rows are validation_weights."
        )
    if values.ndim != 2 or len(values) != members or not values.size:
        raise ValueError(
            "validation_rows must have numbers of rows for each member, shape "
            f"({members}, chosen); got {values.shape}."
        )
    count = _count_rows(rows)
    if bad := sorted(set(values[(values < 0) | (values >= count)].tolist())):
        raise ValueError(
            f"validation_rows must be in [0, {count}), as validation has {count} rows; got "
            f"{bad[0]}."
        )
    return values.astype(np.int32)


def as_weights(
    name: str, weights: Any, members: int, rows: Any, *, chosen: np.ndarray | None = None
) -> np.ndarray | None:
    """Returns factors on the weights of rows, or of those that are chosen, shape (members, rows).

    Raises:
        TypeError: They are no array of numbers, or the rows are no `Batch`.
        ValueError: Their shape is another, one is negative or not finite, or a member has no row.
    """
    if weights is None:
        return None
    _require_batch(name, rows)
    values = np.asarray(weights)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers; got an array of {values.dtype}.")
    shape = (members, _count_rows(rows)) if chosen is None else chosen.shape
    if values.shape != shape:
        raise ValueError(
            f"{name} must have a weight for each member and row, shape {shape}; got {values.shape}."
        )
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    bad = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        member, place = bad[0]
        row = place if chosen is None else chosen[member, place]
        raise ValueError(
            f"{name} must be finite and at least 0, in float32; got {values[member, place]} for "
            f"member {member}, row {row}."
        )
    if not values.any(axis=1).all():
        empty = np.flatnonzero(~values.any(axis=1))
        raise ValueError(f"{name} must leave every member a row; members {empty} have none.")
    return values


def _require_batch(name: str, rows: Any) -> None:
    if rows is None:
        raise ValueError(f"{name} needs validation rows; give validation.")
    if not isinstance(rows, Batch):
        raise TypeError(f"{name} needs a jaxmlp.Batch; got a {type(rows).__name__}. Give (x, y).")


def _count_rows(rows: Batch) -> int:
    return jax.tree.leaves(rows.x)[0].shape[0]


def pad_weights(weights: np.ndarray | None, rows: Batch) -> np.ndarray | None:
    """Gives rows that fill others up a weight for each member, which is never looked at."""
    if weights is None or rows.weight is None:
        return weights
    return np.pad(weights, ((0, 0), (0, len(rows.weight) - weights.shape[1])))


def as_seeds(seeds: Any, members: int, data: DataLoader) -> np.ndarray | None:
    """Returns one seed per member, or `None`.

    Raises:
        TypeError: A seed is no int.
        ValueError: There is not one seed per member, one is out of range, or they have no effect.
    """
    if seeds is None:
        return None
    if not data.shuffle:
        raise ValueError(
            "seeds fix each member's order of rows, but data does not shuffle by a seed; use "
            "DataLoader(..., shuffle=True) without a sampler, or leave seeds out."
        )
    # A list stays one: in an array, ints beyond 63 bits would become floats.
    numbers = np.asarray(seeds) if isinstance(seeds, jax.Array) else seeds
    values = list(numbers) if np.ndim(numbers) == 1 else None
    if values is None or len(values) != members:
        raise ValueError(
            f"seeds must have one number per member, shape ({members},); got shape "
            f"{np.shape(seeds)}."
        )
    for member, seed in enumerate(values):
        require_int(f"seeds[{member}]", seed, 0, 2**64)
    return np.array(values, np.uint64)


def as_memory(memory: int | None) -> int | None:
    """Returns a number of bytes, or `None`.

    Raises:
        TypeError: It is no int.
        ValueError: It is below 1.
    """
    if memory is not None:
        require_int("memory", memory, 1, None)
    return memory


def as_stages(stages: Any, keep: Any, epochs: int) -> tuple[int, ...]:
    """Returns the epochs at which members wait for each other, the last one among them.

    Raises:
        TypeError: They are no list or tuple of ints.
        ValueError: They do not increase up to `epochs`, or have no effect.
    """
    if not isinstance(stages, list | tuple):
        raise TypeError(f"stages must be a list or tuple of epochs; got {stages!r}.")
    if (keep is None) != (not stages):
        raise ValueError(
            "stages and keep have an effect together only: keep is asked after each of the stages; "
            f"got stages={stages!r}, keep={keep!r}."
        )
    numbers = (*stages, epochs)
    for number in numbers:
        require_int("stages", number, 1, None)
    if any(a >= b for a, b in itertools.pairwise(numbers)):
        raise ValueError(f"stages must increase and be below epochs={epochs}; got {stages!r}.")
    return tuple(map(int, numbers))


def require_factory(
    hyperparameters: Mapping[str, Any] | None, factories: Sequence[Factory | None]
) -> None:
    """Refuses functions of hyperparameters without any, and hyperparameters without a function."""
    takes = any(factory is not None and factory.takes for factory in factories)
    if hyperparameters and not takes:
        raise ValueError(
            f"hyperparameters {sorted(hyperparameters)} have no effect, since neither loss nor "
            "optimizer nor params is a function of them; give make_optimizer, as in "
            "lambda h: optax.adam(h['learning_rate'])."
        )
    if takes and not hyperparameters:
        raise ValueError(
            "a function of hyperparameters needs hyperparameters, one value per member by name, as "
            "{'learning_rate': [0.1, 0.01]}; got none."
        )


def require_read(names: set[str], read: set[str]) -> None:
    """Refuses hyperparameters that no function reads."""
    if unused := sorted(names - read):
        raise ValueError(
            f"hyperparameters {unused} have no effect, since no function reads them; read are "
            f"{sorted(read)}. Use them, or leave them out."
        )


def warn_of_bad_members(bad_step: np.ndarray) -> None:
    """Warns once of all members that met NaN or infinity."""
    bad = np.flatnonzero(bad_step >= 0)
    if len(bad):
        shown = ", ".join(f"{k} (step {bad_step[k]})" for k in bad[:8])
        more = ", ..." if len(bad) > 8 else ""
        warnings.warn(
            f"{len(bad)} of {len(bad_step)} members met NaN or infinity and stopped before it: "
            f"{shown}{more}. The others go on; the members' bad_step has all such steps. Lower the "
            "learning rate, and check labels, or train one with fit, which names the rows.",
            RuntimeWarning,
            stacklevel=4,
        )
