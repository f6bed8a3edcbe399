"""Many networks at once: ensembles, searches for hyperparameters, cross-validation."""

from .candidates import draw_candidates, grid, integers, log_uniform, uniform
from .halving import Halving
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
from .recipes import Settings
from .results import Group, MembersResult
from .searching import SearchResult, search
from .selection import select_greedily
from .weights import bootstrap_weights, fold_weights
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
    "search",
    "select_greedily",
    "uniform",
]
