"""What is on the disk: named arrays in one file, written whole or not at all, and found again.

In reading order: `regular_files`, `locks`, `atomic_files` (the disk); `headers`, `container` (bytes
of a file); `key_paths` (trees to names); `networks` and `states` (save and load); `processes`
(that share a run), `rotation` and `writer` (the checkpoints of a run).
"""

from .atomic_files import FileLayer, write_atomically
from .container import Contents, encode, read, require_storable
from .headers import CheckpointError, MismatchError
from .key_paths import differences, flatten_by_path, restore_by_path, shapes_by_path
from .networks import (
    choose_config,
    library_versions,
    load,
    named_params,
    params_skeleton,
    require_arrays,
    save,
)
from .processes import ALONE, Processes, failures, limit_meetings, processes_of, report_failure
from .regular_files import open_regular
from .states import load_state, save_state
from .writer import Checkpoints, CheckpointWriter, as_checkpoints, open_writer

__all__ = [
    "ALONE",
    "CheckpointError",
    "CheckpointWriter",
    "Checkpoints",
    "Contents",
    "FileLayer",
    "MismatchError",
    "Processes",
    "as_checkpoints",
    "choose_config",
    "differences",
    "encode",
    "failures",
    "flatten_by_path",
    "library_versions",
    "limit_meetings",
    "load",
    "load_state",
    "named_params",
    "open_regular",
    "open_writer",
    "params_skeleton",
    "processes_of",
    "read",
    "report_failure",
    "require_arrays",
    "require_storable",
    "restore_by_path",
    "save",
    "save_state",
    "shapes_by_path",
    "write_atomically",
]
