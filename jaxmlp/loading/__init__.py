"""From rows to batches: which row comes when, and how rows are read, ahead and in one shape.

In reading order: `order` (random words, permutations), `samplers`, `batching` (an order cut into
batches), `placement` (over devices), `row_parts` (rows of which each process holds its own),
`window_order` (rows of files), `epoch_order` (all of these for one epoch); `thread_settings`,
`streaming` (read ahead by a thread), `reading`; `transforms`, `positions` (where an iteration
stands, to go on there), `splitting`.
"""

from . import positions
from .batching import cut_order, join_windows
from .epoch_order import make_order
from .order import permutation, permutations, philox_words
from .placement import on_all, place_whole, with_automatic_axes
from .positions import changed_settings, check_state, read_position
from .reading import make_reader
from .samplers import StratifiedSampler, WeightedSampler, class_weights
from .splitting import train_test_split
from .streaming import Block
from .thread_settings import settings_of_this_thread, using_settings, with_settings_of_this_thread
from .transforms import JittedTransform, Transform, apply_transform

__all__ = [
    "Block",
    "JittedTransform",
    "StratifiedSampler",
    "Transform",
    "WeightedSampler",
    "apply_transform",
    "changed_settings",
    "check_state",
    "class_weights",
    "cut_order",
    "join_windows",
    "make_order",
    "make_reader",
    "on_all",
    "permutation",
    "permutations",
    "philox_words",
    "place_whole",
    "positions",
    "read_position",
    "settings_of_this_thread",
    "train_test_split",
    "using_settings",
    "with_automatic_axes",
    "with_settings_of_this_thread",
]
