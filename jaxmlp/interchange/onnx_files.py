"""Turns a network into an ONNX file, which needs no JAX, and such files into networks."""

import dataclasses
import importlib
import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from ..checks import require_int, require_name, require_path
from ..network import MLPConfig, Params, Standardization
from ..storage import CheckpointError, named_params, open_regular, write_atomically
from .recognition import network_of

WrittenDType: TypeAlias = Literal["float16", "float32", "float64"]


def to_onnx(
    path: str | Path,
    config: MLPConfig,
    params: Params,
    *,
    opset: int = 18,
    dtype: WrittenDType | None = None,
) -> None:
    """Writes a network as one ONNX file, or leaves the file that was there.

    The model has one input `x` of shape ("batch", in_features), of the type of the parameters, or
    of the statistics by which they standardise rows. Its output is `logits`, `probabilities` after
    a softmax or a sigmoid, or `outputs` after another activation. An ensemble is one graph with the
    outputs `mean` and `deviation`, over members and in at least float32: the mean of the
    `jaxmlp.ensembles.mixture_moments` of the members' outputs, and the root of its `epistemic`.

    Numbers are computed in the types of the network, except in bfloat16, which CPUs are bad at:
    what the network computes in bfloat16 the model computes in float32, of the same parameters.
    Operators stand for activations where they are exact in the type; where they are not, or came
    into ONNX after `opset`, formulas do. Dropout is left out. The config is in the metadata, and
    equal networks give equal bytes.

    Args:
        path: The file, usually `*.onnx`; its directory exists. A link is followed.
        config: The network.
        params: Its parameters, or those of an ensemble, with a member axis in front.
        opset: Version of ONNX's operators, 13 to 25; runtimes know all up to one.
        dtype: Type to which parameters are rounded, or widened, and in which all is computed;
            `None` leaves them as they are.

    Raises:
        ImportError: The package onnx is not installed.
        OSError: It could not be written; the message tells why and what to do.
        TypeError: An argument has another type.
        ValueError: `params` are not those of `config`, an activation is a function of your own,
            `opset` or `dtype` is out of range, numbers would be of 64 bits while JAX has such types
            switched off, or the file would be larger than 2 GiB.

    Example:
        >>> import tempfile
        >>> from jaxmlp import init_params
        >>> path = Path(tempfile.mkdtemp()) / "network.onnx"
        >>> config = MLPConfig(in_features=2, out_features=1)
        >>> to_onnx(path, config, init_params(config, key=jax.random.key(0)))
        >>> from_onnx(path)[0] == config
        True

    References:
        Open Neural Network Exchange, https://onnx.ai/onnx/repo-docs/IR.html
    """
    require_path("path", path)
    _require_onnx("to_onnx")
    from .onnx import MAX_OPSET, MIN_OPSET, TYPES, bytes_of

    require_int("opset", opset, MIN_OPSET, MAX_OPSET + 1)
    if dtype is not None:
        require_name("dtype", dtype, TYPES)
    if dtype is not None:
        named_params(config, params)
        config, params = _converted(config, params, dtype)
    write_atomically(path, [bytes_of(config, params, int(opset))], follow_links=True)


def from_onnx(path: str | Path) -> tuple[MLPConfig, Params]:
    """Reads the network that an ONNX file computes.

    Files of `to_onnx` give the config and the parameters back bit for bit, ensembles too. Of files
    from elsewhere, as torch.onnx, skl2onnx and Keras write them, the graph is read: dense layers
    (Gemm, or MatMul and Add), activations and norms as operators or written out, gates, residual
    sums, a standardisation of the rows. What does nothing in predictions is left out: dropout,
    identities, casts to the same type, reshapes to the same shape; so are the labels of a
    classifier, and of two classes the first one's probability, 1 - p.

    Nothing is approximated, and nothing in a file is run: what is no MLP of ours is refused by
    node. A file may come from anybody: sizes are checked before memory is taken, and no other file
    that it names is opened.

    Args:
        path: The file, of at most 2 GiB.

    Returns:
        The config and the parameters.

    Raises:
        CheckpointError: It is no ONNX model, or is damaged.
        ImportError: The package onnx is not installed.
        OSError: It cannot be read.
        TypeError: `path` is something else.
        ValueError: It is no MLP of ours, which the message tells by node; or it has 64-bit arrays
            while JAX has 64-bit types switched off.
    """
    require_path("path", path)
    _require_onnx("from_onnx")
    from .onnx import network_in, operations_in, parse

    try:
        model = parse(_read(path))
        return network_in(model) or network_of(operations_in(model))
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be taken: {error}") from None


def _read(path: str | Path) -> bytes:
    with open_regular(path, os.O_RDONLY, follow_links=True) as descriptor:
        size = os.fstat(descriptor).st_size
        # The format's own limit.
        if size >= 1 << 31:
            raise CheckpointError(f"it has {size} bytes, and ONNX models have less than 2 GiB.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(size)


def _converted(config: MLPConfig, params: Params, dtype: str) -> tuple[MLPConfig, Params]:
    """The network with all numbers in one type, and statistics in at least float32."""
    numbers: Params = jax.tree.map(np.array, params._replace(standardization=None))
    numbers = jax.tree.map(lambda a: a.astype(dtype), numbers)
    if params.standardization is not None:
        wide = np.promote_types(dtype, "float32")
        statistics: list[Any] = [np.array(a).astype(wide) for a in params.standardization]
        numbers = numbers._replace(standardization=Standardization(*statistics))
    return dataclasses.replace(config, param_dtype=dtype, compute_dtype=None), numbers


def _require_onnx(function: str) -> None:
    try:
        importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError(
            f"jaxmlp.interchange.{function} needs onnx, which is not installed; "
            "pip install 'jaxmlp[onnx]'."
        ) from error
