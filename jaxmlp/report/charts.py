"""Turns names and scales into empty figures of Bokeh's, and a set of figures into JSON."""

import re
from collections.abc import Sequence
from typing import Any

try:
    import bokeh
    from bokeh.core.types import ID
    from bokeh.embed import json_item
    from bokeh.models import FixedTicker, PlainText, Span
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


def make_figure(name: str, x: str, y: str, **options: Any) -> Any:
    """Returns a figure without a toolbar, with the names of its axes as text alone."""
    plot = figure(
        name=name,
        toolbar_location=None,
        tools="",
        **{"height": 280, "sizing_mode": "stretch_width"} | options,
    )
    # A text would be searched for formulae.
    plot.xaxis.axis_label, plot.yaxis.axis_label = PlainText(text=x), PlainText(text=y)
    plot.background_fill_alpha = plot.border_fill_alpha = 0.0
    plot.grid.grid_line_alpha = 0.25
    return plot


def over_epochs(name: str, epoch: str, **options: Any) -> Any:
    """Returns a figure whose horizontal axis is the epochs, with a mark at the one chosen."""
    plot = make_figure(name, epoch, "", **options)
    plot.yaxis.axis_label = None
    mark = {"line_color": COLOURS[5], "line_width": 2, "name": f"now-{name}", "level": "underlay"}
    plot.add_layout(Span(location=0, dimension="height", **mark))
    return plot


def over_recorded_epochs(name: str, epoch: str, epochs: Sequence[int], **options: Any) -> Any:
    """Returns the same with the recorded epochs side by side, as on the slider."""
    plot = over_epochs(name, epoch, **options)
    step = max(1, len(epochs) // 12)
    plot.xaxis.ticker = FixedTicker(ticks=list(range(0, len(epochs), step)))
    plot.xaxis.major_label_overrides = {n: str(number) for n, number in enumerate(epochs)}
    return plot


def place_legend(plot: Any, side: str) -> None:
    """Puts the legend beside the figure: "above", or at the "right"."""
    legend = plot.legend[0]
    legend.background_fill_alpha = legend.border_line_alpha = 0.0
    legend.label_text_font_size = "11px"
    if side == "above":
        legend.orientation = "horizontal"
    else:
        # As many lines as the figure is high.
        legend.ncols = 1 + (len(legend.items) - 1) // 18
    plot.add_layout(legend, side)


def as_items(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what `Bokeh.embed.embed_item` takes for each figure, in the place `figure-NAME`.

    Ids of models are counted anew, since Bokeh counts on through a process.
    """
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

    return [renamed(json_item(plot, ID(f"figure-{name}"))) for name, plot in figures.items()]


def bokeh_script() -> str:
    """Returns the script that draws the figures."""
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
