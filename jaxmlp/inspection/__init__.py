"""Looking inside a network: its layers in a table, its gradients, and its past epochs.

In reading order: `layers`, `gradients` (layer by layer and row by row), `recorder`.
"""

from .gradients import deltas, per_example_grad_norms
from .layers import summary
from .recorder import Record, Recorder, thin

__all__ = [
    "Record",
    "Recorder",
    "deltas",
    "per_example_grad_norms",
    "summary",
    "thin",
]
