"""Tests that a driver which is killed resumes without training a piece again."""

import re

import jax
import numpy as np
import pytest
from sweeps import KEYS, MEMBERS, Here, assert_same_members, fit_members, init

from jaxmlp.ensembles import piece_files

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


def test_drawn_parameters_tie_a_sweep_to_executors(tmp_path):
    fit_members(checkpoint=tmp_path, epochs=2)
    with pytest.raises(ValueError, match="executor=None, now True"):
        fit_members(Here(), checkpoint=tmp_path, resume=True)
