"""Multilayer perceptrons as pure functions on JAX."""

from jaxlib.version import __version__ as _jaxlib_version

from . import ensembles, losses, metrics, sources
from .checkpoint import load, save
from .compilation import enable_compilation_cache
from .config import MLPConfig
from .container import CheckpointError
from .data import DataLoader
from .ensembles import MembersResult, SearchResult, fit_members, search
from .forward import Layer, apply, intermediates
from .gradients import per_example_grad_norms
from .init import MupLabels, init_params, mup_labels
from .inspection import summary
from .losses.loss_function import make_loss, weighted_mean
from .metrics import Metric
from .nonfinite import NonFiniteError
from .samplers import StratifiedSampler, WeightedSampler, class_weights
from .splitting import train_test_split
from .standardization import with_standardization
from .train_step import TrainState, init_state, kernel_mask, make_train_step
from .training import FitResult, fit
from .types import Batch, Dense, LossFn, Norm, Params, Standardization
from .versions import __version__ as __version__
from .versions import warn_if_miscompiling as _warn_if_miscompiling
from .writer import Checkpoints

__all__ = [
    "Batch",
    "CheckpointError",
    "Checkpoints",
    "DataLoader",
    "Dense",
    "FitResult",
    "Layer",
    "LossFn",
    "MLPConfig",
    "MembersResult",
    "Metric",
    "MupLabels",
    "NonFiniteError",
    "Norm",
    "Params",
    "SearchResult",
    "Standardization",
    "StratifiedSampler",
    "TrainState",
    "WeightedSampler",
    "apply",
    "class_weights",
    "enable_compilation_cache",
    "ensembles",
    "fit",
    "fit_members",
    "init_params",
    "init_state",
    "intermediates",
    "kernel_mask",
    "load",
    "losses",
    "make_loss",
    "make_train_step",
    "metrics",
    "mup_labels",
    "per_example_grad_norms",
    "save",
    "search",
    "sources",
    "summary",
    "train_test_split",
    "weighted_mean",
    "with_standardization",
]

_warn_if_miscompiling(_jaxlib_version)
