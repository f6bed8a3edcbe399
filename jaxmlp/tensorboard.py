"""Turns the metrics of every epoch into logs that TensorBoard reads."""

from collections.abc import Mapping
from pathlib import Path

from .train_step import TrainState

try:
    from tensorboardX import SummaryWriter
except ImportError as error:
    raise ImportError(
        "jaxmlp.tensorboard needs tensorboardX, which is not installed; "
        "pip install 'jaxmlp[tensorboard]'."
    ) from error


class TensorBoardLogger:
    """Writes one scalar per metric and epoch; give it to `jaxmlp.fit` as `on_epoch`.

    Args:
        directory: Where the event file is written; `tensorboard --logdir` reads it.

    Example:
        >>> import tempfile
        >>> with TensorBoardLogger(tempfile.mkdtemp()) as logger:
        ...     logger(None, {"epoch": 0, "loss": 0.5})
    """

    def __init__(self, directory: str | Path) -> None:
        self._writer = SummaryWriter(str(directory))

    def __call__(self, _state: TrainState | None, metrics: Mapping[str, int | float]) -> None:
        """Writes the metrics of an epoch.

        Args:
            _state: Not used.
            metrics: Numbers by name, with "epoch".
        """
        for name, value in metrics.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(metrics["epoch"]))

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._writer.close()

    def __enter__(self) -> "TensorBoardLogger":  # noqa: PYI034  # beartype refuses Self
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
