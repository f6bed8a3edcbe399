"""Turns probabilities and targets into a reliability diagram: what is said and what happens."""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Shaped
from matplotlib.axes import Axes

from ..checks import as_real_array, require_int
from .panels import make_panel

_PERFECT = "perfectly calibrated"
# Standard deviations of a normal distribution that hold 95 %.
_Z = 1.959964


def plot_calibration(
    probabilities: Shaped[Array | np.ndarray, "rows ..."],
    targets: Shaped[Array | np.ndarray, " rows"],
    *,
    class_number: int | None = None,
    bins: int = 15,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws how often predictions are right against how probable they are said to be.

    Each point is a bin of probabilities: below the diagonal the network is too sure, above it not
    sure enough. Vertical lines are 95 % intervals of the frequency, for the number of rows in the
    bin; the steps at the bottom are the shares of rows in the bins, on the same axis. Draw into
    the same `ax` again to compare, as a network with an ensemble.

    Args:
        probabilities: Of each class, shape (rows, classes), sums 1: `jax.nn.softmax(logits)`,
            `jaxmlp.ensembles.mean_probabilities(logits)` or an estimator's `predict_proba`; or
            those of class 1 of two, shape (rows,) or (rows, 1).
        targets: Integer classes, shape (rows,).
        class_number: A class, in [0, classes), whose probability is compared with how often it
            occurs; `None` compares the largest probability of each row, the confidence, with
            how often that class is right.
        bins: Number of equal bins over [0, 1], at least 1.
        label: What the legend calls it; the calibration error (the mean over rows of the gap in
            their bin) is added, which for `class_number=None` is `metrics.calibration_error(bins)`.
        ax: Where to draw; by default a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: There are no rows, shapes do not match, `probabilities` are none, or `targets`
            are no classes.

    References:
        Guo et al. 2017, section 2; Wilson 1927 for the intervals.

    Example:
        >>> probabilities = np.array([[0.75, 0.25]] * 4)
        >>> axis = plot_calibration(probabilities, np.array([0, 0, 0, 1]))
        >>> axis.get_legend().get_texts()[-1].get_text()
        'calibration error 0.000'
    """
    known = _as_probabilities(probabilities)
    rows, classes = known.shape
    require_int("bins", bins, 1, None)
    if label is not None and not isinstance(label, str):
        raise TypeError(f"label must be a text for the legend; got {label!r}.")
    found = _as_targets(targets, rows, classes)
    if class_number is None:
        said, happened = known.max(axis=1), known.argmax(axis=1) == found
        names = "confidence (largest probability)", "share that is right"
    else:
        require_int("class_number", class_number, 0, classes)
        said, happened = known[:, class_number], found == class_number
        names = f"predicted probability of class {class_number}", f"share of class {class_number}"
    # Bins are (lower, upper], as those of the metric.
    index = np.clip(np.ceil(said * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    filled = counts > 0
    mean = np.bincount(index, said, bins)[filled] / counts[filled]
    share = np.bincount(index, happened, bins)[filled] / counts[filled]
    error = float(np.sum(counts[filled] / rows * np.abs(share - mean)))
    axis = make_panel(ax, (5.2, 5.0))
    if _PERFECT not in axis.get_legend_handles_labels()[1]:
        axis.plot([0, 1], [0, 1], color="gray", linestyle=":", label=_PERFECT)
    told = f"calibration error {error:.3f}"
    told = told if label is None else f"{label}: {told}".replace("$", r"\$")
    (line,) = axis.plot(mean, share, "o-", markersize=4, label=told, clip_on=False)
    axis.vlines(mean, *_interval(share, counts[filled]), color=line.get_color(), alpha=0.6)
    edges = np.linspace(0, 1, bins + 1)
    axis.stairs(counts / rows, edges, fill=True, color=line.get_color(), alpha=0.15)
    axis.set(xlabel=names[0], ylabel=f"{names[1]}; steps: share of rows", aspect="equal")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    # Lines may be anywhere within.
    axis.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return axis


def _interval(
    share: Float[np.ndarray, " bins"], counts: Shaped[np.ndarray, " bins"]
) -> Float[np.ndarray, "2 bins"]:
    # Wilson: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    square = _Z**2 / counts
    half = _Z * np.sqrt(share * (1 - share) / counts + square / counts / 4)
    return np.stack([share + square / 2 - half, share + square / 2 + half]) / (1 + square)


def _as_probabilities(probabilities: Any) -> Float[np.ndarray, "rows classes"]:
    given = np.asarray(as_real_array("probabilities", probabilities), np.float64)
    if given.ndim == 3:
        raise ValueError(
            "probabilities must have shape (rows, classes); got shape "
            f"{given.shape}. Of members, average them: jaxmlp.ensembles.mean_probabilities(logits)."
        )
    given = given[:, None] if given.ndim == 1 else given
    if given.ndim != 2 or not len(given):
        raise ValueError(
            "probabilities must have shape (rows, classes), and at least one row; got shape "
            f"{given.shape}."
        )
    # 16-bit probabilities sum to 1 within a hundredth.
    is_whole = given.shape[1] == 1 or np.allclose(given.sum(axis=1), 1, atol=0.02)
    if not ((given >= 0) & (given <= 1.001)).all() or not is_whole:
        raise ValueError(
            "probabilities must be numbers in [0, 1] whose sum over the classes is 1; got numbers "
            f"from {given.min():.4g} to {given.max():.4g}. Logits become probabilities by "
            "jax.nn.softmax(logits), a single one by jax.nn.sigmoid."
        )
    given = np.minimum(given, 1)
    return np.concatenate([1 - given, given], axis=1) if given.shape[1] == 1 else given


def _as_targets(targets: Any, rows: int, classes: int) -> Shaped[np.ndarray, " rows"]:
    given = np.asarray(as_real_array("targets", targets))
    if given.shape != (rows,):
        raise ValueError(
            f"targets must have shape ({rows},), one class per row; got {given.shape}."
        )
    if not np.isin(given, np.arange(classes)).all():
        raise ValueError(
            f"targets must be classes, integers in [0, {classes}); got numbers from {given.min()} "
            f"to {given.max()}."
        )
    return given
