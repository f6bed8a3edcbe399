"""Turns epochs into a tqdm progress bar, where someone is there to see it."""

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from ..checks import require_bool


class ProgressBar:
    """A bar over epochs with the latest metrics; does nothing when it is not shown.

    Args:
        epochs: Length of the bar.
        show: Whether to show it; `None` means where standard error is a terminal, or in a notebook,
            and tqdm is installed.

    Raises:
        TypeError: `show` is neither a bool nor `None`.
        ImportError: `show` is True, but tqdm is not installed.
        ValueError: `show` is True, but standard error is closed, or there is none.
    """

    def __init__(self, epochs: int, *, show: bool | None) -> None:
        self._bar: Any = None
        if show is not None:
            require_bool("progress", show)
        if show is False:
            return
        if show is None and not (_is_terminal(sys.stderr) or "ipykernel" in sys.modules):
            return
        if show and not _can_be_written(sys.stderr):
            raise ValueError(
                f"progress=True needs standard error to write to; got {sys.stderr!r}, which cannot "
                "be written to. Leave progress out."
            )
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            if show is None:
                return
            raise ImportError(
                "progress=True needs tqdm, which is not installed; pip install 'jaxmlp[progress]'."
            ) from error
        self._bar = tqdm(total=epochs, unit="epoch", dynamic_ncols=True)

    def update(self, epochs: int, metrics: Mapping[str, int | float]) -> None:
        """Moves the bar on and shows the metrics of the latest epoch."""
        if self._bar is not None:
            shown = {
                name: str(value) if isinstance(value, int) else f"{value:.4g}"
                for name, value in metrics.items()
                if name != "epoch"
            }
            self._bar.set_postfix(shown, refresh=False)
            self._show(lambda bar: bar.update(epochs))

    def __enter__(self) -> "ProgressBar":  # noqa: PYI034  # beartype refuses Self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._show(lambda bar: bar.close())

    def _show(self, action: Callable[[Any], object]) -> None:
        try:
            action(self._bar)
        except (OSError, ValueError):
            # Standard error was closed meanwhile: nobody looks, and the run is worth more.
            self._bar.disable = True
            self._bar = None


def _is_terminal(stream: Any) -> bool:
    """Tells whether someone sees a stream; it may be closed, or none, as under pythonw."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False


def _can_be_written(stream: Any) -> bool:
    return hasattr(stream, "write") and not getattr(stream, "closed", False)
