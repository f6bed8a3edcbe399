"""Keeps the estimators' compiled programs for other processes.

In reading order: `program_files`, `lending` (of a cache to JAX for a while), `disk_cache` (where).
"""

from .disk_cache import programs_on_disk

__all__ = ["programs_on_disk"]
