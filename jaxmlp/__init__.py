"""Multilayer perceptrons as pure functions on JAX."""

from jaxlib.version import __version__ as _jaxlib_version

from . import losses, metrics
from .config import MLPConfig
from .data import DataLoader
from .forward import Layer, apply, intermediates
from .gradients import per_example_grad_norms
from .init import MupLabels, init_params, mup_labels
from .inspection import summary
from .losses.loss_function import make_loss, weighted_mean
from .metrics import Metric
from .train_step import TrainState, init_state, kernel_mask, make_train_step
from .types import Batch, Dense, LossFn, Norm, Params
from .versions import warn_if_miscompiling as _warn_if_miscompiling

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "DataLoader",
    "Dense",
    "Layer",
    "LossFn",
    "MLPConfig",
    "Metric",
    "MupLabels",
    "Norm",
    "Params",
    "TrainState",
    "apply",
    "init_params",
    "init_state",
    "intermediates",
    "kernel_mask",
    "losses",
    "make_loss",
    "make_train_step",
    "metrics",
    "mup_labels",
    "per_example_grad_norms",
    "summary",
    "weighted_mean",
]

_warn_if_miscompiling(_jaxlib_version)
