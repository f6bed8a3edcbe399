"""What values a file of an estimator can hold."""

import dataclasses
import json
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.sklearn import make_storable, storable
from jaxmlp.sklearn.storable import flatten_value, restore_value


class Moments(NamedTuple):
    mean: Any
    others: Any


@dataclasses.dataclass(frozen=True)
class Recipe:
    name: str
    rates: tuple[float, ...]


@pytest.fixture
def _registered(monkeypatch):
    monkeypatch.setattr(storable, "_FORMS", dict(storable._FORMS))
    make_storable(Moments)
    make_storable(Recipe)


def there_and_back(value):
    arrays = {}
    text = json.dumps(flatten_value(value, "value", arrays), allow_nan=False)
    return restore_value(json.loads(text), arrays)


VALUES = [
    *(None, True, 1 << 90, -0.0, 0.1, float("inf"), "naïve", [], (), {}),
    *([1, (2, [3.5])], {1: "a", ("b", None): [False]}, np.float32(0.1), np.int8(-3), np.True_),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_with_their_types(value):
    found = there_and_back(value)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        *(np.arange(6.0).reshape(2, 3), np.zeros((0, 2), np.int16), np.array(3), np.eye(2) > 0),
        *(np.asfortranarray(np.eye(3)[:, :2]), np.arange(3, dtype=">i4"), np.array([], "U5")),
        *(np.array([["a", "ßé\U0001f600"], ["", "b"]]), np.array(["x"], "U9"), np.array("y")),
        np.array([1, "a", None, 2.5, True], object),
        np.array(["2020-01-01", "NaT"], "M8[D]"),
        np.array([np.nan, -np.inf], np.float16),
    ],
    ids=repr,
)
def test_arrays_come_back_with_their_types(array):
    found = there_and_back(array)
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_arrays_of_jax_become_those_of_numpy():
    found = there_and_back(jnp.arange(3))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, [0, 1, 2])


def test_an_array_that_is_there_twice_is_stored_once():
    arrays, array = {}, np.arange(3)
    flatten_value([array, (array,)], "value", arrays)
    assert list(arrays) == ["value.0"]


@pytest.mark.usefixtures("_registered")
def test_registered_classes_come_back():
    value = {"recipe": Recipe("a", (0.1,)), "state": (Moments(np.eye(2), Moments(1, [])),)}
    found = there_and_back(value)
    assert found["recipe"] == value["recipe"]
    (state,) = found["state"]
    assert isinstance(state, Moments)
    assert state.others == Moments(1, [])
    np.testing.assert_array_equal(state.mean, np.eye(2))


@pytest.mark.parametrize("value", [Recipe("a", ()), object, print, {1, 2}, 1j, b"a"], ids=repr)
def test_other_values_are_refused_by_their_place(value):
    with pytest.raises(TypeError, match=r"^recipe\.0\.1\.1 is a \w+, which a file cannot hold"):
        flatten_value({"a": (0, value)}, "recipe", {})


def test_another_class_of_a_registered_name_is_refused():
    class Dense(NamedTuple):
        kernel: int

    with pytest.raises(TypeError, match="x is a Dense"):
        flatten_value(Dense(1), "x", {})
