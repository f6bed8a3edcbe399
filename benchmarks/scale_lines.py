"""Fits straight lines on log paper to the points of a sweep, and draws them."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

# A line may miss a point by this factor; a point that is missed by more begins another line.
MISS = 1.15


class Line(NamedTuple):
    """`factor * x ** exponent` between two points of a sweep."""

    first: float
    last: float
    exponent: float
    factor: float


class Curve(NamedTuple):
    """One measured quantity over the swept dimension."""

    title: str
    x: list[float]
    y: list[float]


def fit_lines(x: Sequence[float], y: Sequence[float]) -> list[Line]:
    """Covers the points with as few least-squares lines as miss none; neighbours share a point."""
    lines, start = [], 0
    while start < len(x) - 1:
        for end in range(len(x), start + 1, -1):
            log_x, log_y = np.log(x[start:end]), np.log(y[start:end])
            exponent, offset = np.polyfit(log_x, log_y, 1)
            misses = np.abs(exponent * log_x + offset - log_y)
            if end == start + 2 or misses.max() <= np.log(MISS):
                lines.append(Line(x[start], x[end - 1], float(exponent), float(np.exp(offset))))
                start = end - 1
                break
    return lines


def tell_lines(curve: Curve) -> str:
    """Returns the exponents and where they change."""
    lines = fit_lines(curve.x, curve.y)
    told = [f"{a:,.0f} to {b:,.0f}: {exponent:.2f}" for a, b, exponent, _ in lines]
    return f"{curve.title}: " + ("; ".join(told) or "too few points")


def draw(sweeps: dict[str, list[Curve]], path: Path) -> None:
    """Draws a row of panels per sweep, points and lines on log paper."""
    columns = max(map(len, sweeps.values()))
    figure = Figure(figsize=(3.4 * columns, 2.4 * len(sweeps)), dpi=110, layout="constrained")
    panels = figure.subplots(len(sweeps), columns, squeeze=False)
    for row, (dimension, curves) in zip(panels, sweeps.items(), strict=True):
        for axis, curve in itertools.zip_longest(row, curves):
            axis.plot(curve.x, curve.y, "o", color="C0", markersize=4)
            for first, last, exponent, factor in fit_lines(curve.x, curve.y):
                ends = np.array([first, last])
                axis.plot(ends, factor * ends**exponent, color="0.4", linewidth=1)
                axis.annotate(
                    f"{exponent:.2f}", (ends.prod() ** 0.5, factor * ends.prod() ** (exponent / 2))
                )
            axis.set(xscale="log", yscale="log", xlabel=dimension, ylabel=curve.title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
