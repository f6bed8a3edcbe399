"""Turns a list of plain operations into the parts of each layer, or into an error."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from .operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Dropout,
    Gate,
    Normalise,
    Operation,
    Standardise,
    StartSkip,
)

_OURS = (
    "a hidden layer of an MLP is a dense layer, then a norm if any, an activation or a gate, "
    "dropout, and the sum of a skip that starts before the dense layer"
)
_APART = "Import what is before and after it apart, and join the parts in a function of your own."


class Place(NamedTuple):
    """An operation and its number in the list."""

    number: int
    operation: Any

    def __str__(self) -> str:
        label = self.operation.label
        name = f"{self.number} ({label})" if label else f"{self.number}"
        return f"operation {name}, {_described(self.operation)}"


@dataclasses.dataclass
class LayerParts:
    """What a list has of one layer; the order of the fields is that in which they may come."""

    start: Place | None
    affine: Place
    cast: Place | None = None
    norm: Place | None = None
    activation: Place | None = None
    dropout: Place | None = None
    end: Place | None = None


class NetworkParts(NamedTuple):
    """What a list has before its first dense layer, and its layers, the output last."""

    standardise: Place | None
    cast: Place | None
    layers: tuple[LayerParts, ...]


_FIELDS: dict[type, str] = {
    Cast: "cast",
    Normalise: "norm",
    Activate: "activation",
    Gate: "activation",
    Dropout: "dropout",
    AddSkip: "end",
}
_ORDER = [field.name for field in dataclasses.fields(LayerParts)]


def refuse(subject: object, requirement: str, got: str, remedy: str) -> NoReturn:
    """Raises the error that names an operation, what it must be, what was got and a remedy."""
    named = f"{subject}," if isinstance(subject, Place) else f"{subject}"
    raise ValueError(f"{named} must {requirement}; got {got}. {remedy}")


def parts_of(operations: Sequence[Operation], *, ignores_dropout: bool) -> NetworkParts:
    """Finds the parts of every layer; identities and dropouts of rate 0 are left out.

    Args:
        operations: What an importer read, in order.
        ignores_dropout: Whether dropouts are left out whatever their rate.

    Raises:
        TypeError: Something in the list is no operation.
        ValueError: An operation stands where an MLP has none.
    """
    standardise, cast, start = None, None, None
    layers: list[LayerParts] = []
    for place in _places(operations, ignores_dropout):
        operation = place.operation
        if start is not None and not isinstance(operation, Affine):
            refuse(start, "start right before a dense layer", f"{place}, next", _APART)
        match operation:
            case Affine():
                layers.append(LayerParts(start, place))
                start = None
            case StartSkip():
                start = place
            case Standardise():
                if layers or standardise is not None:
                    refuse(place, "come first", "it after others", _APART)
                if cast is not None and cast.operation.dtype != operation.mean.dtype.name:
                    remedy = f"Cast to {operation.mean.dtype} first, the type of its statistics."
                    refuse(cast, "come after the standardisation", "it before", remedy)
                standardise, cast = place, None
            case Cast() if not layers:
                if cast is not None:
                    remedy = "Cast once: each of them rounds."
                    refuse(place, "be the only one before the first dense layer", f"{cast}", remedy)
                cast = place
            case _:
                _add(layers, place)
    if start is not None:
        refuse(start, "start right before a dense layer", "the end", "Leave it out.")
    if not layers:
        raise ValueError(
            f"operations must have a dense layer; got {len(operations)} without one. A network of "
            "ours ends with one and, if any, an activation."
        )
    _check_output(layers[-1])
    for layer in layers[:-1]:
        if layer.cast is not None:
            remedy = "Compute all layers in one type."
            refuse(
                layer.cast, "stand before the first or after the last layer", "it between", remedy
            )
    return NetworkParts(standardise, cast, tuple(layers))


def _places(operations: Sequence[Operation], ignores_dropout: bool) -> list[Place]:
    places = []
    for number, operation in enumerate(operations):
        if not isinstance(operation, Operation):
            raise TypeError(f"operations must hold operations; got {operation!r} at {number}.")
        if isinstance(operation, Dropout) and (ignores_dropout or operation.rate == 0):
            continue
        if isinstance(operation, Activate) and operation.name == "identity":
            continue
        places.append(Place(number, operation))
    return places


def _add(layers: list[LayerParts], place: Place) -> None:
    """Puts an operation into the last layer, if it may stand there."""
    field = _FIELDS[type(place.operation)]
    if not layers:
        requirement = "stand after a dense layer: " + _OURS
        refuse(place, requirement, "it before the first", _remedy(place))
    later = [name for name in _ORDER[_ORDER.index(field) :] if getattr(layers[-1], name)]
    if later:
        other = getattr(layers[-1], later[0])
        refuse(place, "stand where an MLP has one: " + _OURS, f"it after {other}", _remedy(place))
    setattr(layers[-1], field, place)


def _check_output(output: LayerParts) -> None:
    for place in (output.norm, output.dropout, output.end):
        if place is not None:
            got = f"it after the last, {output.affine}"
            refuse(place, "stand in a hidden layer: " + _OURS, got, _remedy(place))
    if output.activation is not None and isinstance(output.activation.operation, Gate):
        got = f"it after the last, {output.affine}"
        refuse(output.activation, "stand in a hidden layer: " + _OURS, got, _APART)


def _remedy(place: Place) -> str:
    if isinstance(place.operation, Dropout):
        return "Give dropout_rate=..., the rate of all hidden layers, in place of those read."
    return _APART


def _described(operation: Operation) -> str:
    match operation:
        case Affine():
            return f"a dense layer of {' to '.join(map(str, operation.kernel.shape))} features"
        case Normalise():
            return f"a norm {operation.kind!r} of epsilon {operation.epsilon}"
        case Activate():
            return f"the activation {operation.name!r}"
        case Gate():
            return f"the gate {operation.name!r}"
        case Dropout():
            return f"a dropout of rate {operation.rate}"
        case Standardise():
            return "a standardisation"
        case Cast():
            return f"a cast to {operation.dtype}"
        case StartSkip():
            return "the start of a skip"
        case AddSkip():
            return "the sum of a skip"
