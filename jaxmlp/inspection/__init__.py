"""Looking inside a network: its layers in a table, its gradients, and its past epochs.

In reading order: `layers`, `gradients` (layer by layer and row by row), `answers` (what
outputs say of classes), `recorder`.
"""

from .answers import decide, even_odds, probabilities_of
from .gradients import deltas, per_example_grad_norms
from .layers import summary
from .recorder import Record, Recorder, count_bytes, thin

__all__ = [
    "Record",
    "Recorder",
    "count_bytes",
    "decide",
    "deltas",
    "even_odds",
    "per_example_grad_norms",
    "probabilities_of",
    "summary",
    "thin",
]
