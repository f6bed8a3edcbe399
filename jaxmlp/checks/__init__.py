"""What is refused: arguments of a wrong type or out of range, and names that there are not.

In reading order: `versions` (ours, and a jaxlib that computes wrong numbers), `suggestions` (ours
for a foreign name), `arguments`.
"""

from .arguments import (
    as_real_array,
    is_real_array,
    require_bool,
    require_function,
    require_int,
    require_key,
    require_loss,
    require_mapping,
    require_name,
    require_number,
    require_optimizer,
    require_path,
    suggests_settings,
    unknown_setting,
)
from .suggestions import did_you_mean
from .versions import __version__, warn_if_miscompiling

__all__ = [
    "__version__",
    "as_real_array",
    "did_you_mean",
    "is_real_array",
    "require_bool",
    "require_function",
    "require_int",
    "require_key",
    "require_loss",
    "require_mapping",
    "require_name",
    "require_number",
    "require_optimizer",
    "require_path",
    "suggests_settings",
    "unknown_setting",
    "warn_if_miscompiling",
]
