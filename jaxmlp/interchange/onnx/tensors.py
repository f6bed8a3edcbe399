"""Turns NumPy arrays into tensors of an ONNX model, and checked tensors into arrays."""

import math
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from ...storage import CheckpointError

# The types in which networks are written; others are read as far as they are of use.
TYPES = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}
NAMES: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.BOOL: "bool",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.STRING: "string",
}
FLOATS = ("bfloat16", "float16", "float32", "float64")
_DTYPES: dict[str, Any] = {"bfloat16": ml_dtypes.bfloat16}
# Where a tensor's numbers stand if they are not in `raw_data`; 16 bits are there as integers.
_FIELDS = {
    "bfloat16": ("int32_data", np.uint16),
    "float16": ("int32_data", np.uint16),
    "float32": ("float_data", np.float32),
    "float64": ("double_data", np.float64),
    "bool": ("int32_data", np.bool_),
    "uint8": ("int32_data", np.uint8),
    "int8": ("int32_data", np.int8),
    "int16": ("int32_data", np.int16),
    "int32": ("int32_data", np.int32),
    "int64": ("int64_data", np.int64),
}
_ALL_FIELDS = (
    *("float_data", "int32_data", "string_data", "int64_data", "raw_data", "double_data"),
    "uint64_data",
)
_MAX_RANK = 8


def dtype_of(name: str) -> np.dtype:
    """The NumPy type of one of `NAMES`, little-endian as models are."""
    return np.dtype(_DTYPES.get(name, name)).newbyteorder("<")


def tensor_of(name: str, array: np.ndarray) -> TensorProto:
    """Returns an array of one of `TYPES`, or of int64, in a model's form."""
    wide = {**TYPES, "int64": TensorProto.INT64}[array.dtype.name]
    data = array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()
    return TensorProto(name=name, data_type=wide, dims=array.shape, raw_data=data)


def require_sound(tensor: TensorProto) -> str:
    """Returns the name of a tensor's type, if its bytes are those of its shape and in this file.

    Args:
        tensor: Any tensor, of which nothing is believed.

    Raises:
        CheckpointError: Its numbers are elsewhere, are not as many as its shape tells, or of a
            type, or in a form, that no network has.
    """
    subject = f"tensor {tensor.name!r}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise CheckpointError(
            f"{subject} must be in the file itself; it names another file, which is not opened. "
            "Load the model with onnx.load, where you trust it, and save it whole by onnx.save."
        )
    if tensor.HasField("segment"):
        raise CheckpointError(f"{subject} must be whole; it is a segment of one.")
    name = NAMES.get(tensor.data_type)
    if name is None:
        known = ", ".join(NAMES.values())
        raise CheckpointError(
            f"{subject} must be of one of the types {known}; got data_type={tensor.data_type}. "
            "Quantised and complex networks are none of ours."
        )
    if len(tensor.dims) > _MAX_RANK or any(size < 0 for size in tensor.dims):
        raise CheckpointError(
            f"{subject} must have at most {_MAX_RANK} axes of at least 0; got {[*tensor.dims][:20]}"
        )
    given = [field for field in _ALL_FIELDS if len(getattr(tensor, field))]
    size = math.prod(tensor.dims)
    if name == "string":
        wanted, unit, fields = size, "strings", ("string_data",)
    elif given == ["raw_data"]:
        wanted, unit, fields = size * dtype_of(name).itemsize, "bytes", ("raw_data",)
    else:
        wanted, unit, fields = size, "numbers", (_FIELDS[name][0],)
    held = sum(len(getattr(tensor, field)) for field in given)
    if held != wanted or (given and given != [*fields]):
        raise CheckpointError(
            f"{subject} of {name}{[*tensor.dims]} must have {wanted} {unit} in {fields[0]}; got "
            f"{held} in {given}. The file is damaged."
        )
    return name


def array_of(tensor: TensorProto) -> np.ndarray:
    """Returns the numbers of a sound tensor as a fresh array, strings excepted.

    Raises:
        CheckpointError: See `require_sound`; or a number is out of its type's range.
    """
    name = require_sound(tensor)
    shape = tuple(tensor.dims)
    if name == "string":
        raise CheckpointError(f"tensor {tensor.name!r} must hold numbers; it holds strings.")
    if tensor.raw_data:
        array = np.frombuffer(tensor.raw_data, dtype_of(name))
    else:
        field, stored = _FIELDS[name]
        numbers = np.array(getattr(tensor, field), np.float64 if "float" in field else None)
        with np.errstate(over="ignore"):
            array = numbers.astype(stored)
        if (
            numbers.size
            and stored is not np.float32
            and not np.array_equal(
                array.astype(numbers.dtype), numbers, equal_nan="double" in field
            )
        ):
            raise CheckpointError(f"tensor {tensor.name!r} has numbers that no {name} is.")
        array = array.view(dtype_of(name)) if stored is np.uint16 else array
    return array.reshape(shape).astype(dtype_of(name).newbyteorder("="))
