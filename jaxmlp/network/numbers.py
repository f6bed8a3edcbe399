"""Turns numbers that a config cannot hold into clear errors: NumPy's are none of JSON's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import require_int, require_number


def require_width(field: str, value: Any) -> None:
    """Refuses anything but an int of at least 1."""
    if isinstance(value, np.integer):
        raise TypeError(
            f"{field} must be an int of at least 1; got {value!r}. Convert it by int()."
        )
    require_int(field, value, 1, None)


def require_setting(field: str, value: Any, requirement: str, holds: Callable[[Any], bool]) -> None:
    """Refuses anything but a real number of which `holds` is true."""
    if isinstance(value, np.generic) and not isinstance(value, float):
        raise TypeError(
            f"{field} must be a number {requirement}; got {value!r}. Convert it by float()."
        )
    require_number(field, value, requirement, holds)
