"""Tests that a driver which is killed resumes without training a piece again."""

import json
import re

import jax
import numpy as np
import pytest
from sweeps import KEYS, MEMBERS, Here, assert_same_members, fit_members, init

from jaxmlp.ensembles import machines, piece_files, sweep_files, sweeps, workers

TWO = {"members_at_once": 1, "members_per_piece": 2}


class KilledError(Exception):
    """Stands for the death of the driver: nothing is written after it."""


class Killed(Here):
    """Whose driver dies when it would send a piece after so many."""

    def __init__(self, pieces):
        super().__init__()
        self.pieces = pieces

    def submit(self, function, *arguments):
        if len(self.members) == self.pieces:
            raise KilledError
        return super().submit(function, *arguments)


def kill(directory, pieces, **settings):
    executor = Killed(pieces)
    with pytest.raises(KilledError):
        fit_members(executor, **{**TWO, **settings}, checkpoint=directory)
    return executor.members


def keep_better_half(epochs, history):
    loss = history["loss"][:, epochs - 1]
    return loss <= np.nanmedian(loss)


@pytest.mark.parametrize("pieces", [1, 3, 5])
def test_a_killed_sweep_trains_what_is_missing_and_nothing_else(tmp_path, pieces):
    settings = {"stages": (1, 2), "keep": keep_better_half}
    whole = Here()
    expected = fit_members(whole, **TWO, **settings)
    before = kill(tmp_path, pieces, **settings)
    assert len(list(tmp_path.glob("piece_*"))) == pieces
    after = Here()
    found = fit_members(after, **TWO, **settings, checkpoint=tmp_path, resume=True)
    assert_same_members(found, expected)
    assert after.members == whole.members[pieces:]
    assert before == whole.members[:pieces]


def test_a_sweep_that_is_over_leaves_a_checkpoint_and_no_pieces(tmp_path):
    fit_members(Here(), **TWO, checkpoint=tmp_path)
    names = [path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors"]
    assert len(names) == 1
    assert names[0].startswith("step_")


def test_a_sweep_killed_twice_goes_on(tmp_path):
    kill(tmp_path, 2)
    kill(tmp_path, 1, resume=True)
    found = fit_members(Here(), **TWO, checkpoint=tmp_path, resume=True)
    assert_same_members(found, fit_members())


def test_pieces_are_not_overwritten_without_resume(tmp_path):
    kill(tmp_path, 2)
    with pytest.raises(FileExistsError, match=r"has pieces of a sweep already.*resume=True"):
        fit_members(Here(), **TWO, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ema_decay": 0.5}, "ema_decay=None, now 0.5"),
        ({"keys": jax.random.split(jax.random.key(9), MEMBERS)}, "keys="),
        ({"epochs": 2}, "over 4 epochs"),
    ],
)
def test_pieces_of_another_sweep_are_refused(tmp_path, settings, message):
    kill(tmp_path, 2)
    with pytest.raises(ValueError, match=re.escape(message)):
        fit_members(Here(), **TWO, checkpoint=tmp_path, resume=True, **settings)


def test_a_damaged_piece_is_told_and_trained_again(tmp_path):
    kill(tmp_path, 3)
    path = min(tmp_path.glob("piece_*"))
    path.write_bytes(path.read_bytes()[:-1])
    executor = Here()
    with pytest.warns(RuntimeWarning, match="cannot be read; its members are trained again"):
        found = fit_members(executor, **TWO, checkpoint=tmp_path, resume=True)
    assert_same_members(found, fit_members())
    assert executor.members[0] == [0, 1]


def test_a_piece_that_cannot_be_written_is_told_and_the_sweep_goes_on(tmp_path, monkeypatch):
    def write(*_):
        raise OSError(28, "No space left")

    monkeypatch.setattr(piece_files, "write_atomically", write)
    with pytest.warns(RuntimeWarning, match=r"A piece could not be kept.*No space left"):
        found = fit_members(Here(), **TWO, checkpoint=tmp_path)
    assert_same_members(found, fit_members())


def test_given_parameters_let_a_sweep_resume_without_executor(tmp_path):
    params = jax.vmap(init)(KEYS)
    kill(tmp_path, 2, params=params)
    found = fit_members(params=params, checkpoint=tmp_path, resume=True)
    assert_same_members(found, fit_members(params=params))


def test_pieces_of_an_executor_are_gone_on_with_without_one(tmp_path, monkeypatch):
    kill(tmp_path, 2)
    trained, train = [], sweeps.train_member_batch

    def note_and_train(group, batch, *arguments):
        trained.append(group.members.numbers[batch.positions[: batch.used]].tolist())
        train(group, batch, *arguments)

    monkeypatch.setattr(sweeps, "train_member_batch", note_and_train)
    found = fit_members(checkpoint=tmp_path, resume=True)
    assert trained == [[4], [5], [6]]
    monkeypatch.undo()
    assert_same_members(found, fit_members())


def test_a_sweep_without_executor_is_gone_on_with_by_one(tmp_path):
    fit_members(checkpoint=tmp_path, epochs=2)
    executor = Here()
    found = fit_members(executor, checkpoint=tmp_path, resume=True)
    assert_same_members(found, fit_members())
    assert len(executor.members) == MEMBERS


def test_an_init_that_draws_others_is_refused(tmp_path):
    kill(tmp_path, 2)
    with pytest.raises(ValueError, match="params="):
        fit_members(
            Here(),
            **TWO,
            checkpoint=tmp_path,
            resume=True,
            params=lambda key: jax.tree.map(lambda a: a / 2, init(key)),
        )


DIFFER = r"Workers {} and {} differ, .*: CPU instruction set 'x86_64 avx2' and 'x86_64 avx512f'"


@pytest.fixture
def machine(monkeypatch):
    """Lets all that trains be of another machine, of that name and with these instructions."""

    def choose(name, instructions):
        here = machines.describe_machine() | {"CPU instruction set": f"x86_64 {instructions}"}
        for module in (workers, sweeps):
            monkeypatch.setattr(module, "describe_machine", lambda: here)
            monkeypatch.setattr(module, "name_process", lambda: name)

    return choose


def test_pieces_of_another_machine_are_told(tmp_path, machine):
    machine("old:1", "avx2")
    kill(tmp_path, 2)
    machine("new:1", "avx512f")
    with pytest.warns(RuntimeWarning, match=DIFFER.format("old:1", "new:1")):
        fit_members(Here(), **TWO, checkpoint=tmp_path, resume=True)


def test_pieces_of_machines_alike_are_gone_on_with_without_a_warning(tmp_path, machine):
    machine("old:1", "avx2")
    kill(tmp_path, 2)
    machine("new:1", "avx2")
    fit_members(Here(), **TWO, checkpoint=tmp_path, resume=True)


def test_files_of_versions_that_did_not_tell_who_trained_are_gone_on_with(tmp_path, monkeypatch):
    params, metadata = jax.vmap(init)(KEYS), sweep_files.SweepFiles.metadata

    def without_trainers(files):
        header = json.loads(metadata(files)["jaxmlp.sweep"])
        del header["trainers"]
        return {"jaxmlp.sweep": json.dumps(header)}

    with monkeypatch.context() as patched:
        patched.setattr(sweep_files.SweepFiles, "metadata", without_trainers)
        kill(tmp_path, 2, params=params)
    found = fit_members(Here(), **TWO, params=params, checkpoint=tmp_path, resume=True)
    assert_same_members(found, fit_members(params=params))


def test_a_checkpoint_of_another_machine_is_told_wherever_the_sweep_goes_on(tmp_path, machine):
    machine("old:1", "avx2")
    fit_members(Here(), checkpoint=tmp_path, epochs=2)
    machine("new:1", "avx512f")
    # A sweep that is over trains nothing.
    fit_members(checkpoint=tmp_path, epochs=2, resume=True)
    with pytest.warns(RuntimeWarning, match=DIFFER.format("old:1", "new:1")):
        fit_members(checkpoint=tmp_path, resume=True)
    # Both are known from then on.
    with pytest.warns(RuntimeWarning, match=DIFFER.format("old:1", "new:1")):
        fit_members(checkpoint=tmp_path, resume=True)
