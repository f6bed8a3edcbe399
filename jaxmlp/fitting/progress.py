"""Turns epochs into a tqdm progress bar, where someone is there to see it."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any


class ProgressBar:
    """A bar over epochs with the latest metrics; does nothing when it is not shown.

    Args:
        epochs: Length of the bar.
        show: Whether to show it; `None` means where standard error is a terminal, or in a notebook,
            and tqdm is installed.

    Raises:
        ImportError: `show` is True, but tqdm is not installed.
    """

    def __init__(self, epochs: int, *, show: bool | None) -> None:
        self._bar: Any = None
        # Without a console, as under pythonw, there is no standard error.
        seen = sys.stderr is not None and sys.stderr.isatty()
        if show is None and not (seen or "ipykernel" in sys.modules):
            return
        if show is False:
            return
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
            shown = {name: f"{value:.4g}" for name, value in metrics.items() if name != "epoch"}
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(epochs)

    def __enter__(self) -> "ProgressBar":  # noqa: PYI034  # beartype refuses Self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
