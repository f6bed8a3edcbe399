"""Turns whatever a loader is given into a source of rows."""

from typing import Any

from .memory import JoinedSource, MemorySource
from .source import Source


def make_source(x: Any, y: Any, weight: Any, *, check_finite: bool) -> Source:
    """Returns the source of rows for what a user hands over."""
    if isinstance(x, Source):
        if y is None and weight is None:
            return x
        return JoinedSource(x, y, weight, check_finite=check_finite)
    return MemorySource(x, y, weight, check_finite=check_finite)
