"""Turns answers in a plane into the figure of regions, whose axes have one scale where they can."""

from typing import Any

import numpy as np
from bokeh.models import LinearColorMapper
from bokeh.palettes import Cividis256
from bokeh.plotting import ColumnDataSource

from ..inspection import Plane
from .charts import make_figure, place_legend
from .row_sample import Rows

# None is that of a weight's sign. With normal vision and with any of the three kinds of colour
# blindness (Machado et al. 2009), the first five are 19 and more apart in CIELAB.
CLASS_COLOURS = (
    *("#66A61E", "#EE99CC", "#882255", "#DDCC77"),
    *("#8C8C8C", "#7A4A2B", "#B8DE29", "#8E44AD"),
)
# One fewer, so that colour and shape together are those of no other class below 56.
CLASS_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star")
# The largest width and height of the figure's inside, in pixels.
_BOX = np.array([560, 440])
# With one scale, a side is at least so small a part of the other.
_NARROWEST = 0.25
_OPACITY = 2 / 3


def has_one_scale(plane: Plane) -> bool:
    """Returns whether both axes are drawn at one scale, that at which the network sees them."""
    sides = np.ptp(plane.window(), axis=1) / plane.scale
    return bool(sides.min() >= _NARROWEST * sides.max())


def draw_regions(drawn: dict[str, Any], plane: Plane, rows: Rows, texts: dict[str, str]) -> Any:
    """Returns the figure: an image for each epoch, lines z = 0, and the rows by their class."""
    if plane.features is None:
        labels = [f"{texts['component']} {number}" for number in (1, 2)]
    else:
        labels = [rows.features[feature] for feature in plane.features]
    (left, right), (bottom, top) = drawn["window"].tolist()
    options: dict[str, Any] = {"x_range": (left, right), "y_range": (bottom, top), "height": 460}
    if has_one_scale(plane):
        sides = np.ptp(drawn["window"], axis=1) / plane.scale
        width, height = np.round(sides * (_BOX / sides).min()).astype(int).tolist()
        # Without a size of its own, the figure is as large as its inside and its legend need.
        options |= {"frame_width": width, "frame_height": height, "sizing_mode": None}
        options["height"] = None
    plot = make_figure("regions", *labels, **options)
    where = {"x": left, "y": bottom, "dw": right - left, "dh": top - bottom}
    colours = LinearColorMapper(palette=Cividis256, low=0, high=255)
    for number, answer in enumerate(drawn["answers"]):
        name = f"region-{number}"
        if rows.classes is None:
            # One image for each output; the page shows that of the output chosen.
            images = list(answer["values"])
            places = {key: [value] * len(images) for key, value in where.items()}
            source = ColumnDataSource({"image": images, **places})
            plot.image(
                source=source, name=name, visible=False, color_mapper=colours,
                global_alpha=_OPACITY, **{key: key for key in ("image", *where)},
            )  # fmt: skip
        else:
            plot.image_rgba(image=[_coloured(answer)], name=name, visible=False, **where)
    plot.multi_line([], [], name="zero-lines", color="#8C8C8C", line_width=1.5)
    _draw_rows(plot, drawn, plane, rows)
    style = {"fill_alpha": 0, "line_width": 3, "size": 17}
    plot.scatter([], [], name="region-row", **style)
    return plot


def _draw_rows(plot: Any, drawn: dict[str, Any], plane: Plane, rows: Rows) -> None:
    u, v = plane.places.T
    if rows.classes is None:
        palette = np.array(Cividis256)
        columns = {f"output-{n}": palette[of].tolist() for n, of in enumerate(drawn["targets"].T)}
        source = ColumnDataSource({"x": u, "y": v, **columns})
        style = {"size": 7, "line_color": "white", "name": "region-points"}
        plot.scatter("x", "y", source=source, color="output-0", **style)
        return
    y = rows.y[rows.shown]
    for number, name in enumerate(rows.classes):
        plot.scatter(
            u[y == number],
            v[y == number],
            color=CLASS_COLOURS[number % len(CLASS_COLOURS)],
            marker=CLASS_MARKERS[number % len(CLASS_MARKERS)],
            size=8,
            line_color="white",
            legend_label=name,
        )
    place_legend(plot, "right")


def _coloured(answer: dict[str, np.ndarray]) -> np.ndarray:
    """Colours with opacity as Bokeh takes them, 0xAABBGGRR."""
    palette = np.array([_rgb(colour) for colour in CLASS_COLOURS], np.uint32)
    red, green, blue = np.moveaxis(palette[answer["class"] % len(CLASS_COLOURS)], -1, 0)
    opacity = (20 + 160 * np.nan_to_num(answer["sure"])).astype(np.uint32)
    return (red | green << 8 | blue << 16 | opacity << 24).astype(np.uint32)


def _rgb(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
