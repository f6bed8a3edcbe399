"""Turns measures and a plane into Bokeh's figures as JSON, with ids that do not change."""

import re
from typing import Any

import numpy as np

from ..inspection import Plane
from .row_sample import Rows

try:
    import bokeh
    from bokeh.core.types import ID
    from bokeh.embed import json_item
    from bokeh.models import FixedTicker, PlainText, Span
    from bokeh.palettes import Cividis256
    from bokeh.plotting import figure
    from bokeh.resources import Resources
except ImportError as error:
    raise ImportError(
        "jaxmlp.report needs bokeh, which is not installed; pip install 'jaxmlp[report]'."
    ) from error

BOKEH_VERSION = bokeh.__version__
# Okabe & Ito 2008: told apart with any colour vision; without black, which dark pages hide.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#A6A100", "#8C8C8C")
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "plus", "x")


def draw_figures(
    measures: dict[str, Any],
    drawn: dict[str, Any] | None,
    plane: Plane | None,
    rows: Rows,
    texts: dict[str, str],
    epochs: list[int],
    training_losses: list[float | None],
) -> list[dict[str, Any]]:
    """Returns what `Bokeh.embed.embed_item` takes for each figure, in the place `figure-NAME`."""
    layers = len(measures["gradientNorms"][0])
    places = list(range(len(epochs)))
    names = [f"{texts['hidden']} {number + 1}" for number in range(layers - 1)] + [texts["output"]]

    def over_epochs(name: str, by_layer: list[list[Any]], dashed: list[list[Any]] | None) -> Any:
        # Of one epoch there is no change, and nothing has no logarithm.
        is_log = not dashed and any(value for row in by_layer for value in row)
        plot = _over_epochs(name, texts, epochs, "log" if is_log else "linear")
        for layer, label in enumerate(names):
            colour = COLOURS[layer % len(COLOURS)]
            series = [(by_layer, "solid"), *([(dashed, "dashed")] if dashed else [])]
            for values, dash in series:
                column = [
                    np.nan if row[layer] in (None, 0) and not dashed else row[layer]
                    for row in values
                ]
                plot.line(
                    places, column, color=colour, line_width=2, line_dash=dash,
                    legend_label=label,
                )  # fmt: skip
                if dash == "solid":
                    plot.scatter(
                        places, column, color=colour, size=6,
                        marker=MARKERS[layer % len(MARKERS)],
                    )  # fmt: skip
        _place_legend(plot)
        if dashed:
            plot.y_range.start = 0
        return plot

    losses = _over_epochs("losses", texts, epochs, "linear")
    pairs = (("rows_loss", measures["losses"]), ("training_loss", training_losses))
    for number, (key, values) in enumerate(pairs):
        column = [np.nan if value is None else value for value in values]
        colour, dash = COLOURS[number], ("solid", "dashed")[number]
        losses.line(
            places, column, color=colour, line_width=2, line_dash=dash,
            legend_label=texts[key],
        )  # fmt: skip
    _place_legend(losses)
    curve = _figure("curve", texts["net_input"], texts["activation"])
    curve.line([], [], name="curve-line", color=COLOURS[0], line_width=2)
    curve.scatter([], [], name="curve-point", color=COLOURS[5], size=11)
    histogram = _figure("histogram", texts["net_input"], texts["count"])
    histogram.quad(
        left=[], right=[], top=[], bottom=0, name="histogram-bars", color=COLOURS[0], alpha=0.7
    )
    figures = {
        "losses": losses,
        "gradient_norms": over_epochs("gradient_norms", measures["gradientNorms"], None),
        "update_ratios": over_epochs("update_ratios", measures["updateRatios"], None),
        "units": over_epochs("units", measures["dead"], measures["saturated"]),
        "histogram": histogram,
        "curve": curve,
    }
    if plane is not None and drawn is not None:
        figures["regions"] = _draw_regions(drawn, plane, rows, texts)
    if rows.classes is None:
        residuals = _figure("residuals", texts["target"], texts["prediction"])
        residuals.line([], [], name="residuals-diagonal", color=COLOURS[7], line_dash="dashed")
        residuals.scatter([], [], name="residuals-points", color=COLOURS[0], size=6, alpha=0.7)
        figures["residuals"] = residuals
    return _with_counted_ids(
        [json_item(plot, ID(f"figure-{name}")) for name, plot in figures.items()]
    )


def bokeh_script() -> str:
    """Returns the script that draws the figures."""
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def _figure(name: str, x: str, y: str, **options: Any) -> Any:
    plot = figure(
        name=name,
        height=280,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        **options,
    )
    # A text would be searched for formulae.
    plot.xaxis.axis_label, plot.yaxis.axis_label = PlainText(text=x), PlainText(text=y)
    plot.background_fill_alpha = plot.border_fill_alpha = 0.0
    plot.grid.grid_line_alpha = 0.25
    return plot


def _over_epochs(name: str, texts: dict[str, str], epochs: list[int], scale: str) -> Any:
    plot = _figure(name, texts["epoch"], "", y_axis_type=scale)
    plot.yaxis.axis_label = None
    # Recorded epochs stand side by side, as on the slider.
    step = max(1, len(epochs) // 12)
    plot.xaxis.ticker = FixedTicker(ticks=list(range(0, len(epochs), step)))
    plot.xaxis.major_label_overrides = {n: str(epoch) for n, epoch in enumerate(epochs)}
    plot.add_layout(
        Span(
            location=0, dimension="height", line_color=COLOURS[5], line_width=2, name=f"now-{name}"
        )
    )
    return plot


def _place_legend(plot: Any) -> None:
    plot.legend.background_fill_alpha = 0.0
    plot.legend.border_line_alpha = 0.0
    plot.legend.orientation = "horizontal"
    plot.legend.label_text_font_size = "11px"
    plot.add_layout(plot.legend[0], "above")


def _draw_regions(drawn: dict[str, Any], plane: Plane, rows: Rows, texts: dict[str, str]) -> Any:
    if plane.features is None:
        labels = [f"{texts['component']} {number}" for number in (1, 2)]
    else:
        labels = [rows.features[feature] for feature in plane.features]
    (left, right), (bottom, top) = drawn["window"].tolist()
    ranges = {"x_range": (left, right), "y_range": (bottom, top)}
    plot = _figure("regions", *labels, **ranges)
    plot.height = 460
    for number, image in enumerate(_images(drawn["answers"])):
        plot.image_rgba(
            [image], x=left, y=bottom, dw=right - left, dh=top - bottom,
            name=f"region-{number}", visible=number == 0,
        )  # fmt: skip
    plot.multi_line([], [], name="zero-lines", color="#8C8C8C", line_width=1.5)
    points = plane.places
    y = rows.y[rows.shown].reshape(len(points), -1)[:, 0]
    if rows.classes is None:
        span = np.ptp(y) or 1.0
        colours = [Cividis256[int(255 * (value - y.min()) / span)] for value in y]
        plot.scatter(points[:, 0], points[:, 1], color=colours, size=7, line_color="white")
    else:
        for number in range(len(rows.classes)):
            mine = points[y == number]
            plot.scatter(
                mine[:, 0], mine[:, 1], color=COLOURS[number % len(COLOURS)], size=7,
                line_color="white", marker=MARKERS[number % len(MARKERS)],
            )  # fmt: skip
    plot.scatter(
        [], [], name="region-row", size=17, fill_alpha=0, line_color="#D55E00", line_width=3
    )
    return plot


def _images(answers: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Colours with opacity as Bokeh takes them, 0xAABBGGRR."""
    if "value" in answers[0]:
        values = np.stack([answer["value"] for answer in answers])
        low, high = np.nanquantile(values, (0.01, 0.99))
        shares = np.clip(np.nan_to_num((values - low) / (high - low or 1.0)), 0, 1)
        palette = np.array([_rgb(colour) for colour in Cividis256], np.uint32)
        colours, opacity = palette[(255 * shares).astype(int)], np.full(shares.shape, 170)
    else:
        palette = np.array([_rgb(colour) for colour in COLOURS], np.uint32)
        colours = palette[np.stack([answer["class"] for answer in answers]) % len(COLOURS)]
        opacity = 20 + 160 * np.nan_to_num(np.stack([answer["sure"] for answer in answers]))
    red, green, blue = (colours[..., part] for part in range(3))
    images = red | green << 8 | blue << 16 | opacity.astype(np.uint32) << 24
    return list(images.astype(np.uint32))


def _rgb(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _with_counted_ids(items: list[Any]) -> list[dict[str, Any]]:
    """Counts the ids of models anew, since Bokeh counts on through a process."""
    counted: dict[str, str] = {}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: counted.setdefault(inner, f"m{len(counted)}")
                if key in ("id", "root_id") and re.fullmatch(r"p\d+", str(inner))
                else renamed(inner)
                for key, inner in value.items()
            }
        return [renamed(inner) for inner in value] if isinstance(value, list | tuple) else value

    return [renamed(item) for item in items]
