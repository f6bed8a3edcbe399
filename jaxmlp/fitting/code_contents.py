"""Tells what a function, a class or an object consists of, and what is taken as fixed."""

import hashlib
import sys
import types
from typing import Any

import numpy as np

FIXED = frozenset({"jax", "jaxlib", "jaxmlp", "jaxtyping", "numpy", "optax"})
FIXED |= sys.stdlib_module_names - {"__main__"}


class NoKeyError(Exception):
    """The content of a value cannot be seen."""


class Identity:
    """Equal for the very same object, which it keeps alive.

    Args:
        value: The object.
    """

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._value is other._value

    def __hash__(self) -> int:
        return hash(id(self._value))


def is_fixed(value: Any) -> bool:
    """Whether a function, class or callable is part of a package that is taken as fixed."""
    if isinstance(value, types.FunctionType):
        module = value.__globals__.get("__name__")
    else:
        module = getattr(value, "__module__", None)
    return isinstance(module, str) and module.split(".")[0] in FIXED


def is_plain(kind: type) -> bool:
    """Whether instances have all their content in attributes and slots: classes made by Python."""
    plain = False
    for base in reversed(kind.__mro__[:-1]):
        plain = plain or "__dict__" in vars(base) or "__slots__" in vars(base)
        if not plain:
            return False
    return True


def is_descriptor(value: Any) -> bool:
    """Whether a part of a class is one that the interpreter or a fixed package made for it."""
    return (
        not isinstance(value, types.FunctionType)
        and is_fixed(type(value))
        and hasattr(value, "__get__")
    )


def compares_by_value(kind: type) -> bool:
    """Whether instances of a class are equal by what they hold, and can be looked up so."""
    return kind.__eq__ is not object.__eq__ and kind.__hash__ not in (None, object.__hash__)


def slots_of(kind: type) -> tuple[str, ...]:
    """Returns the names of the slots that a class adds."""
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def is_filled(cell: types.CellType) -> bool:
    """Whether a variable of an enclosing function has a value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def names_in(code: types.CodeType) -> frozenset[str]:
    """Names of globals and attributes in a function and the functions inside it."""
    inner = [names_in(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return frozenset(code.co_names).union(*inner)


def digest(array: np.ndarray) -> bytes:
    """Returns a hash of the bytes of an array."""
    return hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data, digest_size=16).digest()
