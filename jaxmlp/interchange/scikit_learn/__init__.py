"""Networks as scikit-learn's estimators, and from them.

In reading order: `networks` (to scikit-learn) and `estimators` (from it).
"""

from .estimators import from_sklearn
from .networks import to_sklearn

__all__ = ["from_sklearn", "to_sklearn"]
