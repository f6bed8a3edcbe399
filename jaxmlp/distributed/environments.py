"""Turns the environment in which a process was started into its place among others."""

import os
from collections.abc import Mapping
from typing import NamedTuple

ADDRESS = "JAXMLP_COORDINATOR_ADDRESS"
COUNT = "JAXMLP_NUM_PROCESSES"
NUMBER = "JAXMLP_PROCESS_ID"
# Set by the local launcher, whose processes share a machine and its devices.
LOCAL = "JAXMLP_LOCAL_PROCESS_ID"
_OURS = (ADDRESS, COUNT, NUMBER)
# What `jax.distributed` reads under SLURM, where it reads nothing unless all are there.
_SLURM = (
    *("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
)
_OMPI_ADDRESS = "OMPI_MCA_orte_hnp_uri"


class Place(NamedTuple):
    """One process among others: what is `None` is left to `jax.distributed` to find out.

    `is_whole` says that it has nothing to find out.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    local_device_ids: tuple[int, ...] | None = None
    is_whole: bool = False


def find_place(given: Place, environment: Mapping[str, str] = os.environ) -> Place | None:
    """Completes what was given by what the environment tells, or returns `None` for one process.

    Of environments, the variables of this library come first (the local launcher sets them, and a
    Kubernetes job can), then SLURM, Open MPI and Kubernetes.

    Args:
        given: Arguments, which are taken as they are.
        environment: Variables by name.

    Raises:
        ValueError: An environment of several processes tells only in part which one this is, or
            there is none, and not all that is needed was given.
    """
    named = (given.coordinator_address, given.num_processes, given.process_id)
    if given.num_processes == 1:
        return None
    if None not in named:
        is_launched = "SLURM_JOB_ID" in environment or "OMPI_COMM_WORLD_SIZE" in environment
        return given._replace(is_whole=given.local_device_ids is not None or not is_launched)
    ours = [name for name in _OURS if name in environment]
    if ours:
        return _of_ours(given, environment)
    count = _count_of_others(environment)
    if count > 1:
        return given._replace(num_processes=given.num_processes or count)
    if "JOB_COMPLETION_INDEX" in environment and "KUBERNETES_SERVICE_HOST" in environment:
        _require_kubernetes()
        return given
    if named == (None, None, None):
        return None
    raise ValueError(
        "initialize needs coordinator_address, num_processes and process_id where no launcher, "
        f"SLURM, Open MPI or Kubernetes job tells them; got {named}. Give all three."
    )


def _of_ours(given: Place, environment: Mapping[str, str]) -> Place | None:
    if missing := [name for name in _OURS if name not in environment]:
        raise ValueError(
            f"Of {', '.join(_OURS)} the environment lacks {', '.join(missing)}. Set all three, or "
            "none and give initialize all three arguments."
        )
    count, number = (_as_number(environment, name) for name in (COUNT, NUMBER))
    local = given.local_device_ids
    if local is None and LOCAL in environment:
        local = (_as_number(environment, LOCAL),)
    if count == 1:
        return None
    return Place(
        given.coordinator_address or environment[ADDRESS],
        count if given.num_processes is None else given.num_processes,
        number if given.process_id is None else given.process_id,
        local,
        is_whole=True,
    )


def _count_of_others(environment: Mapping[str, str]) -> int:
    """Returns how many processes SLURM or Open MPI has started; 1 where neither has."""
    missing = [name for name in _SLURM if name not in environment]
    if "SLURM_JOB_ID" in environment:
        count = _as_number(environment, "SLURM_NTASKS", 1)
        if missing and (count > 1 or _as_number(environment, "SLURM_PROCID", 0) > 0):
            raise ValueError(
                f"This SLURM job tells only in part which process this is: it lacks "
                f"{', '.join(missing)}. Start the script by srun, which sets all, or give "
                "initialize coordinator_address, num_processes and process_id."
            )
        if not missing:
            return count
    count = _as_number(environment, "OMPI_COMM_WORLD_SIZE", 1)
    if count > 1 and _OMPI_ADDRESS not in environment:
        raise ValueError(
            f"Open MPI has started {count} processes, but does not tell where the first one is: "
            f"{_OMPI_ADDRESS} is not set, as by its version 5. Give initialize "
            "coordinator_address, num_processes and process_id, which are "
            "$OMPI_COMM_WORLD_SIZE and $OMPI_COMM_WORLD_RANK."
        )
    return count


def _require_kubernetes() -> None:
    try:
        import kubernetes  # pyright: ignore[reportMissingImports]  # looked for, not needed
    except ImportError as error:
        raise ValueError(
            "In a Kubernetes job, processes find each other by the package kubernetes and the "
            f"right to list pods, or by {', '.join(_OURS)}. Set these three in the job, as "
            "docs/machines.md shows, or pip install kubernetes."
        ) from error
    del kubernetes


def _as_number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError as error:
        raise ValueError(f"{name} must be a whole number; the environment has {text!r}.") from error
