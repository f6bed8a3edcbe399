"""Other libraries' networks in, and ours out: exactly, or refused by name.

In reading order: `operations` (a network as a list of plain operations), `layer_parts` and
`recognition` (such a list as a network); `numpy_functions` and `numpy_module` (a network as one
Python module); `c_functions`, `c_steps` and `c_header` (as one C header);
`stablehlo` (as a program for JAX); `onnx` and its door `onnx_files` (as an ONNX file, and from
such files); `orbax`, a module of its own.
"""

from ..checks import did_you_mean as _did_you_mean
from .c_header import to_c
from .numpy_module import to_numpy
from .onnx_files import from_onnx, to_onnx
from .stablehlo import from_stablehlo, to_stablehlo

__all__ = ["from_onnx", "from_stablehlo", "to_c", "to_numpy", "to_onnx", "to_stablehlo"]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "interchange")
    raise AttributeError(f"jaxmlp.interchange has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
