"""Looking inside a network: its layers in a table, and gradients layer by layer and row by row.

In reading order: `layers`, `gradients`.
"""

from .gradients import deltas, per_example_grad_norms
from .layers import summary

__all__ = [
    "deltas",
    "per_example_grad_norms",
    "summary",
]
