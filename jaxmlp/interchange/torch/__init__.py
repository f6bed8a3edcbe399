"""PyTorch's modules in, and ours out.

In reading order: `layers` (what PyTorch has no module for), `activations`, `modules` (a module as a
list of operations) and `networks`.
"""

from .networks import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
