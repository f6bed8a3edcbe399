"""Looking inside a network: layers in a table, gradients, planes of inputs, and past epochs.

In reading order: `layers`, `gradients` (layer by layer and row by row), `answers` (what
outputs say of classes), `planes`, `recorder`.
"""

from .answers import decide, even_odds, probabilities_of
from .gradients import deltas, per_example_grad_norms
from .layers import summary
from .planes import Plane, plane_of_features, principal_plane
from .recorder import Record, Recorder, count_bytes, thin

__all__ = [
    "Plane",
    "Record",
    "Recorder",
    "count_bytes",
    "decide",
    "deltas",
    "even_odds",
    "per_example_grad_norms",
    "plane_of_features",
    "principal_plane",
    "probabilities_of",
    "summary",
    "thin",
]
