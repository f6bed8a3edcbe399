"""Flax' modules in, and ours out: NNX and Linen.

In reading order: `layers` (what Flax has no layer for), `reading` (layers of either as operations),
`nnx` and `linen`.
"""

from .linen import from_linen, to_linen
from .nnx import from_nnx, to_nnx

__all__ = ["from_linen", "from_nnx", "to_linen", "to_nnx"]
