"""Turns a network of any inputs into what a plane through them shows: regions, and lines z = 0."""

import math
from collections.abc import Sequence
from typing import Any

import contourpy
import jax
import jax.numpy as jnp
import numpy as np

from ..forward import intermediates
from ..inspection import (
    Plane,
    Record,
    decide,
    plane_of_features,
    principal_plane,
    probabilities_of,
)
from ..network import MLPConfig, Standardization
from .row_sample import Rows, float_type, targets_by_output

_PIXELS = 72
# Of more outputs than these the images are coarser, so that all of them take the same space.
_FINE_OUTPUTS = 4
# More lines hide each other.
_MOST_LINES = 24


def choose_plane(
    rows: Rows, features: Any, standardization: Standardization | None
) -> Plane | None:
    """Takes two inputs as they are, a pair with the others at medians, or the principal plane.

    Args:
        rows: The rows; the plane is that of all, its places are those of the rows shown.
        features: Numbers or names of a pair, or `None`.
        standardization: That of the network, if any.

    Returns:
        The plane; none of a single input, or of rows that are all the same.

    Raises:
        TypeError: `features` are not two numbers or names.
        ValueError: There is no such feature, or both are the same.
    """
    inputs = rows.x.shape[1]
    if features is None and inputs == 2:
        features = (0, 1)
    if features is not None:
        plane = plane_of_features(rows.x, features, rows.features, standardization)
    elif inputs == 1 or (rows.x == rows.x[0]).all():
        return None
    else:
        plane = principal_plane(rows.x, standardization)
    return plane._replace(places=plane.places[rows.shown])


def draw_plane(
    records: Sequence[Record], config: MLPConfig, rows: Rows, plane: Plane
) -> dict[str, Any]:
    """Returns, by epoch, the network's answer on a grid, and where units' net inputs are 0.

    Answers that are numbers become levels of 0 to 255 between the smallest and the largest target
    of each output, which are the `ranges`; `targets` are the levels of the rows shown.
    """
    window = plane.window()
    u, v = (np.linspace(low, high, _PIXELS) for low, high in window)
    inputs = jnp.asarray(plane.points(u, v), float_type(config))
    run = jax.jit(lambda params: intermediates(params, inputs, config=config))
    answers, lines = [], []
    for record in records:
        layers = jax.device_get(run(record.params))
        answers.append(np.asarray(layers[-1].activation, np.float64))
        lines.append(
            [
                _zero_lines(u, v, np.asarray(layer.net_input, np.float64)[..., :_MOST_LINES])
                for layer in layers[:-1]
            ]
        )
    return {
        "window": window,
        "points": np.round(plane.places, 4).tolist(),
        "lines": lines,
        **(_levels(answers, rows, config) if rows.classes is None else _decided(answers, config)),
    }


def _decided(answers: list[np.ndarray], config: MLPConfig) -> dict[str, Any]:
    """The class, and how sure it is, from 0 to 1."""
    return {
        "answers": [
            {
                "class": decide(outputs, config),
                "sure": probabilities_of(outputs, config).max(axis=-1).clip(0, 1),
            }
            for outputs in answers
        ]
    }


def _levels(answers: list[np.ndarray], rows: Rows, config: MLPConfig) -> dict[str, Any]:
    targets = targets_by_output(rows, config)
    low, high = targets.min(axis=0), targets.max(axis=0)
    span = np.where(high > low, high - low, 1.0)

    def levels(values: np.ndarray) -> np.ndarray:
        shares = np.nan_to_num((values - low) / span, posinf=1, neginf=0)
        return (255 * shares.clip(0, 1)).astype(np.uint8)

    outputs = targets.shape[1]
    step = math.ceil(math.sqrt(outputs / _FINE_OUTPUTS))
    images = [levels(values[..., :outputs])[::step, ::step] for values in answers]
    return {
        "answers": [{"values": np.moveaxis(image, -1, 0)} for image in images],
        "targets": levels(targets[rows.shown]),
        "ranges": np.stack([low, high], axis=1).tolist(),
    }


def _zero_lines(
    u: np.ndarray, v: np.ndarray, net_input: np.ndarray
) -> list[list[list[list[float]]]]:
    """Of each unit, lines of points (u, v) at which its net input is 0."""
    lines = []
    for unit in range(net_input.shape[-1]):
        contours: Any = contourpy.contour_generator(u, v, net_input[..., unit]).lines(0.0)
        lines.append([np.round(line, 3).T.tolist() for line in contours])
    return lines
