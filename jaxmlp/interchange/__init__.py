"""Other libraries' networks in, and ours out: exactly, or refused by name.

In reading order: `operations` (a network as a list of plain operations), `layer_parts` and
`recognition` (such a list as a network), `partners` (imports other libraries when they are needed).
What runs without them: `numpy_functions` and `numpy_outputs` (such a list as a function),
`ahead_of_time` (programs in this process), `numpy_module` (a network as one Python module), `c` (as
one C header), `stablehlo` (as a program for JAX), `onnx` and its door `onnx_files`. Other
libraries: `torch`, `scikit_learn`, `keras`; of those that compute by JAX, with its `jax_functions`,
`equinox_mlp` and `flax`. And `orbax`, a module of its own.
"""

from ..checks import did_you_mean as _did_you_mean
from .c import to_c
from .equinox_mlp import from_equinox, to_equinox
from .flax import from_linen, from_nnx, to_linen, to_nnx
from .keras import from_keras, to_keras
from .numpy_module import to_numpy
from .onnx_files import from_onnx, to_onnx
from .scikit_learn import from_sklearn, to_sklearn
from .stablehlo import from_stablehlo, to_stablehlo
from .torch import from_torch, to_torch

__all__ = [
    "from_equinox",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_onnx",
    "from_sklearn",
    "from_stablehlo",
    "from_torch",
    "to_c",
    "to_equinox",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_numpy",
    "to_onnx",
    "to_sklearn",
    "to_stablehlo",
    "to_torch",
]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "interchange")
    raise AttributeError(f"jaxmlp.interchange has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
