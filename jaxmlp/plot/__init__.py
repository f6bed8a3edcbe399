"""Pictures of runs, networks and predictions, drawn by matplotlib without pyplot.

Each function draws into the axes that it is given, or makes a figure of its own, and returns the
axes: `axes.figure.savefig("name.png")` writes it, and in a notebook `axes.figure` as a cell's last
line shows it. In reading order: `panels` (where to draw), `names` (of what is drawn, and its
colours), `cells` (numbers and names on an image), `networks` (one, by layer); of runs `searches`
and `history`; of networks `regions`, `layers` and `weights`; of
predictions `confusion` and `calibration`.
"""

from ..checks import did_you_mean as _did_you_mean

try:
    import matplotlib as _matplotlib  # noqa: F401  (the files below need it)
except ImportError as error:
    raise ImportError(
        "jaxmlp.plot needs matplotlib, which is not installed; pip install 'jaxmlp[plot]'."
    ) from error

from .calibration import plot_calibration
from .confusion import plot_confusion
from .history import plot_history
from .layers import plot_layers
from .regions import plot_decision_regions
from .searches import plot_search
from .weights import plot_weights

__all__ = [
    "plot_calibration",
    "plot_confusion",
    "plot_decision_regions",
    "plot_history",
    "plot_layers",
    "plot_search",
    "plot_weights",
]


def __getattr__(name: str) -> object:
    hint = _did_you_mean(name, __all__, "plot")
    raise AttributeError(f"jaxmlp.plot has no {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
