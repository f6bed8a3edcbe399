"""Turns measures, learning curves and a plane into Bokeh's figures."""

from typing import Any

import numpy as np

from ..inspection import Plane
from .charts import (
    COLOURS,
    MARKERS,
    make_figure,
    over_epochs,
    over_recorded_epochs,
    place_legend,
)
from .plane_figure import draw_regions
from .records import Curves
from .row_sample import Rows


def draw_figures(
    measures: dict[str, Any],
    curves: Curves,
    drawn: dict[str, Any] | None,
    plane: Plane | None,
    rows: Rows,
    texts: dict[str, str],
    epochs: list[int],
) -> dict[str, Any]:
    """Returns the figures by name."""
    layers = len(measures["gradientNorms"][0])
    names = [f"{texts['hidden']} {number + 1}" for number in range(layers - 1)] + [texts["output"]]
    by_layer = {
        "gradient_norms": (measures["gradientNorms"], None),
        "update_ratios": (measures["updateRatios"], None),
        "units": (measures["dead"], measures["saturated"]),
    }
    curve = make_figure("curve", texts["net_input"], texts["activation"])
    curve.line([], [], name="curve-line", color=COLOURS[0], line_width=2)
    curve.scatter([], [], name="curve-point", color=COLOURS[5], size=11)
    histogram = make_figure("histogram", texts["net_input"], texts["count"])
    histogram.quad(
        left=[], right=[], top=[], bottom=0, name="histogram-bars", color=COLOURS[0], alpha=0.7
    )
    figures = {
        "losses": _draw_losses(curves, epochs, measures["losses"], texts),
        **{
            name: _draw_layers(name, solid, dashed, names, texts["epoch"], epochs)
            for name, (solid, dashed) in by_layer.items()
        },
        "histogram": histogram,
        "curve": curve,
    }
    if curves.metrics:
        figures["metrics"] = _draw_metrics(curves, texts)
    if plane is not None and drawn is not None:
        figures["regions"] = draw_regions(drawn, plane, rows, texts)
    if rows.classes is None:
        residuals = make_figure("residuals", texts["target"], texts["prediction"])
        residuals.line([], [], name="residuals-diagonal", color=COLOURS[7], line_dash="dashed")
        residuals.scatter([], [], name="residuals-points", color=COLOURS[0], size=6, alpha=0.7)
        figures["residuals"] = residuals
    return figures


def _draw_losses(
    curves: Curves, epochs: list[int], of_rows: list[float], texts: dict[str, str]
) -> Any:
    """The learning curve: training and validation over all epochs, the page's rows where known."""
    plot = over_epochs("losses", texts["epoch"])
    series = [("training_loss", curves.training, "dashed", COLOURS[1])]
    if curves.validation is not None:
        series.append(("validation_loss", curves.validation, "solid", COLOURS[0]))
    for key, values, dash, colour in series:
        style = {"color": colour, "line_dash": dash, "line_width": 2}
        plot.line(curves.epochs, values, legend_label=texts[key], **style)
        if len(values) == 1:
            plot.scatter(curves.epochs, values, color=colour, size=6)
    plot.line(epochs, of_rows, color=COLOURS[2], line_width=1, line_dash="dotted")
    plot.scatter(epochs, of_rows, color=COLOURS[2], size=6, legend_label=texts["rows_loss"])
    if curves.returned is not None:
        values = curves.training if curves.validation is None else curves.validation
        place = int(np.abs(curves.epochs - curves.returned).argmin())
        plot.scatter(
            [curves.returned], [values[place]], name="returned-mark", marker="star", size=18,
            color=COLOURS[3], legend_label=texts["returned"],
        )  # fmt: skip
    place_legend(plot, "above")
    return plot


def _draw_metrics(curves: Curves, texts: dict[str, str]) -> Any:
    plot = over_epochs("metrics", texts["epoch"])
    for number, (name, pair) in enumerate(curves.metrics.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "line_width": 2}
        for values, dash in zip(pair, ("dashed", "solid"), strict=True):
            if values is not None:
                plot.line(curves.epochs, values, line_dash=dash, legend_label=name, **style)
    place_legend(plot, "above")
    return plot


def _draw_layers(
    name: str,
    by_layer: list[list[Any]],
    dashed: list[list[Any]] | None,
    labels: list[str],
    epoch: str,
    epochs: list[int],
) -> Any:
    """Numbers by recorded epoch and layer, on a logarithmic axis if there is one series of each."""
    # Of one epoch there is no change, and nothing has no logarithm.
    is_log = not dashed and any(value for row in by_layer for value in row)
    plot = over_recorded_epochs(name, epoch, epochs, y_axis_type="log" if is_log else "linear")
    places = list(range(len(epochs)))
    for layer, label in enumerate(labels):
        colour = COLOURS[layer % len(COLOURS)]
        series = [(by_layer, "solid"), *([(dashed, "dashed")] if dashed else [])]
        for values, dash in series:
            column = [
                np.nan if row[layer] in (None, 0) and not dashed else row[layer] for row in values
            ]
            style = {"line_width": 2, "line_dash": dash, "legend_label": label}
            plot.line(places, column, color=colour, **style)
            if dash == "solid":
                marker = MARKERS[layer % len(MARKERS)]
                plot.scatter(places, column, color=colour, size=6, marker=marker)
    place_legend(plot, "above")
    if dashed:
        plot.y_range.start = 0
    return plot
