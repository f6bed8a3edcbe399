"""Turns a network of classes into the regions that it decides, over the rows."""

from collections.abc import Sequence
from typing import Any

import jax
import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from ..checks import as_real_array, require_int
from ..fitting import predict
from ..forward import intermediates
from ..inspection import (
    Plane,
    decide,
    even_odds,
    plane_of_features,
    principal_plane,
    probabilities_of,
)
from ..network import MLPConfig, Params, require_config
from ..sources.choice import make_source
from .names import as_labels, class_color, class_marker
from .networks import layers_of
from .panels import make_panel

# Places of the grid along each side.
_RESOLUTION = 256
# Of more classes, colours alone are hard to tell apart, so that regions have names.
_MOST_BY_COLOR = 4


def plot_decision_regions(
    params: Params,
    x: Any,
    y: Any,
    *,
    config: MLPConfig,
    features: Sequence[int | str] | None = None,
    zero_lines: int | None = None,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws which class a network decides for where, and the rows with their classes.

    A region has the colour of its class, stronger where the class is more probable; black lines
    are the boundaries. Rows that the network gets wrong have a ring. Of two inputs this is the
    whole network. Of more it is a cut, as the title says: the plane of two `features`, all others
    at their medians over the rows; or else the plane of the first two principal components of
    the inputs, standardised where the network does so, through their mean. Rows that do not lie on
    the plane are drawn at the nearest place of it, and may there lie in another class's region
    than the network has for them: only rings say what is wrong.

    Args:
        params: Parameters of `config`.
        x: Rows, shape (rows, in_features): an array, a frame, or what else `DataLoader` takes.
        y: Their classes, integers in [0, classes), shape (rows,).
        config: The network, with at least two inputs. Outputs are read as the metrics read them:
            the largest decides, and one output is the log-odds of class 1, or its probability
            where `output_activation="sigmoid"`.
        features: Numbers or names of the two features along the axes.
        zero_lines: Number of a hidden layer, in [0, hidden layers): its units' lines of net input
            z = 0 (before a norm, if any) are drawn dashed, in the first layer straight. Of a gated
            activation, the values' lines and the gates'.
        feature_names: Names of all inputs; by default a frame's, or "x[0]", "x[1]", ...
        class_names: Names of the classes; by default their numbers.
        ax: Where to draw; by default a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: There are fewer than two inputs, `y` are no classes of the network, there is no
            such feature or layer, names are too few or too many, or an output is not finite.

    Example:
        >>> from jaxmlp import init_params
        >>> config = MLPConfig(in_features=2, hidden_features=(3,), out_features=2)
        >>> params = init_params(config, key=jax.random.key(0))
        >>> x, y = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([0, 1])
        >>> axis = plot_decision_regions(params, x, y, config=config, zero_lines=0)
        >>> axis.get_xlabel(), axis.get_ylabel()
        ('x[0]', 'x[1]')
    """
    require_config(config)
    if config.in_features < 2:
        raise ValueError(
            "plot_decision_regions needs a network of at least two inputs; config has "
            f"in_features={config.in_features}."
        )
    layers_of(params)
    if zero_lines is not None:
        if not config.hidden_features:
            raise ValueError(f"zero_lines needs a hidden layer, which {config} has not.")
        require_int("zero_lines", zero_lines, 0, len(config.hidden_features))
    source = make_source(x, None, None, check_finite=True)
    given = np.asarray(as_real_array("x", source.read(np.arange(len(source))).x))
    if given.ndim != 2:
        raise ValueError(
            f"x must have shape (rows, {config.in_features}); got shape {given.shape}."
        )
    rows = given.astype(np.float64)
    # Outputs come first, since `predict` says what is wrong with x and params.
    outputs = _finite_outputs(params, rows, config)
    count = max(config.out_features, 2)
    classes = _as_classes(y, len(rows), count)
    own = getattr(source, "columns", {}).get("x") or [f"x[{i}]" for i in range(config.in_features)]
    inputs = as_labels("feature_names", feature_names, config.in_features, own)
    labels = as_labels("class_names", class_names, count, range(count))
    if features is None and config.in_features > 2:
        plane = principal_plane(rows, params.standardization)
    else:
        chosen = (0, 1) if features is None else features
        plane = plane_of_features(rows, chosen, inputs, params.standardization)
    axis = make_panel(ax, (6.4, 4.6))
    sides = [np.linspace(low, high, _RESOLUTION) for low, high in plane.window()]
    grid = plane.points(*sides).reshape(-1, config.in_features)
    _draw_regions(axis, sides, _finite_outputs(params, grid, config), config, labels)
    if zero_lines is not None:
        net_input = intermediates(params, _as_input(grid), config=config)[zero_lines].net_input
        _draw_zero_lines(axis, sides, np.asarray(net_input, np.float64))
    wrong = decide(outputs, config) != classes
    _draw_rows(axis, plane, classes, wrong, labels, zero_lines)
    _name_axes(axis, plane, inputs, is_standardised=params.standardization is not None)
    return axis


def _name_axes(axis: Axes, plane: Plane, inputs: list[str], *, is_standardised: bool) -> None:
    """Says what the axes are, and how the plane lies where there are more than two inputs."""
    if plane.features is None:
        labels = ["first principal component", "second principal component"]
        standardised = "standardised " if is_standardised else ""
        title = (
            "plane of the first two principal components,\n"
            f"{plane.share:.0%} of the variance of the {standardised}inputs"
        )
    else:
        labels = [inputs[feature] for feature in plane.features]
        others = len(inputs) - 2
        title = f"the other {others} inputs at their medians" if others > 1 else ""
        title = "the other input at its median" if others == 1 else title
    axis.set(xlabel=labels[0], ylabel=labels[1])
    axis.set_title(title, fontsize="medium")


def _as_input(x: Float[np.ndarray, "rows in_features"]) -> np.ndarray:
    # Of 64 bits only where JAX has them.
    return x.astype(jax.dtypes.canonicalize_dtype(np.float64))


def _finite_outputs(params: Params, x: np.ndarray, config: MLPConfig) -> np.ndarray:
    # No more than there are rows, since `predict` fills blocks up.
    size = min(len(x), 4096)
    outputs = np.asarray(predict(params, _as_input(x), config=config, batch_size=size), np.float64)
    if not np.isfinite(outputs).all():
        raise ValueError(
            "params must give finite outputs; some are NaN or infinite. Was the training finite? "
            "See result.stopped_by."
        )
    return outputs


def _as_classes(y: Any, rows: int, classes: int) -> Int[np.ndarray, " rows"]:
    given = np.asarray(as_real_array("y", y))
    given = given[:, 0] if given.shape == (rows, 1) else given
    if given.shape != (rows,):
        raise ValueError(f"y must have one class per row of x, shape ({rows},); got {given.shape}.")
    found = given.astype(np.int64)
    if (found != given).any() or found.min() < 0 or found.max() >= classes:
        raise ValueError(
            f"y must be classes of the network, integers in [0, {classes}); got numbers from "
            f"{given.min()} to {given.max()}. Of other labels, classes, y = "
            "numpy.unique(labels, return_inverse=True)."
        )
    return found


def _draw_regions(
    axis: Axes, sides: list[np.ndarray], outputs: np.ndarray, config: MLPConfig, labels: list[str]
) -> None:
    outputs = outputs.reshape(len(sides[1]), len(sides[0]), -1)
    decided, probabilities = decide(outputs, config), probabilities_of(outputs, config)
    count = probabilities.shape[-1]
    colors = np.array([class_color(number) for number in range(count)])
    # From even odds to certainty.
    sure = np.clip((probabilities.max(axis=-1) - 1 / count) / (1 - 1 / count), 0, 1)
    image = np.concatenate([colors[decided], (0.12 + 0.43 * sure)[..., None]], axis=-1)
    steps = [(side[1] - side[0]) / 2 for side in sides]
    extent = [
        end
        for side, half in zip(sides, steps, strict=True)
        for end in (side[0] - half, side[-1] + half)
    ]
    axis.imshow(image, extent=tuple(extent), origin="lower", aspect="auto", zorder=0)
    axis.set(xlim=(sides[0][0], sides[0][-1]), ylim=(sides[1][0], sides[1][-1]))
    if config.out_features == 1:
        leads = outputs - even_odds(config)
    else:
        # By how much a class leads the best of the others.
        ordered = np.sort(outputs, axis=-1)
        best, second = ordered[..., -1:], ordered[..., -2:-1]
        leads = outputs - np.where(outputs == best, second, best)
        leads = leads[..., 1:] if count == 2 else leads
    _draw_zeros(axis, sides, leads, linewidths=1.2)
    if count > _MOST_BY_COLOR:
        _name_regions(axis, sides, decided, labels)


def _draw_zero_lines(axis: Axes, sides: list[np.ndarray], net_input: np.ndarray) -> None:
    values = net_input.reshape(len(sides[1]), len(sides[0]), -1)
    _draw_zeros(axis, sides, values, linestyles="dashed", linewidths=0.8, alpha=0.7)


def _draw_zeros(
    axis: Axes, sides: list[np.ndarray], values: Float[np.ndarray, "up across lines"], **style: Any
) -> None:
    for line in np.moveaxis(values, -1, 0):
        # matplotlib warns of a level that is not met.
        if line.min() < 0 < line.max():
            axis.contour(*sides, line, levels=[0.0], colors=_ink(), zorder=1, **style)


def _name_regions(
    axis: Axes, sides: list[np.ndarray], decided: Int[np.ndarray, "up across"], labels: list[str]
) -> None:
    """Writes the name of each class where its region is widest."""
    for number in np.unique(decided).tolist():
        # Beyond the picture a region ends, too.
        depth = np.asarray(distance_transform_edt(np.pad(decided == number, 1)))[1:-1, 1:-1]
        row, column = divmod(int(depth.argmax()), depth.shape[1])
        axis.text(
            sides[0][column],
            sides[1][row],
            labels[number],
            ha="center",
            va="center",
            weight="bold",
            size="large",
            path_effects=[withStroke(linewidth=3, foreground=axis.get_facecolor())],
        )


def _ink() -> str:
    """The colour of texts: dark in light styles, and the other way round."""
    return matplotlib.rcParams["text.color"]


def _draw_rows(
    axis: Axes,
    plane: Plane,
    classes: Int[np.ndarray, " rows"],
    wrong: np.ndarray,
    labels: list[str],
    zero_lines: int | None,
) -> None:
    size = float(np.clip(6000 / len(classes), 5, 28))
    handles: list[Any] = []
    for number in np.unique(classes).tolist():
        here = plane.places[classes == number]
        handles.append(
            axis.scatter(
                *here.T,
                s=size,
                color=class_color(number),
                marker=class_marker(number),
                edgecolors=_ink(),
                linewidths=0.5,
                label=labels[number],
            )
        )
    if wrong.any():
        label = f"wrong: {wrong.sum():,} of {len(wrong):,} rows"
        style = {"s": 2.5 * size + 20, "facecolors": "none", "edgecolors": _ink()}
        handles.append(axis.scatter(*plane.places[wrong].T, linewidths=1.2, label=label, **style))
    if zero_lines is not None:
        label = f"z = 0 of hidden[{zero_lines}]"
        handles.append(Line2D([], [], color=_ink(), linestyle="--", linewidth=0.8, label=label))
    outside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    place = outside if len(handles) > 4 else {"loc": "best", "framealpha": 0.9}
    axis.legend(handles=handles, fontsize="small", **place)
