"""Many networks at once: ensembles, searches for hyperparameters, cross-validation.

In reading order: `parallelism` (members to calls, threads, devices), `settings`, `factories` (loss
and optimizer of one member), `draws` (its parameters), `checks`, `weights`, `programs` (compiled,
with a member axis), `weight_effects`, `shared_orders`, `runs` (one call after the other), `memory`,
`machines`, `sweeps` (calls that fit into memory, in threads), `results`, `sweep_files`;
`piece_plans`, `cuts`, `workers`, `executors` and `remote_stages` (the same by workers elsewhere),
`piece_files`; `stages`, and `planned`, in which they meet; `members`, which makes the plan; then
`candidates`, `scores`, `halving`, `trials` and `searching`; `member_outputs`, `predictions`,
`selection`, `widths`.
"""

from ..checks import did_you_mean as _did_you_mean
from .candidates import draw_candidates, grid, integers, log_uniform, uniform
from .factories import Settings
from .halving import Halving
from .member_outputs import predict_members
from .members import fit_members
from .predictions import (
    Mixture,
    Uncertainty,
    class_uncertainty,
    majority_vote,
    mean_probabilities,
    member_quantiles,
    mixture_moments,
)
from .results import Group, MembersResult
from .searching import SearchResult, search
from .selection import select_greedily
from .weights import bootstrap_weights, fold_weights, rows_of_weights
from .widths import crop_widths, pad_widths

__all__ = [
    "Group",
    "Halving",
    "MembersResult",
    "Mixture",
    "SearchResult",
    "Settings",
    "Uncertainty",
    "bootstrap_weights",
    "class_uncertainty",
    "crop_widths",
    "draw_candidates",
    "fit_members",
    "fold_weights",
    "grid",
    "integers",
    "log_uniform",
    "majority_vote",
    "mean_probabilities",
    "member_quantiles",
    "mixture_moments",
    "pad_widths",
    "predict_members",
    "rows_of_weights",
    "search",
    "select_greedily",
    "uniform",
]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "ensembles")
    raise AttributeError(f"jaxmlp.ensembles has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
