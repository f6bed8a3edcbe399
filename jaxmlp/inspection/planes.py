"""Turns rows into a plane through their inputs, and into their places on it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..checks import require_int
from ..network import Standardization


class Plane(NamedTuple):
    """A plane `origin + u * directions[0] + v * directions[1]` through the inputs.

    `places` are u and v of the rows, and `scale` what the network divides each by where it
    standardises its inputs. Of two features, these are `features`, by number, and `share` is
    `None`. Of the principal plane, `features` are `None` and `share` is the part of the rows'
    variance that lies in it, from 0 to 1.
    """

    origin: Float[np.ndarray, " in_features"]
    directions: Float[np.ndarray, "2 in_features"]
    places: Float[np.ndarray, "rows 2"]
    features: tuple[int, int] | None
    share: float | None
    scale: Float[np.ndarray, " 2"]

    def window(self) -> Float[np.ndarray, "2 2"]:
        """Returns the lowest and highest u, and those of v, with a margin around the rows."""
        low, high = self.places.min(axis=0), self.places.max(axis=0)
        margin = np.where(high > low, 0.08 * (high - low), 0.5)
        return np.stack([low - margin, high + margin], axis=1)

    def points(
        self, u: Float[np.ndarray, " across"], v: Float[np.ndarray, " up"]
    ) -> Float[np.ndarray, "up across in_features"]:
        """Returns the inputs at all places of a grid, v along the first axis."""
        return self.origin + np.stack(np.meshgrid(u, v), axis=-1) @ self.directions


def plane_of_features(
    x: Float[np.ndarray, "rows in_features"],
    features: Any,
    names: Sequence[str],
    standardization: Standardization | None,
) -> Plane:
    """Returns the plane of two features, by number or name, the others at their medians.

    Args:
        x: The rows.
        features: Numbers or names of both.
        names: Names of all features.
        standardization: That of the network, if any.

    Raises:
        TypeError: `features` are not two numbers or names.
        ValueError: There is no such feature, or both are the same.
    """
    if isinstance(features, str) or not isinstance(features, Sequence) or len(features) != 2:
        raise TypeError(
            f"features must be two numbers or names of features, as (0, 1); got {features!r}."
        )
    first, second = (_number_of(feature, names) for feature in features)
    if first == second:
        raise ValueError(f"features must be two different ones; got {features!r}.")
    chosen = [first, second]
    origin = np.median(x, axis=0)
    origin[chosen] = 0
    directions = np.eye(len(names))[chosen]
    scale = _statistics(standardization, x.shape[1])[1][chosen]
    return Plane(origin, directions, x[:, chosen], (first, second), None, scale)


def principal_plane(
    x: Float[np.ndarray, "rows in_features"], standardization: Standardization | None
) -> Plane:
    """Returns the plane through the mean of the rows, as the network sees them, of most variance.

    Args:
        x: The rows.
        standardization: That of the network: with it, components are those of standardised inputs,
            without it of the inputs as they are. Either way u and v have the unit that the network
            sees.

    Raises:
        ValueError: All rows are the same.
    """
    mean, scale = _statistics(standardization, x.shape[1])
    seen = (x - mean) / scale
    centre = seen.mean(axis=0)
    # eigh sorts upwards.
    variances, components = np.linalg.eigh((seen - centre).T @ (seen - centre))
    total = variances.sum()
    if not total > 0:
        raise ValueError("x must have rows that differ, which span a plane; all are the same.")
    components = components[:, :-3:-1].T
    largest = np.abs(components).argmax(axis=1)
    # A component has no sign of its own.
    components *= np.sign(components[[0, 1], largest])[:, None]
    return Plane(
        origin=mean + scale * centre,
        directions=scale * components,
        places=(seen - centre) @ components.T,
        features=None,
        share=float(variances[-2:].sum() / total),
        scale=np.ones(2),
    )


def _statistics(
    standardization: Standardization | None, in_features: int
) -> tuple[np.ndarray, np.ndarray]:
    if standardization is None:
        return np.zeros(in_features), np.ones(in_features)
    mean, scale = (np.asarray(part, np.float64) for part in standardization)
    return mean, scale


def _number_of(feature: Any, names: Sequence[str]) -> int:
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"features must be names of {list(names)}; got {feature!r}.")
        return list(names).index(feature)
    require_int("features", feature, 0, len(names))
    return int(feature)
