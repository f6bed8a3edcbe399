"""Turns names of columns in files of tables into the arrays that they make."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .columns import read_arrow, row_shape
from .values import Where, convert, fit_values, require_weights, stored_dtype

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
    columns = tuple(_find_column(column, first_rows, title) for column in listed(wanted))
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
        where = place_of(column.name, title, row)
        values = read_arrow(table.column(column.name), column.row_shape, where)
        if columns.name == "weight":
            require_weights(values, where)
            values = convert(values, columns.dtype, where)
        else:
            values = fit_values(values, columns.dtype, where, check_finite=finite, exact=True)
        if columns.alone:
            return values
        out[:, number] = values
    return out


def place_of(name: str, title: str, row: int = 0) -> Where:
    """Says in errors where a column's values lie, of which the first is in this row of the file."""
    of = f"column {name!r} of {title}"
    return lambda index: f"{of}, row {row + index[0]}," if index else of


def _find_column(name: str, first_rows: "pa.Table", title: str) -> Column:
    column = first_rows.column(name)
    shape, kind = row_shape(column, place_of(name, title)), column.type
    for _ in shape:
        kind = kind.value_type
    kind = getattr(kind, "value_type", kind)  # of a dictionary
    return Column(name, np.dtype(kind.to_pandas_dtype()), shape)
