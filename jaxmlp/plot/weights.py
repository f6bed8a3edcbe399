"""Turns parameters into pictures of every kernel and every bias."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.image import AxesImage

from ..network import Dense, Params
from .cells import name_ticks, write_numbers
from .names import as_labels
from .networks import layers_of
from .panels import AxesArray, make_panels

# Of more rows and columns, numbers would not be legible, and of more units or inputs, names.
_MOST_NUMBERED = (16, 8)
_MOST_NAMES = 32


def plot_weights(
    params: Params,
    *,
    feature_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    axes: AxesArray | Sequence[Sequence[Axes]] | None = None,
) -> AxesArray:
    """Draws the kernel and the bias of every layer as cells, red above 0 and blue below.

    A kernel has a row for each input of the layer and a column for each of its units; the bias
    of a unit is below its column, on the same scale of colours. Small layers have the numbers on
    the cells.

    Args:
        params: Parameters of one network; of members `result.member(number)`.
        feature_names: Names of the network's inputs, told where they are at most 32.
        output_names: Names of its outputs, such as classes.
        axes: Where to draw, shape (2, layers); by default a new figure.

    Returns:
        The axes, shape (2, hidden layers + 1): of kernels and, below, of biases. The axes of a bias
        that there is not are empty.

    Raises:
        TypeError: `params` are no `Params`, or names or `axes` have the wrong type.
        ValueError: `params` are those of many members, not finite, or names or `axes` are too few
            or too many.

    Example:
        >>> import jax
        >>> from jaxmlp import MLPConfig, init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(3,), out_features=1)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> panels = plot_weights(params, feature_names=["height", "weight"])
        >>> panels.shape, panels[0, 0].get_title()
        ((2, 2), 'hidden[0]')
    """
    layers = layers_of(params)
    for dense in layers.values():
        for part in (dense.kernel, dense.bias):
            if part is not None and not np.isfinite(np.asarray(part, np.float64)).all():
                raise ValueError("params must be finite; some weights are NaN or infinite.")
    features = next(iter(layers.values())).kernel.shape[0]
    inputs = _names("feature_names", feature_names, features)
    outputs = _names("output_names", output_names, params.output.kernel.shape[1])
    panels = make_panels(
        axes, (2, len(layers)), (3.6 * len(layers) + 0.8, 4.4), height_ratios=(8, 1)
    )
    before = None
    for (name, dense), (top, bottom) in zip(layers.items(), panels.T, strict=True):
        is_first, is_last = before is None, name == "output"
        image = _draw_layer(top, bottom, dense)
        top.figure.colorbar(image, ax=[top, bottom])
        top.set_title(name, fontsize="medium")
        told = ", standardised" if params.standardization is not None else ""
        top.set_ylabel(f"input{told}" if is_first else f"unit of {before}")
        name_ticks(top, "y", inputs if is_first else None)
        units = outputs if is_last else None
        lowest = top if dense.bias is None else bottom
        name_ticks(lowest, "x", units, slanted=sum(map(len, units or [])) > 24)
        lowest.set_xlabel("output" if is_last else "unit")
        before = name
    return panels


def _names(argument: str, names: Sequence[str] | None, count: int) -> list[str] | None:
    labels = as_labels(argument, names, count, range(count))
    return None if names is None or count > _MOST_NAMES else labels


def _draw_layer(top: Axes, bottom: Axes, dense: Dense) -> AxesImage:
    kernel = np.asarray(dense.kernel, np.float64)
    parts = [(top, kernel)]
    if dense.bias is None:
        bottom.set_axis_off()
    else:
        parts.append((bottom, np.asarray(dense.bias, np.float64)[None]))
        top.tick_params("x", labelbottom=False)
        bottom.set_yticks([0], ["bias"])
    largest = max(float(np.abs(values).max()) for _, values in parts)
    norm = CenteredNorm(halfrange=largest or 1.0)
    is_small = np.all(np.less_equal(kernel.shape, _MOST_NUMBERED))
    # Red and blue are told apart by the colour-blind, too.
    settings: Any = {"aspect": "auto", "interpolation": "nearest", "cmap": "RdBu_r"}
    images = []
    for axis, values in parts:
        images.append(axis.imshow(values, norm=norm, **settings))
        if is_small:
            write_numbers(axis, images[-1], [[f"{value:.2g}" for value in row] for row in values])
    return images[0]
