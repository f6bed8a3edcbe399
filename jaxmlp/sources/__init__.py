"""Rows by number, wherever they lie: what a `DataLoader` reads from."""

from .memory import MemorySource
from .source import Source

__all__ = ["MemorySource", "Source"]
