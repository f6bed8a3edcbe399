"""Networks for tables: statistics of columns, embeddings of numbers, recipes, each part a function.

In reading order: `standardization` (mean and scale of every feature), `quantiles`, `scaling` (by
them), `embeddings` (of numbers), `schedules`, `layers` (that members share), `network`, `starts`
(its first parameters), `recipes` (settings as data), `steps` (a recipe as a loss and an optimizer,
which `jaxmlp.fit` takes).
"""

from ..checks import did_you_mean as _did_you_mean
from .embeddings import (
    Bins,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    init_periodic_embedding,
    init_piecewise_linear_embedding,
    periodic_embedding,
    piecewise_linear_embedding,
    piecewise_linear_encoding,
    quantile_bins,
)
from .layers import SharedDense, fit_layer, parametric_activation, shared_dense
from .network import (
    TabularConfig,
    TabularParams,
    TabularRows,
    apply_tabular,
    embed_rows,
)
from .quantiles import weighted_quantiles
from .recipes import Recipe, choose_recipe, for_few_rows, realmlp, tabm
from .scaling import (
    RobustScaling,
    fit_robust_scaling,
    one_hot_columns,
    robust_scale,
    smooth_clip,
)
from .schedules import coslog4, flat_cos
from .standardization import with_standardization
from .starts import init_tabular
from .steps import (
    TabularLoss,
    TabularModel,
    TabularOptimizer,
    TabularSettings,
    pack_settings,
)

__all__ = [
    "Bins",
    "PeriodicEmbedding",
    "PiecewiseLinearEmbedding",
    "Recipe",
    "RobustScaling",
    "SharedDense",
    "TabularConfig",
    "TabularLoss",
    "TabularModel",
    "TabularOptimizer",
    "TabularParams",
    "TabularRows",
    "TabularSettings",
    "apply_tabular",
    "choose_recipe",
    "coslog4",
    "embed_rows",
    "fit_layer",
    "fit_robust_scaling",
    "flat_cos",
    "for_few_rows",
    "init_periodic_embedding",
    "init_piecewise_linear_embedding",
    "init_tabular",
    "one_hot_columns",
    "pack_settings",
    "parametric_activation",
    "periodic_embedding",
    "piecewise_linear_embedding",
    "piecewise_linear_encoding",
    "quantile_bins",
    "realmlp",
    "robust_scale",
    "shared_dense",
    "smooth_clip",
    "tabm",
    "weighted_quantiles",
    "with_standardization",
]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "tabular")
    raise AttributeError(f"jaxmlp.tabular has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
