"""Turns rows into a plane through their inputs, and into their places on it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..checks import require_int
from ..network import Standardization


class Plane(NamedTuple):
    """A plane `origin + u * directions[0] + v * directions[1]` through the inputs.

    `places` are u and v of the rows, `labels` the names of both, and `title` says how the plane
    lies, nothing where there are two inputs alone.
    """

    origin: Float[np.ndarray, " in_features"]
    directions: Float[np.ndarray, "2 in_features"]
    places: Float[np.ndarray, "rows 2"]
    labels: tuple[str, str]
    title: str

    def window(self) -> Float[np.ndarray, "2 2"]:
        """Returns the lowest and highest u, and those of v, with a margin around the rows."""
        low, high = self.places.min(axis=0), self.places.max(axis=0)
        margin = np.where(high > low, 0.08 * (high - low), 0.5)
        return np.stack([low - margin, high + margin], axis=1)

    def points(
        self, u: Float[np.ndarray, " across"], v: Float[np.ndarray, " up"]
    ) -> Float[np.ndarray, "up across in_features"]:
        """Returns the inputs at all places of a grid, v along the first axis."""
        across, up = np.meshgrid(u, v)
        return (
            self.origin
            + across[..., None] * self.directions[0]
            + up[..., None] * (self.directions[1])
        )


def plane_of_features(
    x: Float[np.ndarray, "rows in_features"], features: Any, names: list[str]
) -> Plane:
    """Returns the plane of two features, by number or name, the others at their medians.

    Raises:
        TypeError: `features` are not two numbers or names.
        ValueError: There is no such feature, or both are the same.
    """
    if isinstance(features, str) or not isinstance(features, Sequence) or len(features) != 2:
        raise TypeError(
            f"features must be two numbers or names of features, as (0, 1); got {features!r}."
        )
    chosen = [_number_of(feature, names) for feature in features]
    if chosen[0] == chosen[1]:
        raise ValueError(f"features must be two different ones; got {features!r}.")
    origin = np.median(x, axis=0)
    origin[chosen] = 0
    others = len(names) - 2
    title = f"the other {others} inputs at their medians" if others > 1 else ""
    if others == 1:
        title = "the other input at its median"
    directions = np.eye(len(names))[chosen]
    return Plane(origin, directions, x[:, chosen], (names[chosen[0]], names[chosen[1]]), title)


def principal_plane(
    x: Float[np.ndarray, "rows in_features"], standardization: Standardization | None
) -> Plane:
    """Returns the plane through the mean of the rows, as the network sees them, of most variance.

    Raises:
        ValueError: All rows are the same.
    """
    mean, scale = np.zeros(x.shape[1]), np.ones(x.shape[1])
    if standardization is not None:
        mean, scale = (np.asarray(part, np.float64) for part in standardization)
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
    share = variances[-2:].sum() / total
    standardised = "" if standardization is None else "standardised "
    return Plane(
        origin=mean + scale * centre,
        directions=scale * components,
        places=(seen - centre) @ components.T,
        labels=("first principal component", "second principal component"),
        title=(
            f"plane of the first two principal components,\n"
            f"{share:.0%} of the variance of the {standardised}inputs"
        ),
    )


def _number_of(feature: Any, names: list[str]) -> int:
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"features must be names of {names}; got {feature!r}.")
        return names.index(feature)
    require_int("features", feature, 0, len(names))
    return int(feature)
