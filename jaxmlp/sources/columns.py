"""Turns columns of Arrow tables into NumPy arrays, and refuses those that hold no numbers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .values import (
    Where,
    convert,
    first,
    require_exact,
    require_finite,
    require_weights,
    stored_dtype,
)

if TYPE_CHECKING:
    import pyarrow as pa

Names: TypeAlias = str | Sequence[str]


class Column(NamedTuple):
    """A column: its name, the type of its numbers, and what is in each row: () for one number."""

    name: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]


class Columns(NamedTuple):
    """Columns that make one array: a matrix of them, or the one column `alone` as it is."""

    name: str
    columns: tuple[Column, ...]
    dtype: np.dtype[Any]
    alone: bool

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row of the array."""
        return self.columns[0].row_shape if self.alone else (len(self.columns),)

    @property
    def row_bytes(self) -> int:
        """Bytes that a row of the array takes."""
        return math.prod(self.row_shape) * self.dtype.itemsize

    def names(self) -> list[str]:
        """Returns the names of the columns."""
        return [column.name for column in self.columns]


def choose_columns(
    present: list[str], title: str, *, x: Names | None, y: Names | None, weight: str | None
) -> dict[str, Names]:
    """Names the columns of x, y and weight, and checks that a file has each of them once."""
    chosen: dict[str, Names] = {} if x is None else {"x": x}
    chosen |= {name: part for name, part in (("y", y), ("weight", weight)) if part is not None}
    for name, part in chosen.items():
        is_list = isinstance(part, Sequence) and name != "weight"
        if not isinstance(part, str) and not (is_list and all(isinstance(c, str) for c in part)):
            what = "a column's name" if name == "weight" else "a column's name, or a list of them"
            raise TypeError(f"{name} must be {what}; got {part!r}.")
    named = [column for part in chosen.values() for column in listed(part)]
    for column in [*named, *present]:
        if present.count(column) > 1:
            raise ValueError(
                f"columns must have different names; {title} has {present.count(column)} named "
                f"{column!r}."
            )
        if column not in present:
            raise ValueError(f"{title} has no column {column!r}; it has {present}.")
        if named.count(column) > 1:
            raise ValueError(f"each column must be named once in x, y and weight; got {named}.")
    chosen = {"x": [column for column in present if column not in named]} | chosen
    for name, part in chosen.items():
        if not listed(part):
            raise ValueError(f"{name} must have at least one column; {title} has {present}.")
    return chosen


def listed(names: Names) -> list[str]:
    """Returns names as a list."""
    return [names] if isinstance(names, str) else list(names)


def find_columns(name: str, wanted: Names, first_rows: "pa.Table", title: str) -> Columns:
    """Makes out types and shapes from the schema, and lengths of lists from the first row."""
    columns = tuple(_find_column(name, column, first_rows, title) for column in listed(wanted))
    is_list = [column.row_shape != () for column in columns]
    if any(is_list) and len(columns) > 1:
        raise ValueError(
            f"{name} must be columns of one number each, or one column of lists; "
            f"{columns[is_list.index(True)].name!r} in {title} holds lists beside other columns."
        )
    dtype = stored_dtype(name, [column.dtype for column in columns])
    if name == "weight":
        dtype = np.dtype(np.float32)
    return Columns(name, columns, dtype, isinstance(wanted, str) or any(is_list))


def require_types(names: list[str], schema: "pa.Schema", one: "pa.Schema", titles: Any) -> None:
    """Checks that the columns of a further file have the types of the first file's."""
    for name in names:
        if schema.field(name).type != one.field(name).type:
            raise TypeError(
                f"column {name!r} must have one type in all files; it is {one.field(name).type} in "
                f"{titles[0]} and {schema.field(name).type} in {titles[1]}."
            )


def to_array(table: "pa.Table", columns: Columns, title: str, row: int, finite: bool) -> np.ndarray:
    """Makes the array of some rows, of which the first is `row` of the file.

    One column may share its memory with the table, and is then read-only.
    """
    out = np.empty((len(table), *columns.row_shape), columns.dtype)
    for number, column in enumerate(columns.columns):

        def where(index: tuple[int, ...], column: Column = column) -> str:
            return f"column {column.name!r} of {title}, row {row + index[0]},"

        values = _numbers(_one_array(table.column(column.name)), column.row_shape, where)
        if columns.dtype.kind == "f" and columns.name != "weight":
            require_exact(values, columns.dtype, where)
        if columns.name == "weight":
            require_weights(values, where)
        values = convert(values, columns.dtype, where)
        if columns.name != "weight" and finite:
            require_finite(values, where)
        if columns.alone:
            return values
        out[:, number] = values
    return out


def _find_column(of: str, name: str, first_rows: "pa.Table", title: str) -> Column:
    import pyarrow as pa

    column = first_rows.column(name)
    row_shape = []
    kind, values = column.type, column.chunk(0) if column.num_chunks else None
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind):
        if _is_fixed(kind):
            row_shape.append(kind.list_size)
        elif values is None or len(values) == 0 or not values[0].is_valid:
            raise ValueError(
                f"column {name!r} of {title} must hold lists of one length, which its first row "
                "tells; that is missing."
            )
        else:
            row_shape.append(len(values[0]))
        values = None if values is None else values.flatten()
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(
            f"column {name!r} of {title} must hold numbers to be used in {of}; it holds {kind}. "
            "Encode categories as integers and cast dates and decimals to numbers before the file "
            "is written, or leave the column out."
        )
    return Column(name, np.dtype(kind.to_pandas_dtype()), tuple(row_shape))


def _is_fixed(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_fixed_size_list(kind)


def _one_array(column: "pa.ChunkedArray") -> "pa.Array":
    if column.num_chunks == 1:
        return column.chunk(0)
    import pyarrow as pa

    return pa.concat_arrays(column.chunks)


def _numbers(array: "pa.Array", row_shape: tuple[int, ...], where: Where) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        # One of its values may be null.
        array = array.dictionary_decode()
    if array.null_count:
        index = first(array.is_null().to_numpy(zero_copy_only=False))
        raise ValueError(
            f"{where(index)} must have a value; got null. Impute or drop such rows before the file "
            "is written."
        )
    if row_shape:
        lengths = pc.call_function("list_value_length", [array]).to_numpy(zero_copy_only=False)
        if (lengths != row_shape[0]).any():
            index = first(lengths != row_shape[0])
            raise ValueError(
                f"{where(index)} must hold a list of {row_shape[0]}, as the first row of the data; "
                f"got one of {lengths[index]}."
            )
        inner = _numbers(array.flatten(), row_shape[1:], lambda i: where((i[0] // row_shape[0],)))
        return inner.reshape(len(array), *row_shape)
    return array.to_numpy(zero_copy_only=False)
