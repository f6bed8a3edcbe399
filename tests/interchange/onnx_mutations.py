"""Damaged and hostile ONNX files: bytes and fields of messages, changed at random."""

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

# Lengths, sizes and numbers that break what reads them.
_INTEGERS = (0, 1, -1, 2, 3, 7, 11, 1 << 31, 1 << 62, -(1 << 62))
_FLOATS = (0.0, -1.0, 0.5, 3.0, float("inf"), float("nan"))
_TEXTS = ("", "x", "logits", "hidden.0.kernel", "Add", "MatMul", "If", "../secret", "\u0000")


def mutated_bytes(data, rng):
    """A file with one to four bytes, or one stretch of bytes, changed, left out or put in."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(data)))
        length = int(rng.integers(1, 20))
        match rng.integers(5):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = rng.bytes(length)
            case 3:
                data[at : at + length] = bytes(data[:length])
            case 4:
                del data[at:]
        if not data:
            return b""
    return bytes(data)


def _places(message):
    """Every field that is set, or a list, in a message and all in it."""
    todo = [message]
    while todo:
        one = todo.pop()
        for field in one.DESCRIPTOR.fields:
            value = getattr(one, field.name)
            is_list = field.is_repeated
            if (is_list and len(value)) or (not is_list and one.HasField(field.name)):
                yield one, field
                if field.message_type is not None:
                    todo.extend(value if is_list else [value])


def _other(field, rng):
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return _FLOATS[rng.integers(len(_FLOATS))]
    if field.type == FieldDescriptor.TYPE_STRING:
        return _TEXTS[rng.integers(len(_TEXTS))]
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.bytes(int(rng.integers(12)))
    if field.enum_type is not None:
        return int(rng.choice([v.number for v in field.enum_type.values]))
    wide = field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64)
    value = _INTEGERS[rng.integers(len(_INTEGERS))]
    value = value if wide else value % (1 << 31)
    return abs(value) if field.type == FieldDescriptor.TYPE_UINT64 else value


def mutate(model, rng):
    """Changes one or two fields of a model: another value, none, twice, or another order."""
    for _ in range(rng.integers(1, 3)):
        places = list(_places(model))
        message, field = places[rng.integers(len(places))]
        if not field.is_repeated:
            if field.message_type is not None or rng.random() < 0.2:
                message.ClearField(field.name)
            else:
                setattr(message, field.name, _other(field, rng))
            continue
        values = getattr(message, field.name)
        at = int(rng.integers(len(values)))
        match rng.integers(4):
            case 0:
                del values[at]
            case 1:
                values.append(values[at])
            case 2:
                order = rng.permutation(len(values))
                kept = [values[number] for number in order]
                if field.message_type is not None:
                    kept = [type(each).FromString(each.SerializeToString()) for each in kept]
                del values[:]
                values.extend(kept)
            case 3:
                if field.message_type is None:
                    values[at] = _other(field, rng)
    return model


def agree(got, wanted):
    """Whether outputs are equal up to rounding, of numbers of any size."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    return got.shape == wanted.shape and np.allclose(
        got,
        wanted,
        rtol=1e-3,
        atol=1e-4 * (1 + np.nanmax(np.abs(wanted), initial=0.0)),
        equal_nan=True,
    )
