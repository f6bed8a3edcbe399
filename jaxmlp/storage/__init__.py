"""What is on the disk: named arrays in one file, written whole or not at all, and found again.

In reading order: `locks`, `atomic_files`, `container` (bytes of a file), `key_paths` (trees to
names), `networks` (save and load), `rotation` and `writer` (the checkpoints of a run).
"""

from .container import CheckpointError, Contents, encode
from .key_paths import differences, flatten_by_path, restore_by_path
from .networks import (
    choose_config,
    library_versions,
    load,
    named_params,
    params_skeleton,
    require_arrays,
    save,
)
from .rotation import newest_valid
from .writer import Checkpoints, as_checkpoints, open_writer

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "Contents",
    "as_checkpoints",
    "choose_config",
    "differences",
    "encode",
    "flatten_by_path",
    "library_versions",
    "load",
    "named_params",
    "newest_valid",
    "open_writer",
    "params_skeleton",
    "require_arrays",
    "restore_by_path",
    "save",
]
