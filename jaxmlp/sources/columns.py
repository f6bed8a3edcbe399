"""Turns columns of frames and tables, of any package, into arrays; no such package is imported.

A column is a series of pandas or polars, or an array of pyarrow; tables in files come as the last.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np

from .ingestion import as_array, empty_aligned, package_of
from .resolution import require_resolved
from .values import Where, first, fit_values, stored_dtype

_PACKAGES = {"pandas", "polars", "pyarrow"}


def is_frame(value: Any) -> bool:
    """Whether a value is a frame, table, series or column of pandas, polars or pyarrow."""
    return bool(package_of(value) & _PACKAGES)


def column_names(frame: Any) -> tuple[Hashable, ...] | None:
    """Returns the names of a frame's columns, or `None` for what has none, such as a series."""
    if not is_frame(frame) or not hasattr(frame, "columns"):
        return None
    return tuple(getattr(frame, "column_names", frame.columns))


def frame_columns(frame: Any) -> list[Any]:
    """Returns the columns of a frame or table, in their order."""
    if hasattr(frame, "iloc"):  # pandas
        return [frame.iloc[:, number] for number in range(frame.shape[1])]
    return frame.get_columns() if hasattr(frame, "get_columns") else frame.columns


def ingest_frame(
    name: str, frame: Any, *, check_finite: bool, dtype: np.dtype[Any] | None = None
) -> np.ndarray:
    """Copies a frame's columns into one matrix of one type, or a series into a vector.

    Args:
        name: What errors call it.
        frame: Frame, table, series or column of pandas, polars or pyarrow. The one column of a
            frame may hold lists of one length, and makes rows of that shape.
        check_finite: Whether to refuse NaN and infinity.
        dtype: Type of the array; `None` takes the smallest that JAX has for all columns.

    Raises:
        TypeError: A column holds something else than numbers, or the frame is lazy.
        ValueError: Two columns have one name, a column has nulls, numbers are not finite, or
            lose digits in the type.
    """
    if hasattr(frame, "collect"):
        raise TypeError(f"{name} must be a frame with rows; got a lazy one. Give {name}.collect().")
    labels = column_names(frame)
    if labels is None:
        arrays = {name: read_column(frame, _of(name))}
    else:
        _require_different(name, labels)
        arrays = {
            (title := f"{name}[{label!r}]"): read_column(column, _of(title))
            for label, column in zip(labels, frame_columns(frame), strict=True)
        }
    dtype = dtype or stored_dtype(name, [array.dtype for array in arrays.values()])
    for title, array in arrays.items():
        require_resolved(title, array, dtype)
    if len(arrays) == 1 and (labels is None or next(iter(arrays.values())).ndim > 1):
        ((title, values),) = arrays.items()
        return np.array(fit_values(values, dtype, _of(title), check_finite=check_finite))
    return stack_columns(name, arrays, check_finite=check_finite, dtype=dtype)


def stack_columns(
    matrix: str,
    arrays: dict[str, np.ndarray],
    *,
    check_finite: bool = False,
    dtype: np.dtype[Any] | None = None,
) -> np.ndarray:
    """Joins columns, by the names that errors use, into one matrix of their common type.

    Raises:
        ValueError: A column has more than one axis, or numbers would lose digits in the type.
    """
    for name, array in arrays.items():
        if array.ndim != 1:
            raise ValueError(
                f"{name} must have one number per row to be a column of a matrix; got shape "
                f"{array.shape}. Give it as an input of its own, as in x={{'name': ...}}."
            )
    dtype = dtype or stored_dtype(matrix, [array.dtype for array in arrays.values()])
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"columns of {matrix} must have the same number of rows; got {counts}.")
    out = empty_aligned((next(iter(counts.values())), len(arrays)), dtype)
    for number, (name, array) in enumerate(arrays.items()):
        out[:, number] = fit_values(array, dtype, _of(name), check_finite=check_finite, exact=True)
    return out


def read_numbers(name: str, values: Any) -> np.ndarray:
    """Reads an array, or a series or column of a frame's package, in the type that it has.

    Raises:
        TypeError: NumPy cannot read it, or a column holds no numbers.
        ValueError: Some of its values are masked or null.
    """
    if is_frame(values) and column_names(values) is None:
        return read_column(values, _of(name))
    return as_array(name, values)


def read_column(column: Any, where: Where) -> np.ndarray:
    """Returns the numbers of a column in the type that it has, perhaps in the column's own memory.

    Args:
        column: Series of pandas or polars, or array of pyarrow, also of lists of one length and of
            dictionaries of numbers.
        where: Says where a row lies.

    Raises:
        TypeError: It holds no numbers.
        ValueError: A row has no value, or lists differ in length.
    """
    dtype: Any = getattr(column, "dtype", getattr(column, "type", None))
    if hasattr(dtype, "pyarrow_dtype"):  # pandas, with memory of pyarrow
        column = getattr(column, "array", column).__arrow_array__()
    elif hasattr(column, "to_arrow") and dtype.is_nested():  # polars
        column = column.to_arrow()
    if hasattr(column, "null_count") and hasattr(column, "type"):
        return read_arrow(column, row_shape(column, where), where)
    if dtype is None or not hasattr(column, "to_numpy"):
        raise TypeError(
            f"{where(())} must be a frame, a table or a column; got a {type(column).__name__}."
        )
    settings = {}
    if hasattr(column, "isna"):  # pandas, where NaN among NumPy's floats is a number
        is_number = getattr(dtype, "kind", "O") in "biuf"
        nulls = np.zeros(1, bool) if isinstance(dtype, np.dtype) else np.asarray(column.isna())
        # Nullable types read as objects otherwise.
        numbers = getattr(dtype, "numpy_dtype", None)
        settings = {} if numbers is None else {"dtype": numbers}
    else:
        is_number = not dtype.is_decimal()
        nulls = np.asarray(column.is_null())
    if is_number:
        _refuse_nulls(nulls, where)
    array = column.to_numpy(**settings) if is_number else np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise _no_numbers(where, dtype)
    return array


def read_arrow(array: Any, shape: tuple[int, ...], where: Where) -> np.ndarray:
    """Returns the numbers of an array of pyarrow, of which the rows have this shape."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    array = _one_array(array)
    if types.is_dictionary(array.type):
        # One of its values may be null.
        array = array.dictionary_decode()
    if array.null_count:
        _refuse_nulls(array.is_null().to_numpy(zero_copy_only=False), where)
    if not shape:
        return array.to_numpy(zero_copy_only=False)
    lengths = pc.call_function("list_value_length", [array]).to_numpy(zero_copy_only=False)
    if (lengths != shape[0]).any():
        index = first(lengths != shape[0])
        raise ValueError(
            f"{where(index)} must hold a list of {shape[0]}, as the first row of the data; got "
            f"one of {lengths[index]}."
        )
    inner = read_arrow(array.flatten(), shape[1:], lambda i: where(i and (i[0] // shape[0],)))
    return inner.reshape(len(array), *shape)


def row_shape(column: Any, where: Where) -> tuple[int, ...]:
    """Returns the shape of a row of an array of pyarrow: (), or that of its first list.

    Raises:
        TypeError: It holds no numbers.
        ValueError: Its lists have no fixed length, and there is no first one.
    """
    import pyarrow.types as types

    array = _one_array(column)
    shape = []
    while types.is_list(array.type) or types.is_large_list(array.type) or _is_fixed(array):
        if _is_fixed(array):
            shape.append(array.type.list_size)
        elif not len(array) or not array[0].is_valid:
            raise ValueError(
                f"{where(())} must hold lists of one length, which its first row tells; that is "
                "missing."
            )
        else:
            shape.append(len(array[0]))
        array = array.flatten()
    kind = array.type.value_type if types.is_dictionary(array.type) else array.type
    if not (types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)):
        raise _no_numbers(where, kind)
    return tuple(shape)


def reorder_columns(name: str, given: Any, names: tuple[Hashable, ...] | None) -> Any:
    """Puts the columns of a frame into the order of other data by name.

    Args:
        name: What errors call it.
        given: A frame; anything else is returned as it is.
        names: Names of the other data's columns, or `None` where they have none.

    Raises:
        ValueError: A column is missing, or one is there that the other data have not.
    """
    own = column_names(given)
    if own is None or names is None or own == names:
        return given
    _require_different(name, own)
    missing, extra = ([c for c in a if c not in b] for a, b in ((names, own), (own, names)))
    if missing or extra:
        raise ValueError(
            f"{name} must have the columns of the training data, {list(names)}, in any order; it "
            f"lacks {missing} and has {extra} beside them."
        )
    return given[list(names)] if hasattr(given, "iloc") else given.select(list(names))


def _of(name: str) -> Where:
    return lambda index: f"{name}, row {index[0]}," if index else name


def _is_fixed(array: Any) -> bool:
    return hasattr(array.type, "list_size")


def _one_array(column: Any) -> Any:
    if not hasattr(column, "chunks"):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _refuse_nulls(nulls: np.ndarray, where: Where) -> None:
    if nulls.any():
        raise ValueError(
            f"{where(first(nulls))} must have a value; got null, as in {np.count_nonzero(nulls)} "
            f"of the {len(nulls)} rows read. Impute or drop such rows."
        )


def _no_numbers(where: Where, kind: Any) -> TypeError:
    return TypeError(
        f"{where(())} must hold numbers; it holds {kind}. Encode categories as integers, as in "
        "np.unique(values, return_inverse=True), cast dates and decimals to numbers, or leave the "
        "column out."
    )


def _require_different(name: str, labels: tuple[Hashable, ...]) -> None:
    if not labels:
        raise ValueError(f"{name} must have at least one column; got none.")
    twice = sorted({str(label) for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"{name} must have columns of different names; got {twice} twice.")
