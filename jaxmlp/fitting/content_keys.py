"""Turns functions, and whatever they read, into keys that are equal only for equal content.

Two loss functions or optimizers with one key compute the same, whichever objects they are: what
was compiled for one serves the other. A key is made of code, defaults, closures, attributes, bound
objects and the globals that code names, all the way down. Code of JAX, optax, NumPy, this library
and the standard library is taken as fixed: of these, what a closure holds is looked at, and no
globals. Where content cannot be seen, such as that of an iterator, there is no key.
"""

import enum
import functools
import io
import logging
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.core import Tracer

from .code_contents import (
    FIXED,
    Identity,
    NoKeyError,
    compares_by_value,
    digest,
    is_descriptor,
    is_filled,
    is_fixed,
    is_plain,
    names_in,
    slots_of,
)

# Objects that a walk may meet: beyond, comparing would take longer than it could save.
_MOST_OBJECTS = 20_000
# Of arrays: beyond, a device's are told by identity, and the host's not at all.
_MOST_BYTES = 2**24
# Parts of a class that say nothing about what it does.
_SILENT = {
    *("__abstractmethods__", "__annotations__", "__dataclass_fields__", "__dataclass_params__"),
    *("__dict__", "__doc__", "__firstlineno__", "__module__", "__orig_bases__", "__parameters__"),
    *("__static_attributes__", "__weakref__", "_abc_impl"),
}
SCALARS = (int, str, bytes, bool, complex, type(None), type(...), type(NotImplemented), range)


# The id of an owner, and the name of the variable or attribute in it, or "".
Place: TypeAlias = tuple[int, Any]
_LOCKS = (type(threading.Lock()), type(threading.RLock()))


class Walk:
    """One walk over a value and all that it reads.

    What was met before is told by its number, so that cycles end. `places` holds what can change:
    variables, attributes and containers, each with its owner and the objects that it holds.

    Args:
        written: Places whose content does not count, by owner.

    Raises:
        NoKeyError: There is something whose content cannot be seen.
    """

    def __init__(self, written: Mapping[Place, Any]) -> None:
        self._written = written
        self.places: dict[Place, tuple[Any, tuple[Any, ...]]] = {}
        # Whether the containers that are met are those of fixed code, which nobody changes.
        self._in_fixed = True
        self._numbers: dict[int, int] = {}
        self._met: list[Any] = []
        self._modules: set[tuple[int, frozenset[str]]] = set()

    def key(self, value: Any, names: frozenset[str] = frozenset()) -> Hashable:
        """Returns the key of a value; of a module, of what it calls by one of these names."""
        kind = type(value)
        if kind in SCALARS:
            return kind, value
        if kind is float:
            return float, value.hex()
        if isinstance(value, types.ModuleType):
            return Identity(value), self._module(value, names)
        is_code = isinstance(value, type | types.FunctionType)
        # But for functions that such a package makes anew in every call.
        if is_code and is_fixed(value) and "<locals>" not in value.__qualname__:
            return Identity(value)
        if id(value) in self._numbers:
            return "met", self._numbers[id(value)]
        self._numbers[id(value)] = len(self._met)
        self._met.append(value)
        if len(self._met) > _MOST_OBJECTS:
            raise NoKeyError("too many objects")
        return kind.__qualname__, self._content(value, kind)

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> Hashable:
        if (id(module), names) in self._modules:
            return ()
        self._modules.add((id(module), names))
        fixed = module.__name__.split(".")[0] in FIXED
        key = self._key_or_identity if fixed else self.key
        return tuple(
            (name, self._at(module, name, vars(module)[name], lambda v: key(v, names)))
            for name in sorted(names & vars(module).keys())
        )

    def _key_or_identity(self, value: Any, names: frozenset[str] = frozenset()) -> Hashable:
        try:
            return self.key(value, names)
        except NoKeyError:
            return Identity(value)

    def _at(
        self, owner: Any, name: Any, value: Any, key: Callable[[Any], Hashable] | None = None
    ) -> Hashable:
        """Returns the key of what a variable or an attribute holds."""
        place = (id(owner), name)
        self.places[place] = (owner, (value,))
        if place in self._written:
            return "written", Identity(owner)
        return (key or self.key)(value)

    def _all(self, *values: Any) -> tuple[Hashable, ...]:
        return tuple(map(self.key, values))

    def _content(self, value: Any, kind: type) -> Hashable:
        match value:
            case types.FunctionType():
                return self._function(value)
            case types.CodeType():
                return self._code(value)
            case types.MethodType():
                return self._all(value.__func__, value.__self__)
            case types.CellType():
                return self._at(value, "", value.cell_contents) if is_filled(value) else "empty"
            case functools.partial():
                parts = self._all(value.func, value.args, *value.keywords.values())
                return parts, tuple(value.keywords), self._attributes(value, vars(value))
            case types.BuiltinFunctionType() | types.MethodWrapperType():
                owner = getattr(value, "__self__", None)
                if owner is None or isinstance(owner, types.ModuleType | type):
                    return Identity(value)
                return value.__name__, *self._all(owner)
            case type():
                return self._class(value)
            case property():
                return self._all(value.fget)
            case staticmethod() | classmethod():
                return self._all(value.__func__)
            case Tracer():
                raise NoKeyError("a traced value")
            case jax.Array():
                return self._device_array(value)
            case np.ndarray():
                return self._host_array(value)
            case np.generic():
                return value.dtype.str, value.tobytes()
            case slice():
                return self._all(value.start, value.stop, value.step)
            case weakref.ref():
                return self._all(value())
            case enum.Enum() | logging.Logger() | io.IOBase():
                # Of the last two, what they hold changes nothing that a program computes.
                return Identity(value)
        if kind.__name__ == "PjitFunction":
            # How it was jitted cannot be seen: only the very same one is the same.
            inner = () if is_fixed(value) else self._all(value.__wrapped__)
            return Identity(value), *inner
        return self._object(value, kind)

    def _function(self, value: types.FunctionType) -> Hashable:
        before, self._in_fixed = self._in_fixed, is_fixed(value)
        own = self._all(value.__code__, value.__defaults__, *(value.__closure__ or ()))
        named = value.__kwdefaults__ or {}
        own += self._all(*named, *named.values())
        names, variables = names_in(value.__code__), value.__globals__
        read = () if self._in_fixed else sorted(names & variables.keys())
        found = [
            (name, self._at(variables, name, variables[name], lambda v: self.key(v, names)))
            for name in read
        ]
        attributes = self._attributes(value, vars(value))
        self._in_fixed = before
        return own, attributes, tuple(found)

    def _code(self, code: types.CodeType) -> Hashable:
        # Without the lines: equal functions may stand in different places.
        return (
            (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
            (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
            code.co_exceptiontable,
            self._all(*code.co_consts),
        )

    def _class(self, value: type) -> Hashable:
        if issubclass(value, enum.Enum):
            return Identity(value)
        own = [
            # Such as the fields of a named tuple, which the interpreter makes.
            (
                name,
                self._at(value, name, part, self._key_or_identity if is_descriptor(part) else None),
            )
            for name, part in sorted(vars(value).items())
            if name not in _SILENT
        ]
        return Identity(value), tuple(own), self._all(*value.__bases__, type(value))

    def _attributes(self, owner: Any, parts: dict[str, Any]) -> Hashable:
        return tuple((name, self._at(owner, name, parts[name])) for name in sorted(parts))

    def _device_array(self, value: jax.Array) -> Hashable:
        if value.is_deleted():
            raise NoKeyError("a deleted array")
        place = str(value.sharding)
        if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
            # A walk may come while something is traced.
            with jax.ensure_compile_time_eval():
                data = jax.random.key_data(value)
            return str(value.dtype), place, self._device_array(data)
        if value.nbytes > _MOST_BYTES or not value.is_fully_addressable:
            return Identity(value)
        return str(value.aval), place, value.weak_type, digest(np.asarray(value))

    def _host_array(self, value: np.ndarray) -> Hashable:
        if value.dtype == object:
            return value.shape, self._all(*value.ravel().tolist())
        if value.nbytes > _MOST_BYTES:
            raise NoKeyError("a large array, whose owner may change it")
        return value.dtype.str, value.shape, self._at(value, "", digest(value))

    def _object(self, value: Any, kind: type) -> Hashable:
        """Content of an instance: what it contains, its attributes, and its class."""
        before, self._in_fixed = self._in_fixed, is_fixed(kind) and self._in_fixed
        contained: Hashable = ()
        if isinstance(value, dict | types.MappingProxyType):
            contained = self._container(value, (*value.keys(), *value.values()))
        elif isinstance(value, set | frozenset | list):
            contained = self._container(value, tuple(value))
        elif isinstance(value, tuple):
            contained = self._all(*value)
        elif isinstance(value, float | int | str | bytes | complex):
            contained = repr(value)
        elif not is_plain(kind):
            return self._by_value(value, kind)
        slots = {
            name: getattr(value, name)
            for base in kind.__mro__
            for name in slots_of(base)
            if hasattr(value, name)
        }
        self._in_fixed = is_fixed(kind)
        attributes = self._attributes(value, slots | getattr(value, "__dict__", {}))
        self._in_fixed = before
        # Two of a user's objects are the same only where their class says so.
        own = () if is_fixed(kind) or compares_by_value(kind) else (Identity(value),)
        return contained, attributes, *self._all(kind), *own

    def _container(self, value: Any, parts: tuple[Any, ...]) -> Hashable:
        """Content of what can change, and where users hold it, whose it is.

        A list that a function fills while it is traced is its own.
        """
        place = (id(value), "")
        self.places[place] = (value, parts)
        if place in self._written:
            return "written", Identity(value)
        keys = self._all(*parts)
        content = frozenset(keys) if isinstance(value, set | frozenset) else keys
        return content if self._in_fixed else (content, Identity(value))

    def _by_value(self, value: Any, kind: type) -> Hashable:
        """Content of an instance of a compiled class, such as a dtype, a device or a date."""
        if is_fixed(kind) and compares_by_value(kind) and kind.__hash__ is not None:
            return kind, value, repr(value)
        if callable(value) and (is_fixed(value) or isinstance(value, types.WrapperDescriptorType)):
            return Identity(value)
        if kind in _LOCKS:
            return Identity(value)
        raise NoKeyError(f"a {kind.__name__}")
