"""Turns modules of PyTorch's into plain operations, or into an error that names the module."""

from collections.abc import Iterator
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np

from ..layer_parts import refuse
from ..operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Dropout,
    Gate,
    Normalise,
    Operation,
    Standardise,
    StartSkip,
)
from ..partners import import_partner
from .activations import read_activation

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_OURS = (
    "be one that a network here has: nn.Sequential, nn.Linear, nn.LayerNorm, nn.RMSNorm, "
    "nn.Dropout, nn.Identity, nn.Flatten, or an activation"
)
_INSTEAD = {
    "BatchNorm1d": "In eval mode it is part of the dense layer before it: "
    "torch.nn.utils.fusion.fuse_linear_bn_eval(linear, norm) computes that layer, with rounding.",
    "LogSoftmax": "Leave it out: losses here take logits.",
    "RecursiveScriptModule": "Give the module that was scripted.",
    "OptimizedModule": "Give what was compiled: module._orig_mod.",
    "DataParallel": "Give what it holds: module.module.",
    "DistributedDataParallel": "Give what it holds: module.module.",
}
_UNMADE = "Call the module on rows once, or load a state into it."
_APART = (
    "If its forward is a chain of such modules, give them as nn.Sequential(...), with the same "
    "parameters."
)


def read_module(name: str, module: Any, dtype: str) -> Iterator[Operation]:
    """Reads a module, and those within it in order.

    Args:
        name: Its name in the whole, as "0.2"; "" for the whole.
        module: The module.
        dtype: The type of the whole module's parameters.

    Raises:
        ValueError: It is, or holds, what no network here has.
    """
    from . import layers

    nn = import_partner("torch", "torch").nn
    forward = getattr(type(module), "forward", None)
    is_chain = forward in (nn.Sequential.forward, layers.Residual.forward)
    label = f"module {name!r}" if name else "module"
    # Of a module with others in it the text has many lines.
    shown = f"a {type(module).__name__}" if any(module.children()) else repr(module)
    subject = f"{label}, {shown},"
    _refuse_changed(subject, module)
    if not is_chain:
        yield from _read_leaf(subject, label, module, dtype)
        return
    skips = forward is layers.Residual.forward
    if skips:
        yield StartSkip(label)
    for child, each in module.named_children():
        yield from read_module(f"{name}.{child}" if name else child, each, dtype)
    if skips:
        yield AddSkip(label)


def _read_leaf(subject: str, label: str, module: Any, dtype: str) -> Iterator[Operation]:
    from . import layers

    nn = import_partner("torch", "torch").nn
    forward = getattr(type(module), "forward", None)
    activation = read_activation(subject, module, dtype)
    flat = ((1, -1), (1, 1))
    if activation is not None:
        yield activation._replace(label=label)
    elif forward in (nn.Linear.forward, layers.MixedLinear.forward):
        yield Affine(_as_array(subject, module.weight).T, _as_array(subject, module.bias), label)
    elif forward in (nn.LayerNorm.forward, layers.MixedLayerNorm.forward):
        yield _norm(subject, label, "layer", module, dtype)
    elif forward in (nn.RMSNorm.forward, layers.MixedRMSNorm.forward):
        yield _norm(subject, label, "rms", module, dtype)
    elif forward is nn.Dropout.forward:
        if module.p == 1:
            refuse(subject, "keep some units", "p=1.0", "Leave it out, or set another p.")
        yield Dropout(module.p, label)
    elif forward is layers.Elementwise.forward:
        yield Activate(module.name, label)
    elif forward is layers.Gate.forward:
        yield Gate(module.name, label)
    elif forward is layers.Cast.forward:
        yield Cast(module.dtype, label)
    elif forward is layers.Standardise.forward:
        mean, scale = (_as_array(subject, each) for each in (module.mean, module.scale))
        yield Standardise(mean, scale, label)
    elif forward is nn.Flatten.forward and (module.start_dim, module.end_dim) in flat:
        return
    elif forward is not nn.Identity.forward:
        _refuse_kind(subject, module)


def _norm(subject: str, label: str, kind: str, module: Any, dtype: str) -> Normalise:
    if len(module.normalized_shape) != 1:
        got = f"normalized_shape={tuple(module.normalized_shape)}"
        refuse(subject, "act over the features of a row", got, "Rows here have one axis.")
    epsilon = module.eps
    if epsilon is None:
        if dtype not in ("float32", "float64"):
            remedy = "Set module.eps to what PyTorch computes with."
            refuse(subject, f"have an epsilon in {dtype}", "eps=None", remedy)
        # What PyTorch takes in place of None.
        epsilon = float(np.finfo(dtype).eps)
    bias = getattr(module, "bias", None)
    return Normalise(
        *(kind, _as_array(subject, module.weight), _as_array(subject, bias)), epsilon, label
    )


def _refuse_kind(subject: str, module: Any) -> NoReturn:
    kind, home = type(module).__name__, type(module).__module__
    shown = kind if home.startswith("torch.nn.modules.") else f"{home}.{kind}"
    refuse(subject, _OURS, f"a {shown}", _INSTEAD.get(kind, _APART))


def _refuse_changed(subject: str, module: Any) -> None:
    """Refuses modules that compute something else than their class says."""
    torch = import_partner("torch", "torch")
    if torch.nn.utils.parametrize.is_parametrized(module):
        names = sorted(module.parametrizations)
        remedy = "".join(
            f"Call torch.nn.utils.parametrize.remove_parametrizations(module, {name!r}). "
            for name in names
        )
        refuse(subject, "have plain parameters", f"parametrised {names}", remedy.strip())
    lazy = torch.nn.modules.lazy.LazyModuleMixin
    if isinstance(module, lazy) and module.has_uninitialized_params():
        refuse(subject, "have parameters with numbers", "none yet", _UNMADE)
    if hooks := [hook for hook in _HOOKS if getattr(module, hook, None)]:
        remedy = (
            "Remove them: the handle that registered one has remove(), and weight_norm and its "
            "like are removed by torch.nn.utils.remove_weight_norm."
        )
        refuse(subject, "have no hooks, which are functions of any kind", f"{hooks}", remedy)
    if type(module).__name__ in _INSTEAD:
        _refuse_kind(subject, module)
    if "forward" in vars(module):
        remedy = "Delete module.forward, which hides that of the class."
        refuse(subject, "compute what its class does", "a forward of its own", remedy)
    if type(module).__call__ is not torch.nn.Module.__call__:
        got = "a __call__ of its own around it"
        refuse(subject, "compute what its forward does", got, _APART)


def refuse_shared(module: Any) -> None:
    """Refuses weights in several places, which training here would change apart."""
    homes: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if id(parameter) in homes:
            got = f"those of {homes[id(parameter)]!r}"
            remedy = "Give copies, trained apart from here on: copy.deepcopy of the module."
            refuse(f"parameter {name!r}", "be its module's alone", got, remedy)
        homes[id(parameter)] = name


def _as_array(subject: str, tensor: Any) -> Any:
    torch = import_partner("torch", "torch")
    if tensor is None:
        return None
    if tensor.is_meta:
        refuse(subject, "have parameters with numbers", "none yet", _UNMADE)
    if tensor.layout is not torch.strided or tensor.is_quantized or "float8" in f"{tensor.dtype}":
        got = f"{tensor.dtype} of layout {tensor.layout}"
        remedy = "Convert it where it was made: to_dense(), dequantize() or to(torch.float32)."
        refuse(subject, "have dense parameters of 16 bits or more", got, remedy)
    plain = tensor.detach().cpu().contiguous()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.int16).numpy().view(jnp.bfloat16).copy()
    return plain.numpy().copy()
