"""Turns classes and features into labels, and classes into colours and markers."""

from collections.abc import Iterable
from typing import Any

from matplotlib.colors import to_rgb

# Told apart also by the colour-blind: Petroff 2021 (arXiv 2107.02270), table 1, ten colours.
_COLORS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
_MARKERS = "os^DvPX<>p*"


def class_color(number: int) -> tuple[float, float, float]:
    """Returns the colour of a class; those of classes ten apart are the same."""
    return to_rgb(_COLORS[number % len(_COLORS)])


def class_marker(number: int) -> str:
    """Returns the marker of a class; together with its colour it is that of no other below 110."""
    return _MARKERS[number % len(_MARKERS)]


def as_labels(argument: str, names: Any, count: int, default: Iterable[Any]) -> list[str]:
    """Returns one label for each of so many things, in which "$" begins no formula.

    Args:
        argument: What errors call the names.
        names: The names, or `None`.
        count: How many there must be.
        default: Labels where there are no names.

    Raises:
        TypeError: `names` are no list of names.
        ValueError: There is another number of them.
    """
    if names is None:
        return [str(name) for name in default]
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{argument} must be a list of {count} names; got {names!r}.")
    labels = [str(name) for name in names]
    if len(labels) != count:
        raise ValueError(f"{argument} must be {count} names, one each; got {len(labels)}.")
    return [label.replace("$", r"\$") for label in labels]
