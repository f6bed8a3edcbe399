"""Turns a file into the classifier or regressor that it holds."""

from pathlib import Path

from .classifier import MLPClassifier
from .estimator_files import read_estimator
from .regressor import MLPRegressor


def load(path: str | Path) -> MLPClassifier | MLPRegressor:
    """Reads the estimator that its method `save` wrote, whichever it is.

    The file may come from anybody: it is checked before it is used, and nothing in it is run.

    Args:
        path: The file.

    Returns:
        The estimator, which predicts and goes on training as the one that was saved.

    Raises:
        CheckpointError: The file is damaged, holds no estimator, or was written by a later version.
        OSError: It cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> MLPRegressor(alpha=0.1).save(path)
        >>> load(path)
        MLPRegressor(alpha=0.1)
    """
    return read_estimator(path, {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor)})
