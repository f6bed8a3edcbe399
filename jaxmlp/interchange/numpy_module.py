"""Turns a network into one Python module that needs NumPy alone, as text with the arrays inside."""

import base64
import inspect
import re
import string
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import __version__, require_path
from ..network import MLPConfig, Params
from ..storage import write_atomically
from . import numpy_functions
from .numpy_outputs import ALIASES, GATES
from .operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Gate,
    Normalise,
    Operations,
    Standardise,
    StartSkip,
    input_dtype,
    is_ensemble,
    member_operations,
    widened,
    with_types,
)

_TEMPLATE = string.Template('''"""$title.

Written by jaxmlp $version. It needs NumPy alone; `predict` computes outputs.
"""

$imports
import numpy as np


def array(dtype, shape, text):
    """Returns the array of the bytes that a text stands for."""
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


${functions}def predict(x):
    """Turns rows, shape (*batch, $in_features), into $returns."""
    x = np.asarray(x)
    if x.ndim == 0 or x.shape[-1] != $in_features:
        raise ValueError(f"x must have $in_features features in its last axis; got {x.shape}.")
    with np.errstate(all="ignore"):
        h = x.reshape(-1, $in_features).astype("$dtype")
$steps
        return $result


$arrays
''')


def to_numpy(path: str | Path, config: MLPConfig, params: Params) -> None:
    """Writes a network as one Python module, which needs NumPy and nothing else.

    Its `predict(x)` takes any number of rows, shape (*batch, in_features), and returns outputs,
    shape (*batch, out_features), as `jaxmlp.apply` does; of an ensemble it returns the mean of the
    members' outputs and their standard deviation over members. It computes in float32 or float64:
    16-bit networks in float32, with the same parameters. Members' outputs are averaged as they are:
    give a config with `output_activation="softmax"` for the mean of probabilities.

    Args:
        path: The file, usually `*.py`; its directory exists.
        config: The network.
        params: Its parameters, or those of an ensemble with a leading member axis.

    Raises:
        OSError: It could not be written.
        TypeError: `path` is no path, `config` no `MLPConfig`, or `params` no `Params`.
        ValueError: `params` are not those of `config`, or an activation is a function of your own.

    Example:
        >>> import tempfile, runpy
        >>> import jax, jaxmlp
        >>> config = jaxmlp.MLPConfig(in_features=2, hidden_features=(8,), out_features=3)
        >>> params = jaxmlp.init_params(config, key=jax.random.key(0))
        >>> path = Path(tempfile.mkdtemp()) / "network.py"
        >>> to_numpy(path, config, params)
        >>> runpy.run_path(str(path))["predict"](np.zeros((5, 2))).shape
        (5, 3)
    """
    require_path("path", path)
    members = tuple(map(widened, member_operations(config, params)))
    text = module_text(members, config, joins=is_ensemble(params))
    write_atomically(path, [text.encode()], follow_links=True)


def module_text(members: tuple[Operations, ...], config: MLPConfig, *, joins: bool) -> str:
    """Writes the module of one network, or of an ensemble whose members it joins.

    Args:
        members: Operations of each member, none in 16 bits.
        config: The network.
        joins: Whether outputs are the mean and the deviation of the members.
    """
    operations = _joined(members) if joins else members[0]
    arrays: list[str] = []
    steps = "\n".join(_steps(operations, arrays))
    functions = _sources(steps)
    shape = f".reshape(*x.shape[:-1], {config.out_features})"
    title = f"A multilayer perceptron of {config.in_features} inputs, {config.out_features} outputs"
    returns = "the mean and the standard deviation over members" if joins else "outputs"
    return _TEMPLATE.substitute(
        title=f"{title} and {len(members)} members" if joins else title,
        version=__version__,
        imports="import base64\n" + ("import math\n" if "math." in functions else ""),
        functions=functions,
        returns=f"{returns}, shape (*batch, {config.out_features})" + (" each" if joins else ""),
        in_features=config.in_features,
        dtype=input_dtype(operations),
        steps=textwrap.indent(steps, " " * 8),
        result=f"h.mean(axis=0){shape}, h.std(axis=0){shape}" if joins else f"h{shape}",
        arrays="\n".join(arrays),
    )


def _joined(members: tuple[Operations, ...]) -> Operations:
    """Operations whose arrays have a member axis first, and vectors one for rows, too."""

    def join(values: tuple[Any, ...]) -> Any:
        if not isinstance(values[0], np.ndarray):
            return values[0]
        return np.stack(values) if values[0].ndim == 2 else np.stack(values)[:, None]

    by_place = zip(*members, strict=True)
    return tuple(type(each[0])(*map(join, zip(*each, strict=True))) for each in by_place)


def _steps(operations: Operations, arrays: list[str]) -> Iterator[str]:
    """Writes a line per operation, and adds the arrays that it names."""
    layer = -1

    def named(name: str, value: np.ndarray, dtype: str) -> str:
        arrays.append(_array(name, value.astype(dtype)))
        return name

    for dtype, operation in with_types(operations):
        match operation:
            case Standardise(mean, scale):
                yield f"h = (h - {named('MEAN', mean, dtype)}) / {named('SCALE', scale, dtype)}"
            case Cast(target):
                yield f'h = h.astype("{target}")'
            case Affine(kernel, bias):
                layer += 1
                yield f"h = h @ {named(f'KERNEL_{layer}', kernel, dtype)}"
                if bias is not None:
                    yield f"h = h + {named(f'BIAS_{layer}', bias, dtype)}"
            case Normalise(kind, scale, bias, epsilon):
                yield f"h = {kind}_norm(h, {epsilon!r})"
                if scale is not None:
                    yield f"h = h * {named(f'NORM_SCALE_{layer}', scale, dtype)}"
                if bias is not None:
                    yield f"h = h + {named(f'NORM_BIAS_{layer}', bias, dtype)}"
            case Activate(name):
                yield f"h = {ALIASES.get(name, name)}(h)"
            case Gate(name):
                yield f"h = gated(h, {GATES[name]})"
            case StartSkip():
                yield "kept = h"
            case AddSkip():
                yield "h = kept + h"


def _array(name: str, value: np.ndarray) -> str:
    """An assignment that gives the array bit for bit."""
    value = value.astype(value.dtype.newbyteorder("<"))
    text = "\n".join(textwrap.wrap(base64.b64encode(value.tobytes()).decode(), 96))
    return f'{name} = array("{value.dtype.str}", {value.shape}, """\n{text}""")'


def _sources(text: str) -> str:
    """The functions that a text names, and those that these name, in the order of their file."""
    parts = re.split(r"\n\n\n?(?=def |_erfc)", inspect.getsource(numpy_functions))[1:]
    sources = {part.removeprefix("def ").split("(")[0].split()[0]: part.strip() for part in parts}
    needed: set[str] = set()
    while new := {name for name in sources if re.search(rf"\b{name}\b", text)} - needed:
        needed |= new
        text = "\n".join(sources[name] for name in new)
    return "".join(f"{sources[name]}\n\n\n" for name in sources if name in needed)
