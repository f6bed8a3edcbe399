"""Turns the table of a search into a picture of how the score depends on hyperparameters."""

import dataclasses
from typing import Any, NamedTuple, overload

import matplotlib
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from ..ensembles import SearchResult

# More numbers than that are told by a colour bar, and their ticks are matplotlib's.
_MOST_NAMED = 8


class _Places(NamedTuple):
    """Where values stand: numbers at themselves, others one after the other, by their labels."""

    positions: Float[np.ndarray, " values"]
    labels: list[str] | None
    title: str


class _Colors(NamedTuple):
    """A colour per candidate, the groups that share one, their names, and the bar of the others."""

    values: list[Any]
    groups: list[np.ndarray]
    labels: list[str]
    bar: ScalarMappable | None
    title: str


@overload
def plot_search(
    result: SearchResult,
    *,
    x: str,
    hue: str | None = None,
    curves: bool = False,
    figure: Figure | None = None,
) -> Figure: ...
@overload
def plot_search(
    result: SearchResult,
    *,
    x: str,
    hue: str | None = None,
    curves: bool = False,
    figure: SubFigure,
) -> SubFigure: ...
def plot_search(
    result: SearchResult,
    *,
    x: str,
    hue: str | None = None,
    curves: bool = False,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draws the score of every candidate of a search against one hyperparameter.

    A bar is one standard deviation over the folds to each side. The best candidate has a ring;
    those that halving dropped are hollow; those that met NaN or infinity are crosses at the edge
    of bad scores. An axis is logarithmic where that spreads its values more evenly. Candidates of
    one `hue` are joined if they have one score per value of `x` and none was dropped.

    Args:
        result: What `jaxmlp.search` returned.
        x: Name of the hyperparameter along the axis.
        hue: Name of the hyperparameter that is told by colour, or `None`.
        curves: Whether to draw the monitored value by epoch beside it, the mean over the folds as
            long as all of them run, the best candidate thick.
        figure: Where to draw; by default a new figure, which `figure.savefig(path)` writes.

    Returns:
        The figure.

    Raises:
        ValueError: There is no such hyperparameter.

    Example:
        >>> table = {"rate": [0.1, 1.0], "score_mean": np.array([2.0, 1.0]), "rank": [2, 1],
        ...     "score_std": np.zeros(2), "stopped_by": np.array(["epochs", "epochs"])}
        >>> result = SearchResult(table, 1, {"rate": 1.0}, None, "loss", "min", None)
        >>> plot_search(result, x="rate").axes[0].get_xlabel()
        'rate'
    """
    for name, value in (("x", x), ("hue", hue)):
        if value is not None and value not in result.best_settings:
            raise ValueError(
                f"{name} must be a hyperparameter of the search, one of "
                f"{sorted(result.best_settings)}; got {value!r}."
            )
    if figure is None:
        size = (11.0, 4.0) if curves else (6.5, 4.0)
        figure = Figure(figsize=size, dpi=120, layout="constrained")
    axes = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    colors = _choose_colors(hue, result)
    _draw_scores(axes[0], result, _place(x, result.table[x]), colors)
    if curves:
        _draw_curves(axes[1], result, colors, scale=axes[0].get_yscale())
    if colors.bar is not None:
        figure.colorbar(colors.bar, ax=axes[-1], label=colors.title)
    title = colors.title if colors.labels else None
    axes[0].legend(title=title, fontsize="small", title_fontsize="small")
    return figure


def _choose_colors(hue: str | None, result: SearchResult) -> _Colors:
    candidates = len(result.table["rank"])
    everyone = [np.arange(candidates)]
    if hue is None:
        return _Colors(["C0"] * candidates, everyone, [], None, "")
    positions, labels, title = _place(hue, result.table[hue])
    found = np.unique(positions)
    if labels is None and len(found) > _MOST_NAMED:
        norm = (LogNorm if _is_log(positions) else Normalize)(positions.min(), positions.max())
        bar = ScalarMappable(norm, "viridis")
        return _Colors(list(bar.to_rgba(positions)), everyone, [], bar, title)
    groups = [np.flatnonzero(positions == value) for value in found]
    named = [f"{value:g}" for value in found] if labels is None else labels
    if labels is None:
        # From dark to light, as numbers grow, but for the yellow that is hard to see.
        palette = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(found)))
    else:
        palette = [f"C{number % 10}" for number in range(len(found))]
    chosen = [palette[np.searchsorted(found, position)] for position in positions]
    return _Colors(chosen, groups, named, None, title)


def _draw_scores(axis: Axes, result: SearchResult, places: _Places, colors: _Colors) -> None:
    mean, std, positions = result.table["score_mean"], result.table["score_std"], places.positions
    finite: Bool[np.ndarray, " candidates"] = np.isfinite(mean)
    dropped = np.asarray(result.table["stopped_by"]) == "dropped"
    folds = sum(name.startswith("score_fold_") for name in result.table)
    told = f", mean of {folds} folds" if folds > 1 else ""
    axis.set(xlabel=places.title, ylabel=f"validation {result.monitor}{told}")
    for number, group in enumerate(colors.groups):
        # Groups stand side by side, so that bars at one value do not cover each other.
        shift = 4 / 72 * (number - (len(colors.groups) - 1) / 2)
        aside = ScaledTranslation(shift, 0, axis.figure.dpi_scale_trans)
        beside = axis.transData + aside
        group = group[np.argsort(positions[group], kind="stable")]
        shown = group[finite[group]]
        is_line = len(np.unique(positions[shown])) == len(shown) and not dropped[group].any()
        if is_line and colors.bar is None:
            color = colors.values[group[0]]
            axis.plot(positions[shown], mean[shown], color=color, alpha=0.5, transform=beside)
        for candidate in shown:
            axis.errorbar(
                positions[candidate],
                mean[candidate],
                std[candidate] if folds > 1 else None,
                fmt="o",
                color=colors.values[candidate],
                markerfacecolor="white" if dropped[candidate] else None,
                alpha=0.6 if dropped[candidate] else 1.0,
                elinewidth=1,
                capsize=2,
                markersize=5,
                transform=beside,
            )
        bad = group[~finite[group]]
        edge = 0.97 if result.mode == "min" else 0.03
        axis.scatter(
            positions[bad],
            np.full(len(bad), edge),
            c=[colors.values[candidate] for candidate in bad],
            marker="x",
            transform=axis.get_xaxis_transform() + aside,
        )
        if result.best in group:
            axis.plot(
                positions[result.best],
                mean[result.best],
                "o",
                markersize=12,
                color="none",
                markeredgecolor="black",
                transform=beside,
            )
    _name_markers(axis, colors, dropped, finite)
    is_log = _is_log(mean[finite])
    ends = np.concatenate([mean - std, mean, mean + std])
    # A NaN is not above either; what is not above 0 has no logarithm.
    ends = ends[ends > (0 if is_log else -np.inf)]
    _scale_axis(axis, "y", ends, is_log=is_log)
    if places.labels is None:
        _scale_axis(axis, "x", positions, is_log=_is_log(positions))
        _name_numbers(axis, np.unique(positions))
    else:
        axis.set_xticks(range(len(places.labels)), places.labels)
        if sum(map(len, places.labels)) > 60:
            axis.tick_params("x", rotation=30)
        axis.set_xlim(-0.5, len(places.labels) - 0.5)


def _name_markers(
    axis: Axes,
    colors: _Colors,
    dropped: Bool[np.ndarray, " candidates"],
    finite: Bool[np.ndarray, " candidates"],
) -> None:
    """Adds entries of the legend, which have no data."""
    for label, group in zip(colors.labels, colors.groups, strict=bool(colors.labels)):
        axis.plot([], [], "o", color=colors.values[group[0]], markersize=5, label=label)
    axis.plot([], [], "o", markersize=9, color="none", markeredgecolor="black", label="best")
    if dropped.any():
        axis.plot([], [], "o", color="gray", markerfacecolor="white", markersize=5, label="dropped")
    if not finite.all():
        axis.plot([], [], "x", color="gray", label="not finite")


def _scale_axis(axis: Axes, name: str, values: np.ndarray, *, is_log: bool) -> None:
    """Sets scale and limits, since matplotlib does not see markers that stand aside."""
    places = np.log(values) if is_log else values
    margin = 0.06 * np.ptp(places) or 0.5
    limits = np.array([places.min() - margin, places.max() + margin])
    scale = "log" if is_log else "linear"
    axis.set(**{f"{name}scale": scale, f"{name}lim": np.exp(limits) if is_log else limits})


def _name_numbers(axis: Axes, found: np.ndarray) -> None:
    """Puts ticks at the numbers themselves, if they are few and far enough from each other."""
    places = np.log(found) if _is_log(found) else found
    if 1 < len(found) <= _MOST_NAMED and np.diff(places).min() >= 0.1 * np.ptp(places):
        axis.set_xticks(found, [f"{value:g}" for value in found])
        axis.set_xticks([], minor=True)


def _draw_curves(axis: Axes, result: SearchResult, colors: _Colors, *, scale: str) -> None:
    history = result.members.history[f"validation_{result.monitor}"]
    curves = history.reshape(len(colors.values), -1, history.shape[1]).mean(axis=1)
    for candidate, curve in enumerate(curves):
        is_best = candidate == result.best
        axis.plot(
            curve,
            color=colors.values[candidate],
            linewidth=2.5 if is_best else 1,
            alpha=1 if is_best else 0.6,
            zorder=3 if is_best else 2,
        )
    axis.set(xlabel="epoch", ylabel=f"validation {result.monitor}", yscale=scale)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _place(name: str, values: list[Any]) -> _Places:
    if all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool)
        for value in values
    ):
        return _Places(np.asarray(values, float), None, name)
    named, title = [str(value) for value in values], name
    if len({type(value) for value in values}) == 1 and dataclasses.is_dataclass(values[0]):
        # Of configs, only the fields in which they differ.
        fields = [field.name for field in dataclasses.fields(values[0])]
        fields = [f for f in fields if len({repr(getattr(value, f)) for value in values}) > 1]
        if fields:
            named = [", ".join(str(getattr(value, f)) for f in fields) for value in values]
            title = f"{name}: {', '.join(fields)}"
    labels = list(dict.fromkeys(named))
    return _Places(np.array([labels.index(label) for label in named], float), labels, title)


def _is_log(values: np.ndarray) -> bool:
    """Whether positive values over a factor of ten lie more evenly by their logarithms."""
    found = np.unique(values)
    if len(found) < 2 or found[0] <= 0 or found[-1] < 10 * found[0]:
        return False
    return bool(_largest_gap(np.log(found)) <= _largest_gap(found))


def _largest_gap(found: np.ndarray) -> float:
    return np.diff(found).max() / np.ptp(found)
