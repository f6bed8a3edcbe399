"""Turns the cells of a column into one array of a type that they share, and says which are missing.

Cells are numbers, bools, strings or times; a column may mix the first three.
"""

import datetime
import decimal
import numbers
from typing import Any, Literal, NamedTuple

import numpy as np

from ...sources.ingestion import is_floating

Group = Literal["bool", "datetime", "mixed", "number", "str"]

_WORDS = {
    "bool": "bools",
    "datetime": "times",
    "duration": "durations",
    "mixed": "values of several types",
    "number": "numbers",
    "str": "strings",
}
_GROUPS = ("missing", *_WORDS)
_MIXABLE = {"bool", "number", "str"}
_SECOND = np.timedelta64(1, "s")


class Cells(NamedTuple):
    """The cells of one column."""

    name: str | int
    """Name or position of the column, for errors."""
    group: Group
    """What the cells are that are not missing."""
    values: np.ndarray
    """Of a bool, numeric or datetime64 type, or Python's own objects; anything where missing."""
    missing: np.ndarray
    """Whether a cell is NaN, `None`, NA, NaT or null."""
    is_typed: bool = True
    """Whether the column's type tells the group, which then holds for any rows of it."""
    is_category: bool = False
    """Whether the column's type says that it has categories."""

    def describe(self) -> str:
        """Returns the words that errors have for its group."""
        return _WORDS[self.group]

    def take(self, positions: np.ndarray) -> "Cells":
        """Returns the cells at these positions, missing where a position is negative."""
        if not len(self.values):
            return self._replace(
                values=np.zeros(len(positions), self.values.dtype),
                missing=np.ones(len(positions), bool),
            )
        missing = (positions < 0) | self.missing[positions]
        return self._replace(values=self.values[positions], missing=missing)


def title(name: str | int) -> str:
    """Returns what errors call a column."""
    return f"column {name!r} of X"


def read_array(name: str | int, values: np.ndarray, missing: np.ndarray | None = None) -> Cells:
    """Reads one axis of numbers, bools, strings, times or objects.

    Args:
        name: Name or position of the column.
        values: The cells.
        missing: Cells that are missing beside NaN and NaT; `None` for none.

    Raises:
        TypeError: It holds something else.
        ValueError: It holds complex numbers.
    """
    kind = values.dtype.kind
    missing = np.zeros(len(values), bool) if missing is None else missing
    if kind == "O":
        cells = read_objects(name, values)
        return cells._replace(missing=cells.missing | missing)
    if kind == "c":
        raise ValueError(f"Complex data not supported\nThey are in {title(name)}.")
    if kind == "U":
        return Cells(name, "str", values.astype(object), missing)
    if kind == "b":
        return Cells(name, "bool", values, missing)
    if kind == "M":
        return Cells(name, "datetime", values, missing | np.isnat(values))
    if kind == "m":
        values = as_seconds(values)
    elif kind not in "iu":
        if not is_floating(values.dtype):
            raise TypeError(
                f"{title(name)} must hold numbers, strings or times; its type is {values.dtype}."
            )
        with np.errstate(over="ignore"):
            values = values.astype(np.float64)
    # An integer is never missing by its value.
    nan = np.isnan(values) if values.dtype.kind == "f" else False
    return Cells(name, "number", values, missing | nan)


def read_objects(name: str | int, values: np.ndarray) -> Cells:
    """Reads an array of Python's or NumPy's objects by their classes.

    Raises:
        TypeError: A cell is neither a number, a string, a time nor missing, or times stand beside
            others.
        ValueError: A cell is a complex number.
    """
    kinds = list(map(type, values.tolist()))
    codes_of = {kind: _GROUPS.index(_group_of(name, kind, kinds)) for kind in set(kinds)}
    codes = np.fromiter(map(codes_of.__getitem__, kinds), np.int8, len(kinds))
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    missing = np.ones(len(values), bool)
    for code in sorted({*codes_of.values()} - {0}):
        rows = np.flatnonzero(codes == code)
        cells = _convert(name, _GROUPS[code], values[rows])
        present = ~cells.missing
        if present.any():
            missing[rows[present]] = False
            parts[_GROUPS[code]] = rows[present], cells.values[present]
    if len(parts) > 1 and not parts.keys() <= _MIXABLE:
        raise TypeError(
            f"{title(name)} must not hold times beside other values; it holds "
            f"{' and '.join(_WORDS[group] for group in parts)}."
        )
    dtypes = [cells.dtype for _, cells in parts.values()] or [np.dtype(np.float64)]
    dtype = dtypes[0] if len(dtypes) == 1 else np.dtype(object)
    joined = np.zeros(len(values), dtype)
    for rows, cells in parts.values():
        joined[rows] = cells.astype(dtype)
    group: Any = "mixed" if len(parts) > 1 else next(iter(parts), "number")
    group = "number" if group == "duration" else group
    return Cells(name, group, joined, missing, is_typed=False)


def parse_numbers(cells: Cells) -> Cells | None:
    """Reads bools and strings as the numbers that `float` makes of them.

    Returns:
        Cells that are numbers, or `None` where one cannot be read as such.
    """
    if cells.group == "number":
        return cells
    if cells.group == "datetime":
        return None
    present = ~cells.missing
    parsed = np.full(len(present), np.nan)
    try:
        parsed[present] = _as_floats(cells.values[present].tolist())
    except ValueError:
        return None
    return cells._replace(group="number", values=parsed, missing=np.isnan(parsed))


def as_seconds(durations: np.ndarray) -> np.ndarray:
    """Returns durations in seconds as float64, NaN for NaT, the same whatever their unit."""
    whole = durations.astype("timedelta64[s]")
    return whole / _SECOND + (durations - whole) / _SECOND


def _group_of(name: str | int, kind: type, kinds: list[type]) -> str:
    if kind is type(None) or kind.__name__ in {"NAType", "NaTType"}:
        return "missing"
    if issubclass(kind, (bool, np.bool_)):
        return "bool"
    if issubclass(kind, str):
        return "str"
    if issubclass(kind, (datetime.date, np.datetime64)):
        return "datetime"
    if issubclass(kind, (datetime.timedelta, np.timedelta64)):
        return "duration"
    if issubclass(kind, (complex, np.complexfloating)):
        raise ValueError(f"Complex data not supported\nThey are in {title(name)}.")
    if issubclass(kind, (numbers.Real, np.number, decimal.Decimal)):
        return "number"
    raise TypeError(
        f"A cell's argument must be a string or a number, not {kind.__name__!r}, in "
        f"{title(name)}, row {kinds.index(kind)}."
    )


def _convert(name: str | int, group: str, objects: np.ndarray) -> Cells:
    """Turns objects of one group into an array of a type of its own."""
    cells = objects.tolist()
    if group == "number":
        array = np.empty(0)
        if all(issubclass(kind, (int, np.integer)) for kind in set(map(type, cells))):
            array = np.asarray(cells)
        # Integers beyond 64 bits make objects.
        return read_array(name, array if array.dtype.kind in "iu" else _as_floats(cells))
    if group == "str":
        strings = np.empty(len(cells), object)
        strings[:] = list(map(str, cells))
        return Cells(name, "str", strings, np.zeros(len(cells), bool))
    if group == "datetime":
        return read_array(name, np.asarray([_in_utc(cell) for cell in cells], "datetime64[us]"))
    if group == "duration":
        return read_array(name, np.asarray(cells, "timedelta64[us]"))
    return read_array(name, objects.astype(bool))


def _in_utc(time: Any) -> Any:
    if getattr(time, "tzinfo", None) is None:
        return time
    return time.astimezone(datetime.UTC).replace(tzinfo=None)


def _as_floats(cells: list[Any]) -> np.ndarray:
    """Converts what `float` takes; numbers too large become infinite."""
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except OverflowError:
        return np.asarray([_as_float(cell) for cell in cells], np.float64)


def _as_float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:
        return np.inf
