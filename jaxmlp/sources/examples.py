"""Turns examples of any dataset, one by one or many at once, into batches of arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from ..network import Batch
from .columns import stack_columns
from .ingestion import as_array, named_leaves

Names: TypeAlias = str | Sequence[str] | Mapping[str, str] | None


class Parts(NamedTuple):
    """Names of an example's parts that become inputs, targets and weights."""

    x: Names = None
    y: Names = None
    weight: str | None = None

    def columns(self) -> list[str]:
        """Returns the names of all parts that are read."""
        found: list[str] = []
        for names in self:
            if isinstance(names, Mapping):
                found += names.values()
            elif names is not None:
                found += [names] if isinstance(names, str) else names
        return found


def name_parts(x: Names, y: Names, weight: str | None) -> Parts:
    """Returns the names of an example's parts.

    Raises:
        TypeError: They are no names.
    """
    for part, names in (("x", x), ("y", y)):
        values = list(names.values()) if isinstance(names, Mapping) else names
        if names is None or isinstance(names, str):
            continue
        if (
            not values
            or not isinstance(values, list | tuple)
            or not all(isinstance(v, str) for v in values)
        ):
            raise TypeError(
                f"{part} must be a name, a list of names of columns, or a dict of them; got "
                f"{names!r}."
            )
    if not isinstance(weight, str | None):
        raise TypeError(f"weight must be a name; got {weight!r}.")
    return Parts(x, y, weight)


def split_example(example: Any, parts: Parts) -> Batch:
    """Splits an example, or many at once, into inputs, targets and weight; nothing is converted.

    Raises:
        KeyError: It lacks a part.
        TypeError: It is a mapping and no parts are named, or the other way round.
        ValueError: It is a tuple of another length than 2 or 3.
    """
    if isinstance(example, Mapping):
        if parts.x is None:
            raise TypeError(
                f"An example is a dict of {list(example)}; name its parts, as in "
                f"x={next(iter(example), 'name')!r}."
            )
        missing = [name for name in parts.columns() if name not in example]
        if missing:
            raise KeyError(f"An example must have {missing}; got a dict of {list(example)}.")
        return Batch(*(_pick(example, names) for names in parts))
    if parts.columns():
        raise TypeError(
            f"Parts are named, {parts.columns()}, but an example is a {type(example).__name__} and "
            "no dict; leave the names out."
        )
    if isinstance(example, Batch):
        return example
    if isinstance(example, tuple | list):
        if len(example) not in (2, 3):
            raise ValueError(
                f"An example must be (x, y) or (x, y, weight); got {len(example)} entries."
            )
        return Batch(*example)
    return Batch(example)


def stack_examples(examples: list[Batch], rows: Sequence[int] | np.ndarray) -> Batch:
    """Stacks the examples of these rows.

    Raises:
        ValueError: An array has another shape or kind of number than that of the first row.
    """
    first, structure = named_leaves("", examples[0])
    columns: list[list[np.ndarray]] = [[] for _ in first]
    for row, example in zip(rows, examples, strict=True):
        leaves, own = named_leaves("", example)
        if own != structure:
            raise ValueError(
                f"Row {row} has the structure {own}, but row {rows[0]} {structure}; every row must "
                "have the same."
            )
        for column, (name, leaf) in zip(columns, leaves, strict=True):
            array = as_array(name.lstrip("."), leaf)
            like = column[0] if column else array
            if array.shape != like.shape or not np.can_cast(array.dtype, like.dtype):
                raise ValueError(
                    f"Row {row} has {name.lstrip('.')} of {array.dtype}{list(array.shape)}, but "
                    f"row {rows[0]} of {like.dtype}{list(like.shape)}; pad, cut or convert rows to "
                    "one shape and type."
                )
            column.append(array)
    stacked = [np.stack(column).astype(column[0].dtype, copy=False) for column in columns]
    return jax.tree.unflatten(structure, stacked)


def copy_arrays(batch: Batch) -> Batch:
    """Copies a batch's tensors, lists and arrays into arrays."""
    leaves, structure = named_leaves("", batch)
    return jax.tree.unflatten(
        structure, [np.array(as_array(name.lstrip("."), leaf)) for name, leaf in leaves]
    )


def join_columns(batch: Batch, parts: Parts) -> Batch:
    """Joins inputs or targets that a list of names picked into a matrix of these columns."""

    def join(name: str, names: Names, part: Any) -> Any:
        if names is None or isinstance(names, str | Mapping):
            return part
        return stack_columns(name, {f"{name}[{label!r}]": part[label] for label in names})

    return batch._replace(x=join("x", parts.x, batch.x), y=join("y", parts.y, batch.y))


def _pick(example: Mapping[str, Any], names: Names) -> Any:
    if names is None or isinstance(names, str):
        return None if names is None else example[names]
    if isinstance(names, Mapping):
        return {key: example[name] for key, name in names.items()}
    return {name: example[name] for name in names}
