"""Keras' models in, and ours out.

In reading order: `layers` (what Keras has no layer for), `models` (to Keras) and `reading` (from
Keras).
"""

from .models import to_keras
from .reading import from_keras

__all__ = ["from_keras", "to_keras"]
