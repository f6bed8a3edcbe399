"""Rows by number, wherever they lie: what a `DataLoader` reads from."""

from .datasets import DatasetSource
from .iterables import batches
from .memory import MemorySource
from .source import Source

__all__ = ["DatasetSource", "MemorySource", "Source", "batches"]
