"""Other libraries' networks in, and ours out: exactly, or refused by name.

In reading order: `operations` (a network as a list of plain operations), `layer_parts` and
`recognition` (such a list as a network); `onnx` and its door `onnx_files`; `orbax`, a module of its
own. A partner's package is imported where it is first needed.
"""

from ..checks import did_you_mean as _did_you_mean
from .onnx_files import from_onnx, to_onnx

__all__ = ["from_onnx", "to_onnx"]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "interchange")
    raise AttributeError(f"jaxmlp.interchange has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
