"""Turns a table as it comes into numbers and codes of categories, which a network takes."""

import dataclasses
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from .cells import Cells, as_seconds, parse_numbers, title
from .columns import Table, open_table

Value: TypeAlias = str | int | float | bool

# Values that occur once are left out where there are more values than this.
_FEW = 8
_EPOCH = np.datetime64(0, "s")
# In seconds; a year is the Gregorian calendar's average.
PERIODS = {"day": 86_400.0, "week": 604_800.0, "year": 365.2425 * 86_400.0}
# Waves are whole multiples of its inverse: cos(2 pi / 7) and cos(12 pi / 7) are the same number, of
# which rounding would else make two, between which bins may be cut, and each processor others.
WAVE_STEPS = 2.0**40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """What training rows tell about a column; its fields are those of JSON."""

    name: str | int
    """Its name, or its position where names are not strings."""
    kind: Literal["numeric", "category", "datetime"]
    """What it is encoded as."""
    categories: tuple[Value, ...] = ()
    """Values of a category column that have a code of their own, in the order of codes from 1."""
    has_missing: bool
    """Whether values were missing in training rows."""


class Encoded(NamedTuple):
    """A table in numbers."""

    numbers: np.ndarray
    """Float64, shape (rows, numbers) as `number_names` names them; NaN where missing."""
    codes: np.ndarray
    """Int32, shape (rows, category columns): `k` for `categories[k - 1]`, and 0 for what is missing
    or no category."""


def describe_table(table: Any, *, categorical_features: Any = "from_dtype") -> tuple[Column, ...]:
    """Decides from training rows how each column is encoded.

    Numbers and durations (in seconds) are numeric, bools, strings and categories are categories,
    and dates are datetimes. In an array or in lists also those strings, bools and objects are
    numbers of which `float` makes numbers, as scikit-learn has it. Columns without any value are
    numeric, unless their type says otherwise. A value is no category if it occurs in one row only
    and there are more than eight values, so that the code 0 of values not seen is seen in training.

    Args:
        table: Frame of pandas or polars, table of pyarrow, array or lists of rows.
        categorical_features: Names or positions of columns, or a mask of them, which are categories
            whatever their type; the types of others tell.

    Returns:
        A description per column.

    Raises:
        TypeError: A column holds something else, or mixes times with other values, or a frame is
            lazy.
        ValueError: A column holds infinity or complex numbers, two have one name, there are no
            rows or columns, or `categorical_features` are not there.
    """
    opened = open_table(table)
    chosen = _choose(opened, categorical_features)
    return tuple(
        _describe(opened, position, forced) for position, forced in enumerate(chosen.tolist())
    )


def encode_table(table: Any, columns: tuple[Column, ...]) -> Encoded:
    """Turns rows into numbers and codes, column by column in their order.

    Args:
        table: Rows with as many columns as in training, in the same order; of any package.
        columns: What `describe_table` returned for training rows.

    Raises:
        TypeError: As in `describe_table`.
        ValueError: As in `describe_table`, or values are not of the type that they had in training.
    """
    opened = open_table(table)
    if len(opened.names) != len(columns):
        raise ValueError(
            f"X has {len(opened.names)} features, but the training rows had {len(columns)}."
        )
    numbers = np.empty((opened.rows, len(number_names(columns))))
    codes = np.empty((opened.rows, sum(column.kind == "category" for column in columns)), np.int32)
    number = code = 0
    for position, column in enumerate(columns):
        cells = opened.read(position)
        if column.kind == "category":
            codes[:, code] = _encode_categories(cells, column)
            code += 1
        else:
            made = _encode_numbers(cells, column, opened.is_array)
            numbers[:, number : number + made.shape[1]] = made
            number += made.shape[1]
    return Encoded(numbers, codes)


def number_names(columns: tuple[Column, ...]) -> list[str]:
    """Returns a name per column of `Encoded.numbers`; a position `i` is named `xi`."""
    names = []
    for column in columns:
        name = column.name if isinstance(column.name, str) else f"x{column.name}"
        if column.kind == "numeric":
            names.append(name)
        elif column.kind == "datetime":
            waves = [f"{name}_{period}_{wave}" for period in PERIODS for wave in ("sin", "cos")]
            names += [f"{name}_seconds", *waves]
    return names


def _describe(table: Table, position: int, is_forced: bool) -> Column:
    cells = table.read(position)
    is_category = is_forced or cells.is_category
    if table.is_array and not is_category:
        cells = parse_numbers(cells) or cells
    is_category = is_category or cells.group not in ("number", "datetime")
    _refuse_infinity(cells)
    return Column(
        name=table.names[position],
        kind="category" if is_category else "datetime" if cells.group == "datetime" else "numeric",
        categories=_find_categories(cells) if is_category else (),
        has_missing=bool(cells.missing.any()),
    )


def _find_categories(cells: Cells) -> tuple[Value, ...]:
    keys, codes = _factorize(cells)
    counts = np.bincount(codes[codes >= 0], minlength=len(keys))
    fewest = 2 if len(keys) > _FEW else 1
    kept = [key for key, count in zip(keys, counts, strict=True) if count >= fewest]
    return tuple(value for _, value in sorted(kept))


def _encode_categories(cells: Cells, column: Column) -> np.ndarray:
    _refuse_infinity(cells)
    keys, codes = _factorize(cells)
    index = {_key(value): code for code, value in enumerate(column.categories, 1)}
    own, known = ({group for group, _ in pairs} for pairs in (keys, index))
    if cells.is_typed and own and known and not own & known:
        raise ValueError(
            f"{title(column.name)} must hold values as in training, such as "
            f"{column.categories[0]!r}; it holds {cells.describe()}. Convert it."
        )
    # The last is of code -1: missing.
    return np.asarray([*(index.get(key, 0) for key in keys), 0], np.int32)[codes]


def _factorize(cells: Cells) -> tuple[list[tuple[str, Value]], np.ndarray]:
    """Returns distinct values with their types, and the position of each cell's; -1 if missing."""
    present = ~cells.missing
    values = cells.values[present]
    if cells.group == "datetime":
        values = as_seconds(values - _EPOCH)
    codes = np.full(len(present), -1)
    if values.dtype != object:
        distinct, codes[present] = np.unique(values, return_inverse=True)
        return [_key(value) for value in distinct.tolist()], codes
    # Of strings alone, which need no types to be told apart, no cell makes a tuple.
    made: list[Any] = values.tolist()
    if cells.group == "mixed":
        made = list(map(_key, made))
    positions = {value: position for position, value in enumerate(dict.fromkeys(made))}
    codes[present] = np.fromiter(map(positions.__getitem__, made), np.intp, len(made))
    return [_key(value) if cells.group == "str" else value for value in positions], codes


def _key(value: Value) -> tuple[str, Value]:
    """Returns a value with the type to tell it by: a whole number is one, however it is stored."""
    if isinstance(value, (bool, str)):
        return type(value).__name__, value
    return "number", int(value) if float(value).is_integer() else value


def _encode_numbers(cells: Cells, column: Column, is_array: bool) -> np.ndarray:
    """Returns shape (rows, numbers): one, or those of a time."""
    wanted = "number" if column.kind == "numeric" else "datetime"
    if wanted == "number" and (is_array or cells.group == "bool"):
        cells = parse_numbers(cells) or cells
    if cells.missing.all():
        return np.full((len(cells.missing), len(number_names((column,)))), np.nan)
    if cells.group != wanted:
        raise ValueError(
            f"{title(column.name)} must hold {cells._replace(group=wanted).describe()}, as in "
            f"training; it holds {cells.describe()}. Convert it."
        )
    _refuse_infinity(cells)
    made = _encode_times(cells.values) if wanted == "datetime" else cells.values[:, None]
    return np.where(cells.missing[:, None], np.nan, made)


def _encode_times(times: np.ndarray) -> np.ndarray:
    """Returns seconds since 1970 in UTC, and sines and cosines of the phase of each period."""
    seconds = as_seconds(times - _EPOCH)
    angles = [2 * np.pi * (seconds % period) / period for period in PERIODS.values()]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    waves = [np.rint(wave * WAVE_STEPS) / WAVE_STEPS for wave in waves]
    return np.stack([seconds, *waves], axis=1)


def _refuse_infinity(cells: Cells) -> None:
    if cells.group not in ("number", "mixed"):
        return
    values = cells.values[~cells.missing]
    if values.dtype == object:
        values = np.asarray([value for value in values if isinstance(value, float)])
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float64'). It is in "
            f"{title(cells.name)}."
        )


def _choose(table: Table, categorical_features: Any) -> np.ndarray:
    """Returns a mask of the columns that are categories whatever their type."""
    chosen = np.zeros(len(table.names), bool)
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        return chosen
    features = np.asarray(categorical_features)
    if not features.size:
        return chosen
    if features.dtype.kind == "b":
        if features.shape != chosen.shape:
            raise ValueError(
                "categorical_features set as a boolean mask must have shape (n_features,), got: "
                f"{features.shape}"
            )
        return features
    kinds = sorted({type(feature).__name__ for feature in features.ravel().tolist()})
    if kinds == ["int"]:
        if features.max() >= len(chosen) or features.min() < 0:
            raise ValueError(
                "categorical_features set as integer indices must be in [0, n_features - 1]"
            )
        chosen[features] = True
        return chosen
    if kinds != ["str"]:
        raise ValueError(
            f"categorical_features must be an array-like of bool, int or str, got: "
            f"{', '.join(kinds)}."
        )
    if not any(isinstance(name, str) for name in table.names):
        raise ValueError(
            "categorical_features should be passed as an array of integers or as a boolean mask "
            "when the model is fitted on data without feature names."
        )
    for name in features.ravel().tolist():
        if name not in table.names:
            raise ValueError(
                f"categorical_features has an item value '{name}' which is not a valid feature "
                f"name of the training data. Observed feature names: {list(table.names)}"
            )
        chosen[table.names.index(name)] = True
    return chosen
