"""The environment tells a process its place among others, wholly or not at all."""

import sys

import pytest

from jaxmlp.distributed.environments import Place, find_place

OURS = {
    "JAXMLP_COORDINATOR_ADDRESS": "a:1",
    "JAXMLP_NUM_PROCESSES": "4",
    "JAXMLP_PROCESS_ID": "2",
}
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
OMPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1"}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}
NOTHING = Place()
ALL = Place("b:2", 3, 1)


def without(environment, name):
    return {other: value for other, value in environment.items() if other != name}


def test_where_nothing_is_told_the_process_is_alone():
    assert find_place(NOTHING, {}) is None


@pytest.mark.parametrize(
    "environment",
    [
        # A batch script that was not started by srun, in a job of one task.
        {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
        SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        OURS | {"JAXMLP_NUM_PROCESSES": "1", "JAXMLP_PROCESS_ID": "0"},
        {"OMPI_COMM_WORLD_SIZE": "1"},
        # Every pod has this; only those of indexed jobs have a number.
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ],
)
def test_one_process_of_a_job_is_alone(environment):
    assert find_place(NOTHING, environment) is None


@pytest.mark.parametrize("environment", [OURS, SLURM, OMPI, KUBERNETES, {}])
def test_explicit_arguments_beat_the_environment(environment):
    assert find_place(ALL, environment)[:3] == ALL[:3]
    assert find_place(Place(num_processes=1), environment) is None


def test_our_variables_tell_all_and_local_ones_the_device():
    assert find_place(NOTHING, OURS) == Place("a:1", 4, 2, None, True)
    local = OURS | {"JAXMLP_LOCAL_PROCESS_ID": "1"}
    assert find_place(NOTHING, local) == Place("a:1", 4, 2, (1,), True)
    assert find_place(Place(local_device_ids=(5,)), local) == Place("a:1", 4, 2, (5,), True)


def test_our_variables_come_before_a_scheduler_s():
    assert find_place(NOTHING, SLURM | OURS) == Place("a:1", 4, 2, None, True)


@pytest.mark.parametrize(("environment", "count"), [(SLURM, 4), (OMPI, 2)])
def test_a_scheduler_s_place_is_left_to_jax(environment, count):
    assert find_place(NOTHING, environment) == Place(None, count, None, None, False)


@pytest.mark.parametrize("name", OURS)
def test_our_variables_are_given_together(name):
    with pytest.raises(ValueError, match=f"the environment lacks {name}. Set all three"):
        find_place(NOTHING, without(OURS, name))


@pytest.mark.parametrize("name", ["SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"])
def test_a_partial_slurm_environment_is_refused_and_srun_named(name):
    with pytest.raises(ValueError, match=rf"it lacks {name}\. Start the script by srun"):
        find_place(NOTHING, without(SLURM, name))


def test_a_slurm_process_above_0_knows_that_it_is_not_alone():
    with pytest.raises(ValueError, match=r"it lacks SLURM_NTASKS\."):
        find_place(NOTHING, without(SLURM, "SLURM_NTASKS"))


def test_a_partial_slurm_environment_does_not_matter_where_all_is_given():
    assert find_place(ALL, without(SLURM, "SLURM_PROCID"))[:3] == ALL[:3]


def test_the_newer_open_mpi_is_asked_for_an_address():
    with pytest.raises(ValueError, match=r"OMPI_MCA_orte_hnp_uri is not set.*OMPI_COMM_WORLD_RANK"):
        find_place(NOTHING, without(OMPI, "OMPI_MCA_orte_hnp_uri"))


def test_kubernetes_without_its_package_is_told_the_variables(monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ValueError, match="pip install kubernetes"):
        find_place(NOTHING, KUBERNETES)


def test_a_number_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"JAXMLP_PROCESS_ID must be a whole number.*'first'"):
        find_place(NOTHING, OURS | {"JAXMLP_PROCESS_ID": "first"})


@pytest.mark.parametrize("given", [Place("a:1"), Place(num_processes=2), Place(process_id=0)])
def test_a_part_of_the_arguments_is_not_enough(given):
    with pytest.raises(ValueError, match=r"needs coordinator_address, num_processes and process"):
        find_place(given, {})
