"""Turns columns of tables of any package into numbers and codes of categories.

In reading order: `cells` (objects into arrays), `columns` (of frames of any package), `encoding`
(into numbers and codes), `preparation` (of all columns of a table).
"""

from .columns import open_table
from .encoding import PERIODS, WAVE_STEPS, Column
from .preparation import (
    Preparation,
    find_bins,
    is_embedded,
    needs_preparation,
    prepare_columns,
    prepare_matrix,
    prepare_rows,
)

__all__ = [
    "PERIODS",
    "WAVE_STEPS",
    "Column",
    "Preparation",
    "find_bins",
    "is_embedded",
    "needs_preparation",
    "open_table",
    "prepare_columns",
    "prepare_matrix",
    "prepare_rows",
]
