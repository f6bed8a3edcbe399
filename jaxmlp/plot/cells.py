"""Turns the cells of an image into cells with numbers on them and names beside them."""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator


def write_numbers(axis: Axes, image: AxesImage, texts: list[list[str]]) -> None:
    """Writes a text on each cell of an image, dark on light cells and light on dark ones."""
    colors = image.to_rgba(np.asarray(image.get_array()))  # (rows, columns, 4)
    # Relative luminance of sRGB, without its gamma.
    luminance = colors[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    longest = max(len(text) for row in texts for text in row)
    size = "small" if longest <= 4 and max(luminance.shape) <= 12 else "x-small"
    for row, column in np.ndindex(*luminance.shape):
        if texts[row][column]:
            axis.text(
                column,
                row,
                texts[row][column],
                ha="center",
                va="center",
                size=size,
                color="black" if luminance[row, column] > 0.45 else "white",
            )


def name_ticks(
    axis: Axes, name: Literal["x", "y"], labels: list[str] | None, *, slanted: bool = False
) -> None:
    """Names the cells along an axis, or numbers some of them."""
    if labels is None:
        getattr(axis, f"{name}axis").set_major_locator(MaxNLocator(integer=True, nbins=6))
        return
    slant = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    ticks = {"x": axis.set_xticks, "y": axis.set_yticks}[name]
    ticks(range(len(labels)), labels, **slant)
