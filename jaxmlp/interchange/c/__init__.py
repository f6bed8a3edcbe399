"""A network as one C99 header.

In reading order: `functions` (activations), `steps` (operations as lines) and `header`.
"""

from .header import to_c

__all__ = ["to_c"]
