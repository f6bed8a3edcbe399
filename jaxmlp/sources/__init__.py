"""Sources: rows that lie in files, read by number, for data that need not fit into memory.

Each function makes a `Source`; `DataLoader` makes batches of one.
"""

from .arrays import npy
from .source import Source
from .tables import arrow, parquet
from .text import csv

__all__ = ["Source", "arrow", "csv", "npy", "parquet"]
