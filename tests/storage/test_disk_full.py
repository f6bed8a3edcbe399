"""On a real file system that is full or read-only, the last whole file stays."""

import subprocess
import sys
import textwrap

import pytest

MOUNT = ("unshare", "--mount", "--map-root-user", "--fork")


def can_mount(tmp_path_factory):
    try:
        directory = tmp_path_factory.mktemp("mount")
        command = [*MOUNT, "mount", "-t", "tmpfs", "tmpfs", directory]
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def run_on_tmpfs(tmp_path_factory):
    """Runs a script in a tmpfs of 256 KiB of its own; `remount` makes that read-only."""
    if not can_mount(tmp_path_factory):
        pytest.skip("cannot mount a tmpfs here; `unshare --mount --map-root-user` must work")

    def run(script, options="size=256k"):
        directory = tmp_path_factory.mktemp("tmpfs")
        shell = f'mount -t tmpfs -o {options} tmpfs {directory} && exec "$0" -c "$1" {directory}'
        command = [*MOUNT, "sh", "-c", shell, sys.executable, textwrap.dedent(script)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return run


PREPARE = """
    import os, subprocess, sys, warnings
    import jax
    import jaxmlp
    from jaxmlp.storage.rotation import checkpoint_path, checkpoint_paths
    directory = sys.argv[1]
    config = jaxmlp.MLPConfig(in_features=100, out_features=100)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    def loads(path):
        _, restored = jaxmlp.load(path)
        return bool((restored.output.kernel == params.output.kernel).all())
"""


def test_on_a_full_disk_all_files_before_stay_whole_and_no_other_is_left(run_on_tmpfs):
    out = run_on_tmpfs(
        PREPARE
        + """
    try:
        for step in range(100):
            jaxmlp.save(checkpoint_path(directory, step), config, params)
    except OSError as error:
        print(error)
    paths = checkpoint_paths(directory)
    assert [path.name for path in paths] == sorted(os.listdir(directory))
    print(len(paths), all(map(loads, paths)))
    try:
        jaxmlp.save(paths[0], config, params)  # needs place for both
    except OSError as error:
        print(error.errno)
    print(loads(paths[0]))
    """
    )
    # 11 pages of 4 KiB each: 5 of them fit into 256 KiB.
    assert "No space left on device" in out
    assert "The disk is full: free some space, or write elsewhere" in out
    assert out.splitlines()[1:] == ["5 True", "28", "True"]


def test_on_a_read_only_disk_the_file_stays_and_the_error_tells(run_on_tmpfs):
    out = run_on_tmpfs(
        PREPARE
        + """
    from jaxmlp.storage.locks import exclusive
    path = checkpoint_path(directory, 0)
    jaxmlp.save(path, config, params)
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    for write in (lambda: jaxmlp.save(path, config, params), exclusive(directory).__enter__):
        try:
            write()
        except OSError as error:
            print(error)
    print(loads(path))
    """
    )
    assert "The file system is read-only; write elsewhere" in out
    assert "cannot be locked for this run (Read-only file system)" in out
    assert out.splitlines()[-1] == "True"
