"""Turns a network of any inputs into what a plane through them shows: regions, and lines z = 0."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import contourpy
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..forward import intermediates
from ..inspection import Record, decide, probabilities_of
from ..network import MLPConfig
from .row_sample import Rows, float_type

_PIXELS = 72
# More lines hide each other.
_MOST_LINES = 24


class Plane(NamedTuple):
    """Points `origin + u * axes[0] + v * axes[1]`; `kind` is "inputs", "pair" or "principal"."""

    kind: str
    origin: Float[np.ndarray, " in_features"]
    axes: Float[np.ndarray, "2 in_features"]
    points: Float[np.ndarray, "rows 2"]
    features: tuple[int, int] | None
    share: float


def choose_plane(rows: Rows, features: tuple[int, int] | None) -> Plane | None:
    """Takes two inputs as they are, a pair with the others at medians, or the principal plane."""
    inputs = rows.x.shape[1]
    if inputs == 1:
        return None
    if features is None and inputs == 2:
        features = (0, 1)
    points = rows.x[rows.shown]
    if features is not None:
        origin, axes = np.median(rows.x, axis=0), np.zeros((2, inputs))
        for axis, feature in enumerate(features):
            origin[feature], axes[axis, feature] = 0.0, 1.0
        kind = "inputs" if inputs == 2 else "pair"
        return Plane(kind, origin, axes, points[:, list(features)], features, 1.0)
    mean, scale = rows.x.mean(axis=0), rows.x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    _, sizes, directions = np.linalg.svd((rows.x - mean) / scale, full_matrices=False)
    if len(directions) < 2:
        return None
    # The largest entry of a direction is positive, whichever way the decomposition turned it.
    largest = np.abs(directions[:2]).argmax(axis=1)
    directions = directions[:2] * np.sign(directions[[0, 1], largest])[:, None]
    share = float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-30))
    points = (points - mean) / scale @ directions.T
    return Plane("principal", mean, directions * scale, points, None, share)


def draw_plane(
    records: Sequence[Record], config: MLPConfig, rows: Rows, plane: Plane
) -> dict[str, Any]:
    """Returns, by epoch, the network's answer on a grid, and where units' net inputs are 0."""
    low, high = plane.points.min(axis=0), plane.points.max(axis=0)
    margin = np.where(high > low, 0.15 * (high - low), 1.0)
    low, high = low - margin, high + margin
    u, v = (np.linspace(low[axis], high[axis], _PIXELS) for axis in (0, 1))
    grid = np.stack(np.meshgrid(u, v), axis=-1)
    inputs = jnp.asarray(plane.origin + grid @ plane.axes, float_type(config))
    run = jax.jit(lambda params: intermediates(params, inputs, config=config))
    answers, lines = [], []
    for record in records:
        layers = jax.device_get(run(record.params))
        answers.append(_answer(np.asarray(layers[-1].activation, np.float64), config, rows))
        lines.append(
            [
                _zero_lines(u, v, np.asarray(layer.net_input, np.float64)[..., :_MOST_LINES])
                for layer in layers[:-1]
            ]
        )
    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "points": np.round(plane.points, 4).tolist(),
        "answers": answers,
        "lines": lines,
    }


def _answer(outputs: np.ndarray, config: MLPConfig, rows: Rows) -> dict[str, np.ndarray]:
    """The class and how sure it is, from 0 to 1; of numbers, the first output."""
    if rows.classes is None:
        return {"value": outputs[..., 0]}
    probabilities = probabilities_of(outputs, config)
    return {"class": decide(outputs, config), "sure": probabilities.max(axis=-1).clip(0, 1)}


def _zero_lines(
    u: np.ndarray, v: np.ndarray, net_input: np.ndarray
) -> list[list[list[list[float]]]]:
    """Of each unit, lines of points (u, v) at which its net input is 0."""
    lines = []
    for unit in range(net_input.shape[-1]):
        contours: Any = contourpy.contour_generator(u, v, net_input[..., unit]).lines(0.0)
        lines.append([np.round(line, 3).T.tolist() for line in contours])
    return lines
