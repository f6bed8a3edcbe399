"""Turns a batch into histograms of what each layer computes of it, and of its gradients."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..forward import intermediates
from ..inspection import deltas
from ..losses.loss_function import Criterion
from ..network import Batch, MLPConfig, Params, names_of
from .networks import layers_of
from .panels import AxesArray, make_panels

_BINS = 50


def plot_layers(
    params: Params,
    batch: Batch,
    *,
    config: MLPConfig,
    criterion: Criterion,
    axes: AxesArray | Sequence[Sequence[Axes]] | None = None,
) -> AxesArray:
    """Draws how z, a and dL/dz are spread over the rows and units of each layer.

    A row of pictures is a layer: its net input z, its activation a, and the size of the gradient of
    the loss with respect to z, on a logarithmic axis, since it may shrink or grow from layer to
    layer. Bars are shares of all values of the layer; beside them stand the root of their mean
    square (rms), and the share that is exactly 0: of a, units that are off, and of gradients, those
    through which nothing is learned. Hidden layers have the same axes, so that they can be
    compared; what the output layer gives has one of its own.

    Args:
        params: Parameters of `config`.
        batch: Rows as for `jaxmlp.deltas`; L is the mean of their losses by weight. Rows of weight
            0 are left out.
        config: The network.
        criterion: `(outputs, targets) -> loss per row`, as for `make_loss`.
        axes: Where to draw, shape (layers, 3); by default a new figure.

    Returns:
        The axes, shape (hidden layers + 1, 3): z, a, and dL/dz, the output layer last.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: What `jaxmlp.deltas` refuses, all rows have weight 0, a number is not finite, or
            `axes` have another shape.

    Example:
        >>> import jax
        >>> from jaxmlp import init_params, losses
        >>> config = MLPConfig(in_features=2, hidden_features=(8, 8), out_features=1)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> batch = Batch(np.ones((5, 2), np.float32), np.ones(5, np.float32))
        >>> plot_layers(params, batch, config=config, criterion=losses.squared_error).shape
        (3, 3)
    """
    names = list(layers_of(params))
    gradients = deltas(params, batch, config=config, criterion=criterion)
    layers = intermediates(params, batch.x, config=config)
    kept = np.ones(np.shape(batch.x)[:-1], bool)
    if batch.weight is not None:
        kept = np.asarray(batch.weight) != 0
    if not kept.any():
        raise ValueError("batch must have a row of weight above 0; got none.")
    functions = names_of((*config.hidden_activations, config.output_activation or "identity"))
    values = [
        [np.asarray(part, np.float64)[kept].ravel() for part in (layer[0], layer[1], gradient)]
        for layer, gradient in zip(layers, gradients, strict=True)
    ]
    if not all(np.isfinite(part).all() for parts in values for part in parts):
        raise ValueError(
            "batch and params must give finite numbers in all layers; some z, a or gradients are "
            "NaN or infinite."
        )
    panels = make_panels(axes, (len(names), 3), (10.5, 1.9 * len(names) + 0.5))
    for column in range(2):
        parts = [row[column] for row in values]
        hidden = _range_of(parts[:-1]) if len(parts) > 1 else None
        for axis, part in zip(panels[:, column], parts, strict=True):
            is_output = axis is panels[-1, column]
            limits = _range_of([part]) if is_output or hidden is None else hidden
            _draw_histogram(axis, part, np.linspace(*limits, _BINS + 1), f"C{column}")
            axis.xaxis.set_major_locator(MaxNLocator(4))
    sizes = [np.abs(row[2]) for row in values]
    edges = _log_edges(sizes)
    for axis, part in zip(panels[:, 2], sizes, strict=True):
        _draw_histogram(axis, part, edges, "C2")
        axis.set_xscale("log")
    for (left, middle, right), name, function in zip(panels, names, functions, strict=True):
        left.set(title=f"{name}: net input z", ylabel="share of values")
        middle.set_title(f"{name}: activation a, {function}".replace(", identity", " = z"))
        right.set_title(f"{name}: gradient |dL/dz|")
        for axis in (left, middle, right):
            axis.title.set_fontsize("medium")
    return panels


def _range_of(parts: list[Float[np.ndarray, "_"]]) -> tuple[float, float]:
    low = min(float(part.min()) for part in parts)
    high = max(float(part.max()) for part in parts)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _log_edges(parts: list[Float[np.ndarray, "_"]]) -> Float[np.ndarray, " edges"]:
    """Edges of bins from the smallest to the largest size above 0, twelve decades at most."""
    sizes = np.concatenate([part[part > 0] for part in parts])
    if not len(sizes):
        return np.geomspace(1e-1, 1e1, _BINS + 1)
    high = sizes.max()
    low = max(sizes.min(), 1e-12 * high)
    # Rounding of the logarithms must not lose the ends.
    return np.geomspace(low / 1.1, high * 1.1, _BINS + 1)


def _draw_histogram(
    axis: Axes, values: Float[np.ndarray, " values"], edges: Float[np.ndarray, " edges"], color: str
) -> None:
    counts, _ = np.histogram(values, edges)
    axis.stairs(counts / len(values), edges, fill=True, color=color, alpha=0.8)
    # Above the bars there is room for the text.
    axis.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.35 * counts.max() / len(values) or 1))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    told = f"rms {np.sqrt(np.mean(np.square(values))):.2g}"
    if zeros := np.mean(values == 0):
        told += "\n<1% are 0" if zeros < 0.01 else f"\n{zeros:.0%} are 0"
    axis.text(0.97, 0.93, told, transform=axis.transAxes, ha="right", va="top", size="small")
