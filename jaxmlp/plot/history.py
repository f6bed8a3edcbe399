"""Turns the history of a run, or of many members' runs, into curves by epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..ensembles import MembersResult
from ..fitting import FitResult
from .panels import AxesArray, make_panels

_VALIDATION = "validation_"


def plot_history(
    result: FitResult | MembersResult,
    *,
    metrics: Sequence[str] | None = None,
    axes: AxesArray | Sequence[Axes] | Axes | None = None,
) -> AxesArray:
    """Draws the loss and the metrics of a run by epoch, one picture each.

    Numbers of the rows that are trained on are solid, those of validation rows dashed. Where there
    are validation rows, a vertical line is at the best epoch, whose parameters are
    `result.params`. Epochs have the numbers that they have in the result: the first is 0. Of
    members, each has a thin line as long as it runs; the thick one is their median at the epochs
    at which at least half of them run.

    Args:
        result: What `jaxmlp.fit` or `jaxmlp.fit_members` returned; of a search `result.members`.
        metrics: Names of what to draw, as in the history without the prefix of validation; `None`
            draws all.
        axes: Where to draw, one for each metric; by default in a row of a new figure.

    Returns:
        The axes, shape (metrics,), in the order of `metrics`, or else the loss first.

    Raises:
        TypeError: `result` is no such result, or `axes` are no axes.
        ValueError: No epoch has ended, there is no metric of a name, or not one of `axes` for each.

    Example:
        >>> history = {"epoch": np.arange(2), "loss": np.array([2.0, 1.0])}
        >>> (axis,) = plot_history(FitResult({}, history, None, 1, "epochs"))
        >>> axis.get_ylabel(), axis.lines[0].get_ydata().tolist()
        ('loss', [2.0, 1.0])
    """
    if not isinstance(result, FitResult | MembersResult):
        remedy = ""
        if hasattr(result, "plot_curves"):
            remedy = " An estimator draws its own: estimator.plot_curves()."
        elif hasattr(result, "members"):
            remedy = " Of a search, give result.members."
        raise TypeError(
            "result must be what jaxmlp.fit or jaxmlp.fit_members returned; got a "
            f"{type(result).__name__}.{remedy}"
        )
    history = {name: values for name, values in result.history.items() if name != "epoch"}
    known = list(dict.fromkeys(name.removeprefix(_VALIDATION) for name in history))
    known.sort(key=lambda name: name != "loss")
    names = _choose(metrics, known)
    panels = make_panels(axes, (len(names),), (4.2 * len(names) + 0.6, 3.6))
    for axis, name in zip(panels, names, strict=True):
        curves = {"training": history.get(name), "validation": history.get(_VALIDATION + name)}
        styles = {"training": ("C0", "-"), "validation": ("C1", "--")}
        for label, values in curves.items():
            if values is None:
                continue
            if isinstance(result, FitResult):
                _draw_run(axis, result.history["epoch"], values, label, styles[label])
            else:
                _draw_members(axis, values, label, styles[label])
        validates = any(each.startswith(_VALIDATION) for each in history)
        if isinstance(result, FitResult) and validates and result.best_epoch >= 0:
            label = f"best epoch, {result.best_epoch}"
            axis.axvline(result.best_epoch, color="gray", linestyle=":", label=label)
        axis.set(xlabel="epoch", ylabel=name.replace("$", r"\$"))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(fontsize="small")
    return panels


def _choose(metrics: Any, known: list[str]) -> list[str]:
    if not known:
        raise ValueError("result must have at least one epoch; its history is empty.")
    if metrics is None:
        return known
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"metrics must be a list of names, of {known}; got {metrics!r}.")
    if unknown := [name for name in metrics if name not in known]:
        raise ValueError(f"metrics must be names of {known}; got {unknown[0]!r}.")
    if not metrics:
        raise ValueError(f"metrics must be at least one name of {known}; got none.")
    return list(metrics)


def _draw_run(
    axis: Axes,
    epochs: Int[np.ndarray, " epochs"],
    values: Float[np.ndarray, " epochs"],
    label: str,
    style: tuple[str, str],
) -> None:
    # A line of one point is not to be seen.
    marker = "o" if len(epochs) == 1 else None
    axis.plot(epochs, values, color=style[0], linestyle=style[1], marker=marker, label=label)


def _draw_members(
    axis: Axes, values: Float[np.ndarray, "members epochs"], label: str, style: tuple[str, str]
) -> None:
    members, count = values.shape
    color, line = style
    marker = "o" if count == 1 else None
    alpha = max(0.08, min(0.5, 4 / members))
    axis.plot(values.T, color=color, linestyle=line, linewidth=0.8, alpha=alpha, marker=marker)
    runs = 2 * np.isfinite(values).sum(axis=0) >= members
    median = np.full(count, np.nan)
    median[runs] = np.nanmedian(values[:, runs], axis=0)
    label = f"{label}, median of {members} members"
    axis.plot(median, color=color, linestyle=line, linewidth=2.2, marker=marker, label=label)
