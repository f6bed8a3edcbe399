"""Turns groups of rows in files into a source of rows."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ..checks import require_bool
from ..network import Batch
from .columns import read_column
from .files import File, as_index, chunk_starts, fingerprint, pieces, unchanged
from .ingestion import require_rows
from .resolution import is_narrow, is_narrowed, require_resolved, sampled_rows
from .table_columns import (
    Columns,
    Names,
    choose_columns,
    find_columns,
    listed,
    place_of,
    require_types,
    to_array,
)
from .table_readers import Facts, Layout, naming
from .values import require_chunk_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class TableSource:
    """Rows of columns in files; see `parquet`.

    Groups are numbered over all files; `group_numbers` are their numbers in their files. `tiles`
    are the first rows of the parts in which a group is made into arrays, to save memory.
    """

    x: Columns = field(repr=False)
    y: Columns | None = field(repr=False)
    weight: Columns | None = field(repr=False)
    files: tuple[File, ...] = field(repr=False)
    titles: tuple[str, ...]
    layouts: tuple[Layout, ...] = field(repr=False)
    file_starts: np.ndarray = field(repr=False)
    group_starts: np.ndarray = field(repr=False)
    group_numbers: np.ndarray = field(repr=False)
    tiles: np.ndarray = field(repr=False)
    chunks: Int[np.ndarray, " chunks_and_end"] = field(repr=False)
    check_finite: bool

    def __len__(self) -> int:
        """Returns the number of rows."""
        return int(self.chunks[-1])

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Names of the columns of "x" and of "y", where they make a matrix."""
        parts = [part for part in (self.x, self.y) if part is not None and not part.alone]
        return {part.name: tuple(part.names()) for part in parts}

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads rows, each group of them once, as `Source` says."""
        x, y, weight = (
            None if columns is None else np.empty((len(rows), *columns.row_shape), columns.dtype)
            for columns in (self.x, self.y, self.weight)
        )
        return self.read_into(rows, Batch(x, y, weight))

    def read_into(self, rows: Int[np.ndarray, " n"], to: Batch) -> Batch:
        """Reads rows into arrays, as `RefillingSource` says."""
        require_rows(rows, len(self))
        parts: list[tuple[Columns | None, Any]] = [
            (columns, None if columns is None else out)
            for columns, out in zip((self.x, self.y, self.weight), to, strict=True)
        ]
        # The arrays' types are others where JAX's 64-bit types were switched since.
        wanted = [
            (columns._replace(dtype=out.dtype), out)
            for columns, out in parts
            if columns is not None
        ]
        names = [name for columns, _ in wanted for name in columns.names()]
        for in_file in pieces(rows, self.file_starts):
            title, start = self.titles[in_file.part], int(self.file_starts[in_file.part])
            with (
                unchanged(self.files[in_file.part]) as path,
                naming(title),
                self.layouts[in_file.part].open_groups(path, names) as read_group,
            ):
                group, table = -1, None
                for piece in pieces(in_file.rows, self.tiles):
                    low, high = piece.span
                    of = int(np.searchsorted(self.group_starts, low, side="right")) - 1
                    if table is None or group != of:
                        table = None  # freed before the next one is read
                        group, table = of, read_group(int(self.group_numbers[of]))
                    part = table.slice(low - int(self.group_starts[of]), high - low)
                    places = as_index(in_file.places[piece.places])
                    for columns, out in wanted:
                        values = to_array(part, columns, title, low - start, self.check_finite)
                        out[places] = piece.take(values)
        return Batch(*(out for _, out in parts))

    def fingerprint(self) -> str:
        """Returns a text that changes when the data change; see `parquet`."""
        return fingerprint(self.files, (self.x, self.y, self.weight))


def open_tables(
    files: tuple[File, ...],
    describe: Callable[[Path], Layout],
    *,
    x: Names | None,
    y: Names | None,
    weight: str | None,
    chunk_rows: int | None,
    check_finite: bool,
    titles: tuple[str, ...] | None = None,
) -> TableSource:
    """Opens all files once, checks their columns, and lays out the chunks.

    `titles` are the files' names in errors.
    """
    require_bool("check_finite", check_finite)
    titles = titles or tuple(str(file.path) for file in files)
    layouts: list[Layout] = []
    chosen: dict[str, Names] = {}
    for file, title in zip(files, titles, strict=True):
        with unchanged(file) as path, naming(title):
            layouts.append(describe(path))
        here = choose_columns(layouts[-1].schema.names, title, x=x, y=y, weight=weight)
        chosen = chosen or here
        _require_alike(chosen, here, layouts, (titles[0], title))
    group_rows = np.concatenate([layout.group_rows for layout in layouts])
    if group_rows.sum() == 0:
        raise ValueError(f"paths must name files with rows; got none in {', '.join(titles)}.")
    # Files and groups without rows have no part of their own.
    full = [number for number, layout in enumerate(layouts) if layout.group_rows.sum()]
    group_numbers = np.concatenate([np.flatnonzero(layouts[i].group_rows) for i in full])
    file_ends = np.cumsum([layouts[i].group_rows.sum() for i in full])
    group_ends = np.cumsum(group_rows[group_rows > 0])
    columns = _find_columns(
        chosen, files[full[0]], titles[full[0]], layouts[full[0]], int(group_numbers[0])
    )
    tile_rows = max(1, 2**20 // columns["x"].row_bytes)
    chunk_rows = require_chunk_rows(chunk_rows, tile_rows)
    divisible = all(layout.divisible for layout in layouts)
    source = TableSource(
        x=columns["x"],
        y=columns.get("y"),
        weight=columns.get("weight"),
        files=tuple(files[i] for i in full),
        titles=tuple(titles[i] for i in full),
        layouts=tuple(layouts[i] for i in full),
        file_starts=np.append(0, file_ends[:-1]),
        group_starts=np.append(0, group_ends[:-1]),
        group_numbers=group_numbers,
        tiles=chunk_starts(group_ends, tile_rows)[:-1],
        chunks=chunk_starts(file_ends, chunk_rows) if divisible else _join(group_ends, chunk_rows),
        check_finite=check_finite,
    )
    _require_resolved(source, [_tell(*opened, chosen) for opened in _opened(source)])
    return source


def _opened(source: TableSource) -> Iterable[tuple[File, str, Layout]]:
    return zip(source.files, source.titles, source.layouts, strict=True)


def _tell(file: File, title: str, layout: Layout, chosen: dict[str, Names]) -> dict[str, Facts]:
    """Asks a file what it knows of its columns, and refuses nulls by their row."""
    names = [name for part in chosen.values() for name in listed(part)]
    with unchanged(file) as path, naming(title):
        facts = layout.tell(path, names, len(layout.group_rows)) if layout.tell else {}
        for name, fact in facts.items():
            if fact.null_group is not None:
                with layout.open_groups(path, [name]) as read_group:
                    column = read_group(fact.null_group).column(name)
                before = int(layout.group_rows[: fact.null_group].sum())
                read_column(column, place_of(name, title, before))
    return facts


def _require_resolved(source: TableSource, facts: list[dict[str, Facts]]) -> None:
    """Refuses columns whose numbers run together in 32 bits, by a sample of their rows."""

    def may_run_together(name: str) -> bool:
        told = [of_file.get(name, Facts()) for of_file in facts]
        low, high = np.array([f.low for f in told]).min(), np.array([f.high for f in told]).max()
        return bool(np.isnan(low + high) or is_narrow(low, high))

    for part in (source.x, source.y):
        if part is None:
            continue
        is_wide = [
            is_narrowed(c.dtype, part.dtype) and may_run_together(c.name) for c in part.columns
        ]
        wide = tuple(column for column, kept in zip(part.columns, is_wide, strict=True) if kept)
        if wide:
            as_stored = Columns("x", wide, np.dtype(np.float64), part.alone)
            sample = replace(source, x=as_stored, y=None, weight=None, check_finite=False)
            values = sample.read(sampled_rows(source.chunks)).x
            for number, column in enumerate(wide):
                where = place_of(column.name, ", ".join(source.titles))
                numbers = values if part.alone else values[:, number]
                require_resolved(where(()), numbers, part.dtype)


def _find_columns(
    chosen: dict[str, Names],
    file: File,
    title: str,
    layout: Layout,
    group: int,
) -> dict[str, Columns]:
    names = [name for part in chosen.values() for name in listed(part)]
    with unchanged(file) as path, naming(title), layout.open_groups(path, names) as read_group:
        first_row = read_group(group).slice(0, 1)
        columns = {n: find_columns(n, part, first_row, title) for n, part in chosen.items()}
    if "weight" in columns and columns["weight"].row_shape:
        raise ValueError(
            f"weight must be one number per row; {chosen['weight']!r} of {title} holds lists."
        )
    return columns


def _require_alike(
    chosen: dict[str, Names],
    here: dict[str, Names],
    layouts: list[Layout],
    titles: tuple[str, str],
) -> None:
    """Refuses another choice of columns, or other types; their order is that of the first file."""
    extra: Any = sorted(set(listed(chosen["x"])) ^ set(listed(here["x"])))
    if extra:
        raise ValueError(
            f"all files must have the same columns; {titles[0]} and {titles[1]} differ in "
            f"{extra}. Name the columns of x."
        )
    names = [name for part in chosen.values() for name in listed(part)]
    require_types(names, layouts[-1].schema, layouts[0].schema, titles)


def _join(ends: np.ndarray, chunk_rows: int) -> np.ndarray:
    """Joins groups, which end at `ends`, to chunks of at least so many rows."""
    starts = [0]
    for end in ends[:-1].tolist():
        if end - starts[-1] >= chunk_rows:
            starts.append(end)
    return np.array([*starts, ends[-1]])
