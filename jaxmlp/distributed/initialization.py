"""Turns separate processes into one set that `fit` can run over, by `jax.distributed`."""

import math
from collections.abc import Sequence

import jax
from jax._src.xla_bridge import backends_are_initialized  # nothing public tells it

from ..checks import require_int, require_number
from ..storage import limit_meetings
from .endings import end_with_others
from .environments import Place, find_place


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    local_device_ids: Sequence[int] | None = None,
    initialization_timeout: int = 300,
    heartbeat_timeout: int = 60,
    meeting_timeout: float = 600.0,
) -> None:
    """Connects this process with the others that run the same script; does nothing for one alone.

    Call it before anything touches a device. After it, `jax.devices()` are those of all processes,
    and `fit` with a `DataLoader(sharding=...)` over them is one run. Arguments that are left out
    are found in the environment: that of `python -m jaxmlp.distributed` or the variables
    `JAXMLP_COORDINATOR_ADDRESS`, `JAXMLP_NUM_PROCESSES` and `JAXMLP_PROCESS_ID`, SLURM's, Open
    MPI's, or a Kubernetes job's, as `jax.distributed.initialize` reads them. Where there is none,
    the process is alone.

    An error that nothing catches ends its process at once, and the others with a message that names
    it. A process that dies otherwise ends the others when it has missed its heartbeats for
    `heartbeat_timeout`; the message names it as a task.

    Args:
        coordinator_address: Host and port of process 0, as "host:1234", a port free there.
        num_processes: How many there are, at least 1.
        process_id: Which one this is, in [0, num_processes).
        local_device_ids: Which of the machine's accelerators are this process's; `None` means all,
            and under SLURM, Open MPI and the launcher the one with its number on the machine.
        initialization_timeout: Seconds to wait for the others here, at least 1.
        heartbeat_timeout: Seconds after which a process that is not heard of counts as dead, at
            least 1.
        meeting_timeout: Seconds that a run waits for a process before it starts, between its calls
            and for checkpoints, above 0 and finite; callbacks, which others wait for, included.

    Raises:
        RuntimeError: A device has been touched before, or the processes are connected already.
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range; or the environment, or the arguments where there
            is none, tell only in part which process this is.

    Example:
        >>> initialize()  # nothing has started this process as one of several
        >>> jax.process_count()
        1
    """
    if coordinator_address is not None and not isinstance(coordinator_address, str):
        raise TypeError(
            f"coordinator_address must be a text, as 'host:1234'; got {coordinator_address!r}."
        )
    if coordinator_address is not None and not coordinator_address.rpartition(":")[2].isdigit():
        raise ValueError(
            f"coordinator_address must name a port, as 'host:1234'; got {coordinator_address!r}."
        )
    if num_processes is not None:
        require_int("num_processes", num_processes, 1, None)
    if process_id is not None:
        require_int("process_id", process_id, 0, num_processes)
    if local_device_ids is not None:
        local_device_ids = _as_ids(local_device_ids)
    require_int("initialization_timeout", initialization_timeout, 1, None)
    require_int("heartbeat_timeout", heartbeat_timeout, 1, None)
    above_0 = "above 0 and finite"
    require_number("meeting_timeout", meeting_timeout, above_0, lambda s: 0 < s < math.inf)
    given = Place(coordinator_address, num_processes, process_id, local_device_ids)
    place = find_place(given)
    if place is None:
        return
    if jax.distributed.is_initialized():
        raise RuntimeError(
            "initialize must be called once, and the processes are connected already; leave out "
            "the second call."
        )
    if backends_are_initialized():
        raise RuntimeError(
            "initialize must be called before anything touches a device, and something has: "
            "jax.devices, jax.random.key, jax.numpy or init_params, even in a module that was "
            "imported. Move the call to the top of the script, below the imports."
        )
    jax.distributed.initialize(
        place.coordinator_address,
        place.num_processes,
        place.process_id,
        place.local_device_ids,
        cluster_detection_method="deactivate" if place.is_whole else None,
        initialization_timeout=initialization_timeout,
        heartbeat_timeout_seconds=heartbeat_timeout,
    )
    limit_meetings(meeting_timeout)
    end_with_others(heartbeat_timeout)


def _as_ids(ids: Sequence[int]) -> tuple[int, ...]:
    if isinstance(ids, str) or not isinstance(ids, Sequence):
        raise TypeError(f"local_device_ids must be a list of numbers, as [0]; got {ids!r}.")
    for number in ids:
        require_int("local_device_ids", number, 0, None)
    return tuple(ids)
