"""Turns bytes from anywhere into a parsed ONNX model, whose size in memory is known before.

A parser makes objects of what a file lists, some fifty times larger than the two bytes that each
may take. What is no number of a tensor is therefore bounded, and nothing is parsed before.

References:
    Protocol Buffers, "Encoding": https://protobuf.dev/programming-guides/encoding/
"""

from typing import Any

import google.protobuf.message
from onnx import ModelProto

from ...storage import CheckpointError

# Of all bytes but the numbers of tensors; 4,000 layers have fewer.
MAX_STRUCTURE = 4 << 20
_MAX_DEPTH = 32
_TEXT, _NUMBER = "text", "number"
_NUMBERS = {"raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data"}


def parse(data: bytes) -> ModelProto:
    """Parses a model.

    Args:
        data: The bytes of a file.

    Raises:
        CheckpointError: They are no ONNX model, or list more than a network has.
    """
    _measure(data)
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (google.protobuf.message.DecodeError, RecursionError) as error:
        raise CheckpointError(f"it is no ONNX model, or damaged: {error}.") from None
    if not model.HasField("graph"):
        raise CheckpointError("it is no ONNX model, or damaged: it has no graph.")
    return model


def _measure(data: bytes) -> None:
    """Raises unless messages nest well and list no more than `MAX_STRUCTURE` bytes."""
    left = MAX_STRUCTURE
    # Messages that are to be looked at: what they are, where they lie, how deep.
    todo: list[tuple[Any, int, int, int]] = [(ModelProto.DESCRIPTOR, 0, len(data), 0)]
    kinds: dict[str, dict[int, Any]] = {}
    while todo:
        descriptor, at, end, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise CheckpointError(f"it is damaged: its messages nest deeper than {_MAX_DEPTH}.")
        name = descriptor.full_name
        if name not in kinds:
            kinds[name] = _kinds(descriptor)
        fields = kinds[name]
        while at < end:
            begin = at
            tag, at = _varint(data, at, end)
            inner, kind = 0, tag & 7
            if kind == 2:
                length, at = _varint(data, at, end)
                held = fields.get(tag >> 3)
                if held == _TEXT:
                    _require_text(data[at : at + length])
                elif held is not None and length:
                    inner = length
                    if held != _NUMBER:
                        todo.append((held, at, at + length, depth + 1))
                at += length
            elif kind == 0:
                _, at = _varint(data, at, end)
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                raise CheckpointError(f"it is no ONNX model, or damaged: wire type {kind}.")
            if at > end:
                raise CheckpointError("it is no ONNX model, or damaged: it is cut off.")
            left -= at - begin - inner
            if left < 0:
                raise CheckpointError(
                    f"it lists more than the {MAX_STRUCTURE} bytes, beside the numbers of its "
                    "tensors, that networks take. Numbers must be in raw_data, or packed."
                )


def _kinds(descriptor: Any) -> dict[int, Any]:
    """By number of a field, the messages that it holds, or that it holds texts or numbers."""
    fields = descriptor.fields
    found = {f.number: f.message_type for f in fields if f.message_type is not None}
    found |= {f.number: _TEXT for f in fields if f.type == f.TYPE_STRING}
    return found | {f.number: _NUMBER for f in fields if f.name in _NUMBERS}


def _require_text(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise CheckpointError(f"it is damaged: it has the name {data[:100]!r}, no text.") from None


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise CheckpointError("it is no ONNX model, or damaged: a number is cut off.")
