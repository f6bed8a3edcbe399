"""Turns the names of activations into modules of PyTorch's with their settings, and back."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..layer_parts import refuse
from ..operations import Activate, Gate, Operation
from ..partners import import_partner


class Known(NamedTuple):
    """An activation of ours, and the class of `torch.nn` and its settings that equal it."""

    name: str
    module: str
    settings: dict[str, Any]


# Of several names of one function the first is that which comes back.
KNOWN = (
    Known("celu", "CELU", {"alpha": 1.0}),
    Known("elu", "ELU", {"alpha": 1.0}),
    Known("gelu", "GELU", {"approximate": "tanh"}),
    Known("gelu_exact", "GELU", {"approximate": "none"}),
    Known("glu", "GLU", {"dim": -1}),
    Known("hard_sigmoid", "Hardsigmoid", {}),
    Known("hard_silu", "Hardswish", {}),
    Known("hard_swish", "Hardswish", {}),
    Known("hard_tanh", "Hardtanh", {"min_val": -1.0, "max_val": 1.0}),
    Known("relu6", "Hardtanh", {"min_val": 0.0, "max_val": 6.0}),
    Known("leaky_relu", "LeakyReLU", {"negative_slope": 0.01}),
    Known("log_sigmoid", "LogSigmoid", {}),
    Known("mish", "Mish", {}),
    Known("relu", "ReLU", {}),
    Known("selu", "SELU", {}),
    Known("sigmoid", "Sigmoid", {}),
    Known("silu", "SiLU", {}),
    Known("soft_sign", "Softsign", {}),
    Known("softmax", "Softmax", {"dim": -1}),
    Known("softplus", "Softplus", {"beta": 1.0}),
    Known("swish", "SiLU", {}),
    Known("tanh", "Tanh", {}),
)
_REMEDY = (
    "Put such a module in its place, import that, and put your function, as a jaxmlp.Activation, "
    "into the config that comes back."
)


def make_activation(name: str) -> Any:
    """Returns the module of an activation or a gate.

    Args:
        name: Our name.
    """
    nn = import_partner("torch", "torch").nn
    known = next((each for each in KNOWN if each.name == name), None)
    if known is None:
        from .layers import Elementwise
        from .layers import Gate as GateModule

        return GateModule(name) if name in ("geglu", "reglu", "swiglu") else Elementwise(name)
    # Above its threshold PyTorch's softplus(x) is x: at 20, its default, 2e-9 too low for float64.
    threshold = {"threshold": 40.0} if name == "softplus" else {}
    return getattr(nn, known.module)(**known.settings, **threshold)


def read_activation(subject: str, module: Any, dtype: str) -> Operation | None:
    """Returns the operation of an activation module, or `None` if the module is none.

    Args:
        subject: What errors and labels call the module.
        module: Any module.
        dtype: The type of the network's parameters.

    Raises:
        ValueError: It has settings that no activation of ours has.
    """
    nn = import_partner("torch", "torch").nn
    # A class that inherits the computation, such as nn.ReLU6 from nn.Hardtanh, computes the same.
    ours = [each for each in KNOWN if type(module).forward is getattr(nn, each.module).forward]
    if not ours:
        return None
    if ours[0].module == "Softplus":
        _check_threshold(subject, module, dtype)
    for known in ours:
        if all(_equal(name, getattr(module, name), v) for name, v in known.settings.items()):
            return (
                Gate(known.name, subject) if known.name == "glu" else Activate(known.name, subject)
            )
    wanted = " or ".join(f"{each.module}({_shown(each.settings)})" for each in ours)
    return refuse(subject, f"be {wanted}", repr(module), _REMEDY)


def _equal(setting: str, got: Any, wanted: Any) -> bool:
    # The features of rows are axis 1, which is the last.
    return got == wanted or (setting == "dim" and got == 1)


def _shown(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _check_threshold(subject: str, module: Any, dtype: str) -> None:
    """Softplus is x above its threshold t: exact to rounding if log1p(exp(-t)) < eps / 2 * t."""
    computed = np.dtype("float64" if dtype == "float64" else "float32")
    eps = float(np.finfo(computed).eps) if dtype in ("float32", "float64") else 2.0**-11
    highest = math.log(float(np.finfo(computed).max))
    t = module.threshold
    if not (0 < t <= highest and math.log1p(math.exp(-t)) < eps / 2 * t):
        requirement = (
            f"have a threshold above which softplus is x in {dtype}, and at most {highest:.0f}"
        )
        remedy = "Set module.threshold = 40.0: it is exact to the last digit there, in all types."
        refuse(subject, requirement, f"threshold={t}", remedy)
