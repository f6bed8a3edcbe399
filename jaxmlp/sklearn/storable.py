"""Turns nested values into JSON and named arrays, and back, making nothing that is not registered.

Stored as they are: `None`, bools, ints, floats, strings, lists, tuples, dicts, NumPy's arrays and
scalars, and what `make_storable` has registered. Everything else is refused by its place.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
import optax
from sklearn.preprocessing import LabelBinarizer

from ..network import Dense, Norm, Params
from ..tabular import (
    Bins,
    PeriodicEmbedding,
    PiecewiseLinearEmbedding,
    Recipe,
    RobustScaling,
    SharedDense,
    TabularConfig,
    TabularParams,
)
from .heads import Head
from .recipes import Members
from .tables import Column, Preparation

Json: TypeAlias = Any


class _Form(NamedTuple):
    """How values of a class are taken apart into fields, and made of them again."""

    kind: type
    take_apart: Callable[[Any], Mapping[str, Any]]
    make: Callable[..., Any]


_FORMS: dict[str, _Form] = {}


def make_storable(
    kind: type,
    take_apart: Callable[[Any], Mapping[str, Any]] | None = None,
    make: Callable[..., Any] | None = None,
) -> None:
    """Has values of a class stored by their fields, under the name of the class.

    Args:
        kind: The class, whose name no other registered class has.
        take_apart: Returns fields of what can be stored; by default those of a NamedTuple or of a
            dataclass.
        make: Makes a value of the fields, given by name; by default the class itself.
    """
    _FORMS[kind.__name__] = _Form(kind, take_apart or _fields_of, make or kind)


def flatten_value(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Json:
    """Returns JSON for a value, and puts its arrays into `arrays`, by their places.

    An array that is met twice is stored once.

    Raises:
        TypeError: There is something in it that cannot be stored; the message tells where.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if np.isfinite(value) else {"float": str(value)}
    if type(value) is list:
        return [flatten_value(v, f"{place}.{i}", arrays) for i, v in enumerate(value)]
    if type(value) is tuple:
        return {"tuple": flatten_value(list(value), place, arrays)}
    if type(value) is dict:
        # In their order; keys need not be text.
        items = enumerate(value.items())
        return {"dict": [flatten_value([*kv], f"{place}.{i}", arrays) for i, kv in items]}
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, jax.Array):
        value = np.asarray(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return _flatten_array(value, place, arrays)
    name = type(value).__name__
    form = _FORMS.get(name)
    if form is None or form.kind is not type(value):
        raise TypeError(f"{place} is a {name}, which a file cannot hold")
    fields = {
        field: flatten_value(v, f"{place}.{field}", arrays)
        for field, v in form.take_apart(value).items()
    }
    return {name: fields}


def restore_value(json: Json, arrays: Mapping[str, np.ndarray]) -> Any:
    """Makes the value again of which `flatten_value` made this JSON and these arrays.

    Raises:
        KeyError, TypeError, ValueError: It made no such JSON.
    """
    if isinstance(json, list):
        return [restore_value(one, arrays) for one in json]
    if not isinstance(json, dict):
        return json
    ((kind, content),) = json.items()
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(restore_value(content, arrays))
    if kind == "dict":
        return dict(restore_value(content, arrays))
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "times":
        if not re.fullmatch(r"<[mM]8\[\w+\]", content[0]):
            raise ValueError(f"{content[0]!r} is no type of times")
        return arrays[content[1]].view(content[0])
    if kind == "text":
        characters = arrays[content]
        return characters.view(f"<U{characters.shape[-1]}")[..., 0]
    if kind == "objects":
        shape, values = content
        made = np.empty(len(values), object)
        made[:] = restore_value(values, arrays)
        return made.reshape(shape)
    fields = {name: restore_value(value, arrays) for name, value in content.items()}
    return _FORMS[kind].make(**fields)


def _flatten_array(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Json:
    array = np.asarray(value)
    if array.dtype == object:
        return {"objects": [array.shape, flatten_value(array.ravel().tolist(), place, arrays)]}
    if array.dtype.kind == "U":
        # Each cell is a row of code points.
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        arrays[place] = array.reshape(*array.shape, 1).view("<u4")
        return {"text": place}
    if array.dtype.kind in "mM":
        dtype = array.dtype.newbyteorder("<")
        arrays[place] = array.astype(dtype).view(np.int64)
        return {"times": [dtype.str, place]}
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    for name, other in arrays.items():
        if other is array:
            return {"array": name}
    arrays[place] = array
    return {"array" if isinstance(value, np.ndarray) else "scalar": place}


def _fields_of(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        names = value._fields
    return {name: getattr(value, name) for name in names}


def _make_label_binarizer(arguments: dict[str, Any], fitted: dict[str, Any]) -> LabelBinarizer:
    made = LabelBinarizer(**arguments)
    for name in ("y_type_", "sparse_input_", "classes_"):
        setattr(made, name, fitted[name])
    return made


def _take_apart_label_binarizer(value: LabelBinarizer) -> dict[str, Any]:
    arguments = value.get_params()
    fitted = {name: v for name, v in vars(value).items() if name not in arguments}
    return {"arguments": arguments, "fitted": fitted}


def _make_random_state(state: dict[str, Any]) -> np.random.RandomState:
    kinds = (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox)
    by_name = {kind.__name__: kind for kind in (*kinds, np.random.SFC64)}
    made = np.random.RandomState(by_name[state["bit_generator"]]())
    made.set_state(state)
    return made


def _take_apart_random_state(value: np.random.RandomState) -> dict[str, Any]:
    return {"state": value.get_state(legacy=False)}


for _kind in (
    *(Dense, Head, Norm, Params, optax.EmptyState, optax.ScaleByAdamState, optax.TraceState),
    *(Bins, Column, Members, PeriodicEmbedding, PiecewiseLinearEmbedding, Preparation, Recipe),
    *(RobustScaling, SharedDense, TabularConfig, TabularParams),
):
    make_storable(_kind)
make_storable(LabelBinarizer, _take_apart_label_binarizer, _make_label_binarizer)
make_storable(np.random.RandomState, _take_apart_random_state, _make_random_state)
