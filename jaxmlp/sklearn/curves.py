"""Turns the losses and scores of epochs into a picture."""

from typing import Any

try:
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError(
        "plot_curves needs matplotlib, which is not installed; pip install 'jaxmlp[plot]'."
    ) from error


def draw_curves(
    ax: Any,
    losses: list[float],
    validation_losses: list[float] | None,
    validation_scores: list[float] | None,
    *,
    score: str,
) -> Any:
    """Draws losses on the left axis and scores on a right one, by epoch.

    Args:
        ax: Where to draw; `None` makes a new figure.
        losses: Loss of each epoch.
        validation_losses: The same on rows to validate on, or `None`.
        validation_scores: Score of each epoch, or `None`.
        score: What the score is called.

    Returns:
        The axes with the losses.
    """
    if ax is None:
        ax = plt.subplots(layout="constrained")[1]
    lines = ax.plot(range(1, len(losses) + 1), losses, color="C0", label="training loss")
    if validation_losses:
        epochs = range(1, len(validation_losses) + 1)
        lines += ax.plot(epochs, validation_losses, color="C1", label="validation loss")
    if validation_scores:
        right = ax.twinx()
        epochs = range(1, len(validation_scores) + 1)
        label = f"validation {score}"
        lines += right.plot(epochs, validation_scores, color="C2", linestyle="--", label=label)
        right.set_ylabel(label)
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Of both axes in one legend.
    ax.legend(handles=lines)
    return ax
