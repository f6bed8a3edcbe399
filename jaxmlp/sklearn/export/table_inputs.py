"""Turns a fitted estimator into the inputs that its ONNX model takes: one matrix, or columns."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

import numpy as np

from ..tables import Column, Preparation

InputType: TypeAlias = Literal["bool", "float32", "float64", "int32", "int64", "string"]

MATRIX = "X"
# Larger whole numbers are not all numbers of float64.
_LARGEST_EXACT = 1 << 53
_WORDS = {bool: "bools", float: "numbers", int: "numbers", str: "strings"}


class TableInput(NamedTuple):
    """A tensor of shape (rows, width) that a model takes; those of all columns are in order."""

    name: str
    width: int
    dtype: InputType


def inputs_of(estimator: Any) -> tuple[TableInput, ...]:
    """Returns what the model of an estimator takes of a table like that of its fit.

    Of an array of numbers it is one matrix, and else one tensor of one column for each column:
    numbers as float64, seconds since 1970 in UTC for times, and categories as their type is, which
    is float64 for bools and whole numbers of which some were missing, since NaN is then missing.

    Args:
        estimator: A fitted one.

    Raises:
        ValueError: A column has categories of several types, or has no name that ONNX can hold.
    """
    preparation: Preparation | None = estimator.preparation_
    count = estimator.n_features_in_
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if "" in names:
        refuse("column '' of X", "have a name", "none", "Name it, and fit again.")
    if preparation is None:
        dtype = estimator.coefs_[0].dtype.name
        if names:
            return tuple(TableInput(name, 1, dtype) for name in names)
        return (TableInput(MATRIX, count, dtype),)
    columns = preparation.columns
    if not names and all(_kind_of(column) in (float, int) for column in columns):
        return (TableInput(MATRIX, count, "float64"),)
    names = names or [f"x{position}" for position in range(count)]
    return tuple(
        TableInput(name, 1, _dtype_of(column)) for name, column in zip(names, columns, strict=True)
    )


def positions_of(inputs: Sequence[TableInput]) -> list[tuple[TableInput, int]]:
    """Returns of each column of the table the input that it is in, and its place there."""
    return [(each, place) for each in inputs for place in range(each.width)]


def require_categories(column: Column, dtype: InputType) -> np.ndarray:
    """Returns the categories of a column as the array of their type with which cells are compared.

    Args:
        column: A column of categories, at least one of them.
        dtype: Type of the cells.

    Returns:
        Objects of strings, int64 or float64.

    Raises:
        ValueError: Categories are of several types, or of another one than the cells, or are
            whole numbers that are not all different in the type.
    """
    subject, kind = f"column {column.name!r} of X", _kind_of(column)
    if (kind is str) != (dtype == "string"):
        got = f"{_WORDS[kind]} such as {column.categories[0]!r}, and cells of {dtype}"
        remedy = "Give the column the type that it had in training."
        refuse(subject, "have cells of the type of its categories", got, remedy)
    if kind is str:
        return np.array([str(each).encode() for each in column.categories], object)
    whole = [each for each in column.categories if isinstance(each, int)]
    most = max(map(abs, whole), default=0)
    is_whole = len(whole) == len(column.categories) and dtype not in ("float32", "float64")
    if most > (np.iinfo(np.int64).max if is_whole else _LARGEST_EXACT):
        remedy = "Make strings of its cells, and fit again."
        refuse(subject, f"have categories that {dtype} can tell apart", f"{most}", remedy)
    return np.array(column.categories, np.int64 if is_whole else np.float64)


def refuse(subject: str, requirement: str, got: str, remedy: str) -> NoReturn:
    """Raises a ValueError that names a part that ONNX cannot express, and what can be done."""
    raise ValueError(f"{subject} must {requirement} to be written as ONNX; got {got}. {remedy}")


def _kind_of(column: Column) -> type:
    """Returns `str`, `bool`, `int` or `float`: what the cells of a column are."""
    if column.kind != "category":
        return float
    kinds = {type(value) for value in column.categories}
    if len({_WORDS[kind] for kind in kinds}) > 1:
        refuse(
            f"column {column.name!r} of X",
            "have categories of one type",
            " and ".join(sorted({_WORDS[kind] for kind in kinds})),
            "Make strings of all its cells, and fit again.",
        )
    # Cells of no category are of any type, and say nothing.
    return float if kinds == {int, float} else next(iter(kinds), str)


def _dtype_of(column: Column) -> InputType:
    kind = _kind_of(column)
    if kind is str:
        return "string"
    if kind is float or column.has_missing:
        return "float64"
    return "int64" if kind is int else "bool"
