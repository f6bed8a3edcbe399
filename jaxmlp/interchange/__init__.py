"""Other libraries' networks in, and ours out: exactly, or refused by name.

In reading order: `operations` (a network as a list of plain operations), `layer_parts` and
`recognition` (such a list as a network); `orbax`, a module of its own. Of other libraries, each
imported when it is needed by `partners`: PyTorch in `torch_layers`, `torch_activations`,
`torch_modules` and `pytorch`; scikit-learn in `scikit_learn` and `sklearn_estimators`; Keras
in `keras_layers`, `keras_models` and `keras_reading`; those of JAX by `jax_functions`, Equinox in
`equinox_mlp`, Flax in `flax_layers`, `flax_reading`, `flax_nnx` and `flax_linen`.
"""

import importlib as _importlib
from typing import TYPE_CHECKING

from ..checks import did_you_mean as _did_you_mean

if TYPE_CHECKING:
    from .equinox_mlp import from_equinox, to_equinox
    from .flax_linen import from_linen, to_linen
    from .flax_nnx import from_nnx, to_nnx
    from .keras_models import to_keras
    from .keras_reading import from_keras
    from .pytorch import from_torch, to_torch
    from .scikit_learn import to_sklearn
    from .sklearn_estimators import from_sklearn

__all__ = [
    "from_equinox",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_sklearn",
    "from_torch",
    "to_equinox",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_sklearn",
    "to_torch",
]

# Imported when they are first asked for.
_HOMES = {
    "from_equinox": "equinox_mlp",
    "from_keras": "keras_reading",
    "from_linen": "flax_linen",
    "from_nnx": "flax_nnx",
    "from_sklearn": "sklearn_estimators",
    "from_torch": "pytorch",
    "to_equinox": "equinox_mlp",
    "to_keras": "keras_models",
    "to_linen": "flax_linen",
    "to_nnx": "flax_nnx",
    "to_sklearn": "scikit_learn",
    "to_torch": "pytorch",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(_importlib.import_module(f".{_HOMES[name]}", __name__), name)
    hint = _did_you_mean(name, __all__, "interchange")
    raise AttributeError(f"jaxmlp.interchange has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
