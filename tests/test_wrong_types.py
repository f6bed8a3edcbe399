"""Every argument of every public name, given something of a wrong type, is named by the error."""

import inspect
from pathlib import Path

import public_calls
import public_calls_of_rooms
import pytest

import jaxmlp
from jaxmlp import ensembles, losses, metrics, sources

CALLS = public_calls.CALLS | public_calls_of_rooms.CALLS
WRONG = {
    "none": None,
    "text": "text",
    "float": 3.5,
    "int": 3,
    "bool": True,
    "list": [1, 2],
    "dict": {},
    "class": int,
    "function": abs,
    "object": object(),
    "path": Path("nowhere"),
}
# Numbers that are valid where others of their kind are: what is wrong with them is their value.
CLOSE = {("int", "float"), ("bool", "int")}
# Classes of results, errors and protocols, which users do not call.
NOT_CALLED = {
    *(jaxmlp.Batch, jaxmlp.CheckpointError, jaxmlp.Dense, jaxmlp.FitResult, jaxmlp.Layer),
    *(jaxmlp.LossFn, jaxmlp.MembersResult, jaxmlp.MupLabels, jaxmlp.NonFiniteError, jaxmlp.Norm),
    *(jaxmlp.Params, jaxmlp.SearchResult, jaxmlp.Standardization, jaxmlp.TrainState),
    *(sources.Source, ensembles.Group, ensembles.Mixture, ensembles.Uncertainty),
    ensembles.Settings,
}


def public_names():
    for module in (jaxmlp, ensembles, losses, metrics, sources):
        for name in module.__all__:
            if callable(value := getattr(module, name)) and value not in NOT_CALLED:
                yield value


def name_of(function):
    return getattr(function, "__name__", None) or function.name


def parameters_of(function):
    call = function.__call__ if isinstance(function, metrics.Metric) else function
    kinds = inspect.signature(call).parameters
    return [name for name, p in kinds.items() if p.kind is not p.VAR_POSITIONAL]


def call(function, arguments):
    if function is jaxmlp.train_test_split:
        return function(public_calls.X, **arguments)
    positional = ["predictions", "outputs", "logits", "scores", "log_rates", "targets"]
    first = [arguments.pop(name) for name in positional if name in arguments]
    return function(*first, **arguments)


CASES = [
    pytest.param(function, argument, kind, id=f"{name_of(function)}-{argument}-{kind}")
    for function, arguments in CALLS.items()
    for argument, (_, valid) in arguments.items()
    for kind in WRONG
    if kind not in valid
]


@pytest.mark.parametrize("function", sorted(set(public_names()), key=name_of), ids=name_of)
def test_every_parameter_of_every_public_name_is_in_the_table(function):
    assert set(parameters_of(function)) == set(CALLS[function])


@pytest.mark.bad_input
@pytest.mark.parametrize(("function", "argument", "kind"), CASES)
def test_an_argument_of_a_wrong_type_is_named(function, argument, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {name: value for name, (value, _) in CALLS[function].items()}
    arguments[argument] = WRONG[kind]
    with pytest.raises((TypeError, ValueError)) as caught:
        call(function, arguments)
    assert argument in str(caught.value).lower()
