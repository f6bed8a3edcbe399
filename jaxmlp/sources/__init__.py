"""Rows by number, wherever they lie: what a `DataLoader` reads from."""

from .arrays import npy
from .datasets import DatasetSource
from .iterables import batches
from .memory import MemorySource
from .source import Source
from .tables import arrow, parquet
from .text import csv

__all__ = ["DatasetSource", "MemorySource", "Source", "arrow", "batches", "csv", "npy", "parquet"]
