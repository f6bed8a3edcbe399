"""Trains as scikit-learn's solvers do.

In reading order: `networks` (from scikit-learn's description of a network to ours), `orders`
(shuffles of a RandomState), `stochastic` (sgd and adam as a loss and an optimizer for `fit`),
`lbfgs`, `stopping` (whether to go on after an epoch), `training_loop`, `drop_in` (in which they
meet), `solver_members` (many of these fits in one program).
"""

from .drop_in import DropIn
from .networks import compute_in_blocks, compute_outputs, require_same_layers
from .solver_members import can_be_member, draw_alike, train_solver_members
from .training_loop import NOT_FINITE, SolverRun, train

__all__ = [
    "NOT_FINITE",
    "DropIn",
    "SolverRun",
    "can_be_member",
    "compute_in_blocks",
    "compute_outputs",
    "draw_alike",
    "require_same_layers",
    "train",
    "train_solver_members",
]
