"""Memory that is left: of this machine, and of containers as Linux's files would tell it."""

import jax
import pytest

from jaxmlp.ensembles.memory import available_memory

pytestmark = pytest.mark.skipif(
    bool(jax.local_devices()[0].memory_stats()), reason="this device tells its own memory"
)


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


@pytest.fixture
def root(tmp_path):
    """A machine with 8000 kB left, and a process in a group of a group without limits."""
    write(tmp_path / "proc", meminfo="MemTotal: 16000 kB\nMemAvailable:  8000 kB\nHugePages: 0\n")
    write(tmp_path / "proc/self", cgroup="0::/pod/job\n")
    for group in ("", "pod", "pod/job"):
        write(tmp_path / "sys/fs/cgroup" / group, memory_max="max\n", memory_current="10\n")
    return tmp_path


def limit(root, group, most, used, caches):
    stat = f"anon 1\ninactive_file {caches}\nactive_file 3\n"
    numbers = {"memory_max": f"{most}\n", "memory_current": f"{used}\n", "memory_stat": stat}
    write(root / "sys/fs/cgroup" / group, **numbers)


def test_a_machine_without_containers_tells_its_own(root):
    assert available_memory(root) == 8000 * 1024
    (root / "proc/self/cgroup").unlink()
    assert available_memory(root) == 8000 * 1024


@pytest.mark.parametrize("group", ["", "pod", "pod/job"])
def test_a_container_tells_what_is_left_of_its_limit_beside_caches(root, group):
    limit(root, group, 5000, 3000, 700)
    assert available_memory(root) == 2700


def test_the_tightest_limit_counts(root):
    limit(root, "pod", 5000, 3000, 0)
    limit(root, "pod/job", 9000, 1000, 0)
    assert available_memory(root) == 2000
    limit(root, "pod/job", 2**60, 1000, 0)
    limit(root, "pod", 2**60, 1000, 0)
    assert available_memory(root) == 8000 * 1024


def test_a_container_over_its_limit_has_nothing_left(root):
    limit(root, "pod", 5000, 6000, 0)
    assert available_memory(root) == 0


def test_the_first_version_of_groups_is_left_out(root):
    write(root / "proc/self", cgroup="4:memory:/pod\n3:cpu:/\n")
    assert available_memory(root) == 8000 * 1024


def test_machines_that_tell_nothing_there_are_asked_otherwise(tmp_path):
    memory = available_memory(tmp_path)
    assert memory is None or 2**20 < memory < 2**50


def test_memory_of_this_machine_is_plausible():
    memory = available_memory()
    assert memory is None or 2**20 < memory < 2**50
