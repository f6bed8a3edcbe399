"""From steps to a run: pure programs of many steps, and the calls of them that a run is cut into.

In reading order: `signatures`, `settings` (what is asked), `step_metrics`, `program` (what is
compiled), `calls` (compiled for one run); `pace`, `epoch_calls`, `chunk_calls`, `step_calls`, and
`drivers`, which chooses one of them; `validation`, `nonfinite`, `progress`, `signals`, `run_files`
(checkpoints of a run), `results`, and `loop`, in which they meet; `compilation_cache`.
"""

from . import program
from .compilation_cache import enable_compilation_cache
from .drivers import Driver
from .loop import OnEpoch, train
from .nonfinite import NonFiniteError
from .pace import CALL_SECONDS, seconds_per_step
from .program import FitState, init_fit_state
from .progress import ProgressBar
from .results import FitResult
from .run_files import check_settings, hash_tree, plan_settings
from .settings import FIT_SETTINGS, FitSettings, Plan, make_plan
from .signals import stop_requests
from .signatures import SettingsGroup, complete, spelled_out
from .step_metrics import Metrics
from .validation import as_validation

__all__ = [
    "CALL_SECONDS",
    "FIT_SETTINGS",
    "Driver",
    "FitResult",
    "FitSettings",
    "FitState",
    "Metrics",
    "NonFiniteError",
    "OnEpoch",
    "Plan",
    "ProgressBar",
    "SettingsGroup",
    "as_validation",
    "check_settings",
    "complete",
    "enable_compilation_cache",
    "hash_tree",
    "init_fit_state",
    "make_plan",
    "plan_settings",
    "program",
    "seconds_per_step",
    "spelled_out",
    "stop_requests",
    "train",
]
