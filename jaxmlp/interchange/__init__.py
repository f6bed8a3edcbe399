"""Other libraries' networks in, and ours out: exactly, or refused by name.

In reading order: `operations` (a network as a list of plain operations), `layer_parts` and
`recognition` (such a list as a network); `numpy_functions` and `numpy_module` (a network as one
Python module); `c_functions`, `c_steps` and `c_header` (as one C header);
`stablehlo` (as a program for JAX); `onnx` and its door `onnx_files` (as an ONNX file, and from
such files); `orbax`, a module of its own. Of other libraries, which
`partners` imports when they are needed: PyTorch in `torch_layers`, `torch_activations`,
`torch_modules` and `pytorch`; scikit-learn in `scikit_learn` and `sklearn_estimators`; Keras in
`keras_layers`, `keras_models` and `keras_reading`; those that compute by JAX with its
`jax_functions`, Equinox in `equinox_mlp` and Flax in `flax_layers`, `flax_reading`, `flax_nnx` and
`flax_linen`.
"""

from ..checks import did_you_mean as _did_you_mean
from .c_header import to_c
from .equinox_mlp import from_equinox, to_equinox
from .flax_linen import from_linen, to_linen
from .flax_nnx import from_nnx, to_nnx
from .keras_models import to_keras
from .keras_reading import from_keras
from .numpy_module import to_numpy
from .onnx_files import from_onnx, to_onnx
from .pytorch import from_torch, to_torch
from .scikit_learn import to_sklearn
from .sklearn_estimators import from_sklearn
from .stablehlo import from_stablehlo, to_stablehlo

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
