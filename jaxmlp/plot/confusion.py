"""Turns outputs and targets into a matrix of which classes are taken for which."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Array, Float, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import PercentFormatter

from ..checks import as_real_array, require_name
from ..metrics import confusion_matrix
from .cells import name_ticks, write_numbers
from .names import as_labels
from .panels import make_panel

Normalize: TypeAlias = Literal["true", "pred", "all"]

# With more classes there is no room for numbers in the cells.
_MOST_NUMBERED = 20


def plot_confusion(
    outputs: Shaped[Array | np.ndarray, "*batch outputs"],
    targets: Shaped[Array | np.ndarray, "..."],
    *,
    weight: Shaped[Array | np.ndarray, "*batch"] | None = None,
    normalize: Normalize | None = None,
    class_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws how often rows of each class are predicted to be of each class.

    Rows of the picture are true classes, columns predicted ones; cells without rows are empty. The
    colour is the share of the true class, whatever its size, unless shares of something else are
    asked for; it tells small shares apart better than large ones.

    Args:
        outputs: What `jaxmlp.apply` returned, as for `metrics.confusion_matrix`; probabilities
            will do, except of a single output, which is the log-odds of class 1.
        targets: Integer classes, shape (*batch,).
        weight: Weight of each row, at least 0, shape (*batch,); `None` counts each as 1.
        normalize: What is written in the cells, as in scikit-learn: `None` for numbers of rows (or
            sums of weights), "true" for shares of the true class, "pred" for shares of the
            predicted class, "all" for shares of all rows.
        class_names: Names of the classes; by default their numbers.
        ax: Where to draw; by default a new figure.

    Returns:
        The axes.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Shapes do not match, there are no rows, `normalize` has another value, a target
            is no class, an output is NaN, or there is not one name per class.

    Example:
        >>> axis = plot_confusion(np.eye(3)[[0, 1, 1]], np.array([0, 1, 2]))
        >>> axis.images[0].get_array().tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    require_name("normalize", normalize, (None, "true", "pred", "all"))
    if np.ndim(as_real_array("outputs", outputs)) < 2:
        raise ValueError(
            f"outputs must have shape (*batch, classes); got shape {np.shape(outputs)}. Of "
            "predicted classes, give jax.nn.one_hot(predicted, classes)."
        )
    counts = np.asarray(confusion_matrix(outputs, targets, weight), np.float64)
    if np.isnan(counts).any():
        raise ValueError(
            f"outputs must be no NaN, and targets integers in [0, {len(counts)}), the classes; of "
            "some rows they are not."
        )
    if not counts.any():
        raise ValueError("outputs must have at least one row of weight above 0; got none.")
    labels = as_labels("class_names", class_names, len(counts), range(len(counts)))
    by_true = _divide(counts, counts.sum(axis=1, keepdims=True))
    shares = {
        None: by_true,
        "true": by_true,
        "pred": _divide(counts, counts.sum(axis=0, keepdims=True)),
        "all": _divide(counts, counts.sum(keepdims=True)),
    }[normalize]
    side = 2.8 + 0.34 * min(len(counts), _MOST_NUMBERED)
    axis = make_panel(ax, (side + 0.8, side))
    highest = float(shares.max()) if normalize == "all" else 1.0
    # A root spreads small shares, which are the errors.
    norm = PowerNorm(0.5, vmin=0, vmax=highest)
    image = axis.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
    of = {"pred": "predicted class", "all": "rows"}.get(normalize or "", "true class")
    bar = axis.figure.colorbar(image, ax=axis, label=f"share of {'all ' * (of == 'rows')}{of}")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    if len(counts) <= _MOST_NUMBERED:
        written = counts if normalize is None else shares
        write_numbers(axis, image, [[_text(value, normalize) for value in row] for row in written])
    named = labels if len(counts) <= 2 * _MOST_NUMBERED or class_names is not None else None
    name_ticks(axis, "x", named, slanted=max(map(len, labels)) > 3)
    name_ticks(axis, "y", named)
    axis.set(xlabel="predicted class", ylabel="true class")
    return axis


def _divide(
    counts: Float[np.ndarray, "classes classes"], by: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "classes classes"]:
    """Shares; 0 of a class that has no rows."""
    return np.divide(counts, by, out=np.zeros_like(counts), where=by != 0)


def _text(value: float, normalize: Normalize | None) -> str:
    if value == 0:
        return ""
    if normalize is not None:
        return f"{value:.0%}" if value >= 0.1 else f"{value:.1%}"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"
