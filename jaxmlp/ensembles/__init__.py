"""Many networks at once: ensembles, sweeps over hyperparameters, cross-validation."""

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
from .selection import select_greedily
from .weights import bootstrap_weights, fold_weights
from .widths import crop_widths, pad_widths

__all__ = [
    "Group",
    "MembersResult",
    "Mixture",
    "Settings",
    "Uncertainty",
    "bootstrap_weights",
    "class_uncertainty",
    "crop_widths",
    "fit_members",
    "fold_weights",
    "majority_vote",
    "mean_probabilities",
    "member_quantiles",
    "mixture_moments",
    "pad_widths",
    "select_greedily",
]
