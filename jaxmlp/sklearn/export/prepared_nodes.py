"""Turns the inputs of a table into the rows that a network takes, as nodes of an ONNX graph."""

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from onnx import TensorProto

from ...interchange.onnx import TYPES, NodeList
from ...tabular import one_hot_columns
from ..tables import PERIODS, WAVE_STEPS, Column, Preparation, is_embedded
from .table_inputs import TableInput, positions_of, refuse, require_categories

_LABELS = "ai.onnx.ml"


class PreparedNodes(NamedTuple):
    """Names of what `TabularRows` has, `None` where there are no columns."""

    numbers: str | None
    """Shape (rows, numbers)."""
    columns: str | None
    """Shape (rows, columns)."""
    codes: tuple[str, ...]
    """Of each category column that becomes an embedding, shape (rows,), of int64."""


class TableNodes:
    """Appends the nodes that do what `prepare_rows` and `prepare_matrix` do.

    Args:
        nodes: Where they go.
        inputs: Inputs of all columns, in the order of the fit.
    """

    def __init__(self, nodes: NodeList, inputs: Sequence[TableInput]) -> None:
        self.nodes, self.places = nodes, positions_of(inputs)

    def matrix(self, dtype: str) -> str:
        """Puts all columns side by side, in one type."""
        self.nodes.scope = "columns"
        return self._numbers(range(len(self.places)), dtype)

    def prepared_matrix(self, preparation: Preparation) -> str:
        """Does what `prepare_matrix` does, shape (rows, columns) of float64."""
        rows = self.rows(preparation, "float64", embeds=False)
        parts = (
            [] if rows.numbers is None else [smooth_clip_nodes(self.nodes, rows.numbers, "float64")]
        )
        parts += [] if rows.columns is None else [rows.columns]
        if not parts:
            refuse_constant()
        return self._beside(parts)

    def rows(self, preparation: Preparation, dtype: str, *, embeds: bool = True) -> PreparedNodes:
        """Does what `prepare_rows` does.

        Args:
            preparation: What is known of the columns.
            dtype: Type of numbers and columns.
            embeds: Whether columns of many categories become codes, not columns of their own.
        """
        nodes = self.nodes
        nodes.scope = "columns"
        encoded = self._encoded(preparation.columns)
        used = np.flatnonzero(preparation.scaling.factor > 0)
        missing = np.flatnonzero(preparation.missing)
        numbers, columns, codes = None, [], []
        if len(used):
            assert encoded is not None
            numbers = self._scaled(self._taken(encoded, used), preparation, used)
            numbers = self._as(numbers, "float64", dtype)
        if len(missing):
            assert encoded is not None
            is_missing = nodes.add("IsNaN", self._taken(encoded, missing))
            columns.append(nodes.cast(is_missing, TYPES[dtype]))
        for position, column in enumerate(preparation.columns):
            if column.kind != "category" or not column.categories:
                continue
            code = self._codes(position, column)
            if embeds and is_embedded(column):
                codes.append(code)
            else:
                columns.append(self._one_hot(code, position, column, dtype))
        return PreparedNodes(numbers, self._beside(columns) if columns else None, tuple(codes))

    def _encoded(self, columns: tuple[Column, ...]) -> str | None:
        """Numbers of the columns in their order, NaN where missing, in float64."""
        parts: list[str] = []
        run: list[int] = []
        for position, column in enumerate(columns):
            if column.kind == "numeric":
                run.append(position)
            elif column.kind == "datetime":
                parts += [self._numbers(run, "float64")] if run else []
                parts.append(self._times(self._numbers([position], "float64")))
                run = []
        parts += [self._numbers(run, "float64")] if run else []
        return self._beside(parts) if parts else None

    def _times(self, seconds: str) -> str:
        """Seconds, and sines and cosines of the phase of each period."""
        parts = [seconds]
        for period in PERIODS.values():
            length = self.nodes.constant(period, "float64")
            # NumPy's remainder has the sign of the divisor, that of Mod the other one.
            rest = self.nodes.add("Mod", seconds, length, fmod=1)
            is_below = self.nodes.add("Less", rest, self.nodes.constant(0.0, "float64"))
            phase = self.nodes.add("Where", is_below, self.nodes.add("Add", rest, length), rest)
            turn = self.nodes.constant(2 * np.pi, "float64")
            angle = self.nodes.add("Div", self.nodes.add("Mul", turn, phase), length)
            steps = self.nodes.constant(WAVE_STEPS, "float64")
            for wave in ("Sin", "Cos"):
                in_steps = self.nodes.add("Mul", self.nodes.add(wave, angle), steps)
                parts.append(self.nodes.add("Div", self.nodes.add("Round", in_steps), steps))
        return self._beside(parts)

    def _scaled(self, x: str, preparation: Preparation, used: np.ndarray) -> str:
        """Does what `robust_scale` does for columns that have two different numbers."""
        nodes, number = self.nodes, lambda value: self.nodes.constant(value, "float64")
        center, factor = (part[used] for part in preparation.scaling)
        centers = nodes.array("columns.center", center)
        factors = nodes.array("columns.factor", factor)
        centred = nodes.add("Sub", x, centers)
        # Both parts are scaled first where their difference would be infinite.
        offsets = nodes.array("columns.offset", center * factor)
        apart = nodes.add("Sub", nodes.add("Mul", x, factors), offsets)
        together = nodes.add("Mul", centred, factors)
        scaled = nodes.add("Where", nodes.add("IsInf", centred), apart, together)
        scaled = nodes.add("Where", nodes.add("IsNaN", scaled), number(0.0), scaled)
        limits = np.finfo(np.float32)
        return nodes.add("Clip", scaled, number(float(limits.min)), number(float(limits.max)))

    def _codes(self, position: int, column: Column) -> str:
        """Codes of categories, 0 for all else, shape (rows,)."""
        nodes = self.nodes
        each, place = self.places[position]
        cells, categories = self._cut(each, [place]), require_categories(column, each.dtype)
        codes = np.arange(1, len(categories) + 1)
        cells = nodes.add("Squeeze", cells, nodes.integers([1]))
        settings: dict[str, Any] = {"values_int64s": codes.tolist(), "default_int64": 0}
        if categories.dtype == object:
            settings["keys_strings"] = categories.tolist()
            return nodes.add("LabelEncoder", cells, domain=_LABELS, **settings)
        if categories.dtype == np.int64:
            settings["keys_int64s"] = categories.tolist()
            cells = self._as(cells, each.dtype, "int64")
            return nodes.add("LabelEncoder", cells, domain=_LABELS, **settings)
        cells = nodes.add("Unsqueeze", self._as(cells, each.dtype, "float64"), nodes.integers([1]))
        known = nodes.array(f"columns.{position}.categories", categories)
        is_known = nodes.cast(nodes.add("Equal", cells, known), TensorProto.INT64)
        found = nodes.add("Mul", is_known, nodes.array(f"columns.{position}.codes", codes))
        return nodes.add("ReduceSum", found, nodes.integers([1]), keepdims=0)

    def _one_hot(self, code: str, position: int, column: Column, dtype: str) -> str:
        count = len(column.categories)
        rows = one_hot_columns(np.arange(count + 1), count, has_missing=column.has_missing)
        table = self.nodes.array(f"columns.{position}.one_hot", rows.astype(dtype))
        return self.nodes.add("Gather", table, code)

    def _numbers(self, positions: Sequence[int], dtype: str) -> str:
        """Columns of numbers side by side, those of one input cut out at once."""
        parts: list[tuple[TableInput, list[int]]] = []
        for position in positions:
            each, place = self.places[position]
            if each.dtype == "string":
                refuse(
                    f"column {position} of X, input {each.name!r}",
                    "have numbers",
                    "strings",
                    "Say in initial_types which type each column has.",
                )
            if parts and parts[-1][0] == each:
                parts[-1][1].append(place)
            else:
                parts.append((each, [place]))
        return self._beside([self._as(self._cut(*part), part[0].dtype, dtype) for part in parts])

    def _cut(self, each: TableInput, places: list[int]) -> str:
        if places == [*range(each.width)]:
            return each.name
        return self.nodes.add("Gather", each.name, self.nodes.integers(places), axis=1)

    def _taken(self, matrix: str, columns: np.ndarray) -> str:
        return self.nodes.add("Gather", matrix, self.nodes.integers(columns.tolist()), axis=1)

    def _beside(self, parts: list[str]) -> str:
        return parts[0] if len(parts) == 1 else self.nodes.add("Concat", *parts, axis=1)

    def _as(self, name: str, dtype: str, wanted: str) -> str:
        if dtype == wanted:
            return name
        return self.nodes.cast(name, {**TYPES, "int64": TensorProto.INT64}[wanted])


def smooth_clip_nodes(nodes: NodeList, x: str, dtype: str) -> str:
    """Appends what `smooth_clip` does: `x / hypot(1, x / 3)`, in which no square overflows."""
    one, limit = nodes.constant(1.0, dtype), nodes.constant(3.0, dtype)
    size = nodes.add("Abs", nodes.add("Div", x, limit))
    larger, smaller = nodes.add("Max", size, one), nodes.add("Min", size, one)
    ratio = nodes.add("Div", smaller, larger)
    root = nodes.add("Sqrt", nodes.add("Add", nodes.add("Mul", ratio, ratio), one))
    return nodes.add("Div", x, nodes.add("Mul", larger, root))


def refuse_constant() -> NoReturn:
    """Refuses an estimator for which all rows are the same."""
    refuse(
        "estimator",
        "have a column that tells rows apart",
        "none, of training rows in which every column was constant",
        "Its predictions are the same for all rows.",
    )
