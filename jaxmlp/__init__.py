"""Multilayer perceptrons as pure functions on JAX."""

import importlib
from typing import TYPE_CHECKING, Any

from jaxlib.version import __version__ as _jaxlib_version

from . import losses, metrics, sources
from .checks import __version__ as __version__
from .checks import did_you_mean as _did_you_mean
from .checks import warn_if_miscompiling as _warn_if_miscompiling
from .data import DataLoader
from .fitting import (
    FitResult,
    NonFiniteError,
    enable_compilation_cache,
    evaluate,
    param_shardings,
    predict,
)
from .forward import Layer, apply, intermediates
from .init import MupLabels, init_params, mup_labels
from .loading import StratifiedSampler, WeightedSampler, class_weights, train_test_split
from .losses.loss_function import make_loss
from .losses.weights import weighted_mean
from .metrics import Metric
from .network import Activation, Batch, Dense, LossFn, MLPConfig, Norm, Params, Standardization
from .optimizers import kernel_mask
from .storage import CheckpointError, Checkpoints, load, load_state, save, save_state
from .train_step import TrainState, init_state, make_train_step
from .training import fit

if TYPE_CHECKING:
    from . import ensembles, tabular
    from .ensembles import MembersResult, SearchResult, fit_members, search
    from .inspection import Recorder, deltas, per_example_grad_norms, summary
    from .interchange.ahead_of_time import compile_predict
    from .tabular import with_standardization

__all__ = [
    "Activation",
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
    "Recorder",
    "SearchResult",
    "Standardization",
    "StratifiedSampler",
    "TrainState",
    "WeightedSampler",
    "apply",
    "class_weights",
    "compile_predict",
    "deltas",
    "enable_compilation_cache",
    "ensembles",
    "evaluate",
    "fit",
    "fit_members",
    "init_params",
    "init_state",
    "intermediates",
    "kernel_mask",
    "load",
    "load_state",
    "losses",
    "make_loss",
    "make_train_step",
    "metrics",
    "mup_labels",
    "param_shardings",
    "per_example_grad_norms",
    "predict",
    "save",
    "save_state",
    "search",
    "sources",
    "summary",
    "tabular",
    "train_test_split",
    "weighted_mean",
    "with_standardization",
]

# Imported when they are first asked for, by room: most programs never do.
_LAZY = {
    "ensembles": ("MembersResult", "SearchResult", "ensembles", "fit_members", "search"),
    "inspection": ("Recorder", "deltas", "per_example_grad_norms", "summary"),
    "interchange.ahead_of_time": ("compile_predict",),
    "tabular": ("tabular", "with_standardization"),
}
# They need extras, or say so: modules of their own.
_EDGES = ("interchange", "plot", "report", "sklearn", "tensorboard")


def __getattr__(name: str) -> Any:
    if name in _EDGES:
        return importlib.import_module(f".{name}", __name__)
    for room, names in _LAZY.items():
        if name in names:
            module = importlib.import_module(f".{room}", __name__)
            return module if name == room else getattr(module, name)
    raise AttributeError(f"jaxmlp has no {name!r}.{_did_you_mean(name, __all__, 'jaxmlp')}")


def __dir__() -> list[str]:
    return sorted(__all__)


_warn_if_miscompiling(_jaxlib_version)
