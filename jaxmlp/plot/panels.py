"""Turns what a caller gives to draw into, or nothing, into axes."""

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Of dtype object, as `figure.subplots` returns them.
AxesArray: TypeAlias = Shaped[np.ndarray, "..."]


def make_panel(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Returns the axes given, or those of a new figure of so many inches.

    Raises:
        TypeError: `ax` are no axes.
    """
    if ax is None:
        return Figure(figsize=size, dpi=120, layout="constrained").subplots()
    if not isinstance(ax, Axes):
        raise TypeError(
            "ax must be matplotlib Axes, as figure.subplots() gives them, or None for a figure of "
            f"its own; got a {type(ax).__name__}."
        )
    return ax


def make_panels(
    axes: Any, shape: tuple[int, ...], size: tuple[float, float], **grid: Any
) -> AxesArray:
    """Returns the axes given as an array of a shape, or those of a new figure.

    Args:
        axes: An array or list of axes, or `None`.
        shape: Shape of the array.
        size: Width and height of a new figure in inches.
        grid: Further arguments of `Figure.subplots` for a new figure.

    Raises:
        TypeError: `axes` hold something else.
        ValueError: `axes` have another shape.
    """
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    if axes is None:
        figure = Figure(figsize=size, dpi=120, layout="constrained")
        return figure.subplots(rows, columns, squeeze=False, **grid).reshape(shape)
    given = np.atleast_1d(np.asarray(axes, dtype=object))
    if not all(isinstance(each, Axes) for each in given.flat):
        raise TypeError(
            f"axes must be an array of matplotlib Axes, shape {shape}, as figure.subplots({rows}, "
            f"{columns}) gives them, or None for a figure of its own; got {axes!r}."
        )
    if given.shape != shape and (rows != 1 or given.size != columns):
        raise ValueError(
            f"axes must have shape {shape}, as figure.subplots({rows}, {columns}) gives them; got "
            f"shape {given.shape}."
        )
    return given.reshape(shape)
