"""Looking inside a network: its layers in a table, and the gradients of single rows.

In reading order: `layers`, `gradients`.
"""

from .gradients import per_example_grad_norms
from .layers import summary

__all__ = [
    "per_example_grad_norms",
    "summary",
]
