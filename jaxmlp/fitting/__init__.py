"""From steps to a run: pure programs of many steps, and the calls of them that a run is cut into.

In reading order: `signatures`, `settings` (what is asked), `step_metrics`, `evaluation`,
`fit_state`, `partitioning` (where arrays lie in a program over several devices), `buckets` (which
numbers share a program), `program` (what is compiled); `code_contents`, `content_keys` (when two
functions are the same), `program_cache`, `layouts` (where arrays lie between programs), `calls`
(compiled for one run); `looks` (when the host wants to see the state), `pace`, `epoch_calls`,
`chunk_calls`, `step_calls`, and `drivers`, which chooses one of them; `validation`, `nonfinite`,
`progress`, `signals`, `run_files` (checkpoints of a run), `agreement`, `callbacks` and `decisions`
(of processes that share a run), `results`, and `loop`, in which they meet; `row_blocks` and
`scoring` (of what was trained); `wide_layers` (parameters over several devices);
`cache_directories`, `compilation_cache`.
"""

from . import program
from .buckets import (
    bucket,
    bucket_of_rows,
    fill_rows,
    padded_index,
    padded_rows,
    padded_steps,
    places_for,
)
from .cache_directories import UnsafeDirectoryError, open_cache_directory
from .compilation_cache import enable_compilation_cache
from .drivers import Driver
from .fit_state import FitState, init_fit_state
from .looks import OnEpoch
from .loop import first_epoch_of, start_of_run, train
from .nonfinite import NonFiniteError
from .pace import seconds_per_step
from .program_cache import ProgramCache
from .progress import ProgressBar
from .results import FitResult, as_frame
from .row_blocks import choose_block, compute_by_rows, count_cores, rows_per_call
from .run_files import check_counted, check_settings, hash_tree, plan_settings
from .scoring import evaluate, predict, predict_rows, put_beside
from .settings import FIT_SETTINGS, FitSettings, Plan, make_plan
from .signals import stop_requests
from .signatures import SettingsGroup, complete, spelled_out
from .step_metrics import Metrics
from .validation import as_validation
from .wide_layers import param_shardings

__all__ = [
    "FIT_SETTINGS",
    "Driver",
    "FitResult",
    "FitSettings",
    "FitState",
    "Metrics",
    "NonFiniteError",
    "OnEpoch",
    "Plan",
    "ProgramCache",
    "ProgressBar",
    "SettingsGroup",
    "UnsafeDirectoryError",
    "as_frame",
    "as_validation",
    "bucket",
    "bucket_of_rows",
    "check_counted",
    "check_settings",
    "choose_block",
    "complete",
    "compute_by_rows",
    "count_cores",
    "enable_compilation_cache",
    "evaluate",
    "fill_rows",
    "first_epoch_of",
    "hash_tree",
    "init_fit_state",
    "make_plan",
    "open_cache_directory",
    "padded_index",
    "padded_rows",
    "padded_steps",
    "param_shardings",
    "places_for",
    "plan_settings",
    "predict",
    "predict_rows",
    "program",
    "put_beside",
    "rows_per_call",
    "seconds_per_step",
    "spelled_out",
    "start_of_run",
    "stop_requests",
    "train",
]
