"""Rows by number, wherever they lie: what a `DataLoader` reads from.

In reading order: `source` (what a source must offer), `ingestion` (arrays and their checks),
`values`, `resolution` (their types), `columns` (of frames and tables); `memory`, `examples`,
`datasets`; `files`, `array_files`, `arrays` (`.npy`), `table_columns`, `table_readers`,
`table_rows`, `tables` (Parquet, Arrow), `text` (CSV); `choice` of one of them; `checks` of what a
source reads, `iterables`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ..checks import did_you_mean as _did_you_mean
from .memory import MemorySource
from .source import Source

if TYPE_CHECKING:
    from .arrays import npy
    from .datasets import DatasetSource
    from .iterables import batches
    from .tables import arrow, parquet
    from .text import csv

__all__ = ["DatasetSource", "MemorySource", "Source", "arrow", "batches", "csv", "npy", "parquet"]

# Imported when they are first asked for.
_LAZY = {
    "DatasetSource": "datasets",
    "arrow": "tables",
    "batches": "iterables",
    "csv": "text",
    "npy": "arrays",
    "parquet": "tables",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        hint = _did_you_mean(name, __all__, "sources")
        raise AttributeError(f"jaxmlp.sources has no {name!r}.{hint}")
    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
