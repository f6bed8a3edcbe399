"""Reads the columns of frames and tables of any package, and of arrays, one by one into cells.

No such package is imported: their objects are asked.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array

from ...sources.columns import column_names, frame_columns, is_frame
from .cells import Cells, read_array, read_objects, title


class Table(NamedTuple):
    """A table of which columns are read when asked for."""

    names: tuple[str | int, ...]
    """Names of columns, or positions of those without."""
    rows: int
    is_array: bool
    """Whether it comes from an array or lists, where numbers may stand as strings and objects."""
    read: Callable[[int], Cells]
    """Reads the column at a position."""


def open_table(table: Any) -> Table:
    """Checks the shape of a table, and tells how to read its columns.

    Args:
        table: Frame of pandas or polars, table of pyarrow, or anything that NumPy reads as an
            array of two axes, of which masked cells are missing.

    Raises:
        TypeError: The frame is lazy.
        ValueError: It has not two axes, no rows, no columns, or two columns of one name.
    """
    if is_frame(table) and hasattr(table, "collect"):
        raise TypeError("X must be a frame with rows; got a lazy one. Give X.collect().")
    labels = column_names(table)
    if labels is None:
        return _open_array(table)
    twice = sorted({str(label) for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"X must have columns of different names; got {twice} twice.")
    # The words for a table without rows or columns are scikit-learn's.
    check_array(np.broadcast_to(0.0, (len(table), len(labels))))
    names = tuple(
        str(label) if isinstance(label, str) else position for position, label in enumerate(labels)
    )
    columns = frame_columns(table)
    return Table(names, len(table), False, lambda number: _read(names[number], columns[number]))


def _open_array(table: Any) -> Table:
    masked = np.ma.getmaskarray(table) if isinstance(table, np.ma.MaskedArray) else None
    if not hasattr(table, "dtype"):
        # Of numbers beside strings, NumPy would make strings.
        array = np.asarray(table)
        table = np.asarray(table, object) if array.dtype.kind in "US" else array
    settings: Any = {"dtype": None, "ensure_all_finite": False}
    array = check_array(table, **settings)

    def read(number: int) -> Cells:
        missing = None if masked is None else masked[:, number]
        return read_array(number, array[:, number], missing)

    return Table(tuple(range(array.shape[1])), len(array), True, read)


def _read(name: str | int, column: Any) -> Cells:
    if hasattr(column, "iloc"):
        return _read_pandas(name, column)
    return _read_polars(name, column) if hasattr(column, "to_list") else _read_arrow(name, column)


def _read_pandas(name: str | int, series: Any) -> Cells:
    dtype = series.dtype
    class_name = type(dtype).__name__
    if class_name == "CategoricalDtype":
        categories = series.cat.categories
        if str(categories.dtype).startswith("interval"):  # of pandas.cut
            categories = categories.astype(str)
        cells = _read_pandas(name, categories.to_series())
        return cells.take(series.cat.codes.to_numpy())._replace(is_category=True)
    if class_name == "SparseDtype":
        return _read_pandas(name, series.sparse.to_dense())
    if isinstance(dtype, np.dtype):
        return read_array(name, series.to_numpy())
    if hasattr(dtype, "pyarrow_dtype"):
        return _read_arrow(name, series.array.__arrow_array__())
    missing = series.isna().to_numpy()
    if class_name == "StringDtype":
        return Cells(name, "str", series.to_numpy(object), missing)
    if hasattr(dtype, "tz"):
        return read_array(name, series.dt.tz_convert(None).to_numpy())
    if hasattr(dtype, "numpy_dtype"):
        return read_array(name, series.to_numpy(dtype.numpy_dtype, na_value=0), missing)
    raise _unreadable(name, dtype)


def _read_polars(name: str | int, series: Any) -> Cells:
    dtype = series.dtype
    kind = str(dtype.base_type())
    missing = series.is_null().to_numpy()
    if kind in {"String", "Categorical", "Enum"}:
        cells = Cells(name, "str", series.cast(str).to_numpy(), missing)
        return cells._replace(is_category=kind != "String")
    if dtype.is_decimal() or kind in {"Int128", "UInt128", "Null"}:
        return _read_list(name, series.to_list())
    if kind == "Object":
        return read_objects(name, series.to_numpy())
    if dtype.is_integer() or kind == "Boolean":
        return read_array(name, series.fill_null(False).to_numpy(), missing)
    if dtype.is_float() or kind in {"Date", "Datetime", "Duration"}:
        return read_array(name, series.to_numpy())
    raise _unreadable(name, dtype)


def _read_arrow(name: str | int, column: Any) -> Cells:
    import pyarrow.types as types

    kind = column.type
    to_numpy = functools.partial(column.to_numpy, **_settings(column))
    if types.is_dictionary(kind):
        cells = _read_arrow(name, column.cast(kind.value_type))
        return cells._replace(is_category=True)
    if types.is_decimal(kind) or types.is_null(kind):
        return _read_list(name, column.to_pylist())
    missing = column.is_null().to_numpy(**_settings(column))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Cells(name, "str", to_numpy(), missing)
    if types.is_integer(kind) or types.is_boolean(kind):
        filled = column.fill_null(False if types.is_boolean(kind) else 0)
        return read_array(name, filled.to_numpy(**_settings(column)), missing)
    if types.is_floating(kind) or types.is_timestamp(kind) or types.is_duration(kind):
        return read_array(name, to_numpy())
    if types.is_date(kind):
        return read_array(name, to_numpy())
    raise _unreadable(name, kind)


def _settings(column: Any) -> dict[str, bool]:
    # What has chunks has no such argument before pyarrow 13.
    return {} if hasattr(column, "chunks") else {"zero_copy_only": False}


def _read_list(name: str | int, cells: list[Any]) -> Cells:
    """Reads numbers that no array holds exactly, which each package would round in its own way."""
    objects = np.empty(len(cells), object)
    objects[:] = cells
    return read_objects(name, objects)._replace(is_typed=True)


def _unreadable(name: str | int, kind: Any) -> TypeError:
    return TypeError(
        f"{title(name)} must hold numbers, strings, bools, dates, timestamps or categories; its "
        f"type is {kind}. Convert it to strings or numbers, or leave it out."
    )
