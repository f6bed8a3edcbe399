"""The newest whole checkpoint of a directory is found, whatever happened to the others."""

import os

import numpy as np
import pytest
import safetensors.numpy

from jaxmlp import CheckpointError
from jaxmlp.storage.atomic_files import write_atomically
from jaxmlp.storage.container import encode
from jaxmlp.storage.rotation import checkpoint_path, checkpoint_paths, newest_valid, prune


@pytest.fixture
def directory(tmp_path):
    for step in (9, 10, 100, 1000):
        write(tmp_path, step)
    return tmp_path


def write(directory, step):
    write_atomically(checkpoint_path(directory, step), encode({"step": np.array(step)}, {}))


def damage(directory, step):
    path = checkpoint_path(directory, step)
    path.write_bytes(path.read_bytes()[:-1])


def steps(directory):
    return [int(path.stem.removeprefix("step_")) for path in checkpoint_paths(directory)]


def accept(path, contents):
    """Takes every whole checkpoint."""


def newest_step(directory):
    path, contents = newest_valid(directory, accept)
    assert path == checkpoint_path(directory, contents.arrays["step"].item())
    return contents.arrays["step"].item()


def test_names_sort_as_steps_do(directory):
    assert steps(directory) == [9, 10, 100, 1000]
    assert checkpoint_path("a", 12).name == "step_000000000012.safetensors"


def test_other_files_are_not_checkpoints(directory):
    for name in ("step_1.safetensors", "step_000000002000.safetensors.damaged", ".jaxmlp.lock"):
        (directory / name).touch()
    assert steps(directory) == [9, 10, 100, 1000]


def test_the_newest_is_found(directory, recwarn):
    assert newest_step(directory) == 1000
    assert not recwarn.list


@pytest.mark.parametrize("damaged", [[1000], [1000, 100], [1000, 100, 10]])
def test_damaged_ones_are_passed_over_with_a_warning_each(directory, damaged):
    for step in damaged:
        damage(directory, step)
    with pytest.warns(RuntimeWarning) as warned:
        assert newest_step(directory) == max({9, 10, 100, 1000} - set(damaged))
    for step, warning in zip(damaged, warned, strict=True):
        text = str(warning.message)
        assert text.startswith(f"{checkpoint_path(directory, step)} is not a usable checkpoint: ")
        assert "arrays take 8 bytes, but it has 7 for them" in text
        assert text.endswith("The checkpoint before it is used instead.")


def test_a_damaged_one_is_set_aside(directory):
    damage(directory, 1000)
    with pytest.warns(RuntimeWarning, match="not a usable checkpoint"):
        newest_valid(directory, accept)
    assert steps(directory) == [9, 10, 100]
    assert checkpoint_path(directory, 1000).with_suffix(".safetensors.damaged").exists()


def test_what_cannot_be_read_is_passed_over_but_stays(directory):
    path = checkpoint_path(directory, 2000)
    path.symlink_to("nowhere")
    with pytest.warns(RuntimeWarning, match=r"2000.* cannot be read \(No such file"):
        assert newest_step(directory) == 1000
    assert path.is_symlink()


def test_a_file_without_checksums_is_passed_over(directory):
    safetensors.numpy.save_file({"step": np.array(1)}, checkpoint_path(directory, 2000))
    with pytest.warns(RuntimeWarning, match="has no checksums, so it is not of jaxmlp"):
        assert newest_step(directory) == 1000


def test_without_a_whole_one_nothing_is_started_over_silently(directory):
    for step in steps(directory):
        damage(directory, step)
    message = r"None of the 4 checkpoints in .* is whole\. Start anew in another directory"
    with (
        pytest.raises(CheckpointError, match=message),
        pytest.warns(RuntimeWarning, match="not a usable checkpoint"),
    ):
        newest_valid(directory, accept)


def test_a_newer_format_is_no_damage(directory, monkeypatch):
    monkeypatch.setattr("jaxmlp.storage.headers.FORMAT", "2")
    write(directory, 2000)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"format '2', but .* install a newer one"):
        newest_valid(directory, accept)
    assert 2000 in steps(directory)


def test_a_file_that_may_not_be_read_is_no_damage(directory, monkeypatch):
    def denied(path, check):
        del check
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("jaxmlp.storage.rotation.read", denied)
    with pytest.raises(PermissionError, match=r"Permission denied.*1000"):
        newest_valid(directory, accept)


@pytest.mark.parametrize("name", ["none", "empty"])
def test_without_checkpoints_there_is_none(tmp_path, name):
    (tmp_path / "empty").mkdir()
    assert newest_valid(tmp_path / name, accept) is None


@pytest.mark.parametrize(("keep", "left"), [(1, [1000]), (2, [100, 1000]), (9, [9, 10, 100, 1000])])
def test_the_last_ones_are_kept(directory, keep, left):
    paths = prune(checkpoint_paths(directory), keep=keep)
    assert steps(directory) == left
    assert paths == checkpoint_paths(directory)


def test_other_files_are_not_pruned(directory):
    (directory / "notes.txt").touch()
    prune(checkpoint_paths(directory), keep=1)
    assert sorted(os.listdir(directory)) == ["notes.txt", "step_000000001000.safetensors"]


def test_keeping_none_is_refused(directory):
    with pytest.raises(ValueError, match="keep must be at least 1; got 0"):
        prune(checkpoint_paths(directory), keep=0)
    assert len(steps(directory)) == 4


@pytest.mark.parametrize("step", [-1, 10**12])
def test_a_step_that_has_no_name_is_refused(step):
    with pytest.raises(ValueError, match=r"step must be in \[0, 10\*\*12\); got"):
        checkpoint_path("a", step)
