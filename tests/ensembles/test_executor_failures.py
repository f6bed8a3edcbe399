"""Tests of what goes wrong in workers: errors, deaths, other versions."""

import collections
import multiprocessing
import sys
import weakref
from concurrent.futures import Future, ProcessPoolExecutor

import distributed
import jax
import numpy as np
import optax
import pytest
from fits import LINEAR_CONFIG, make_loader
from sweeps import MEMBERS, Deadly, Here, assert_same_members, fit_members, init

import jaxmlp
from jaxmlp.ensembles import executors, machines, workers
from jaxmlp.ensembles.machines import describe_machine

TWO = {"members_at_once": 1, "members_per_piece": 2}


class HeldError(Exception):
    """It cannot be pickled, whatever Dask has taught pickle of errors."""

    def __reduce__(self):
        raise TypeError("It holds what stays here.")


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ZeroDivisionError("nothing"), ZeroDivisionError), (HeldError("no space"), RuntimeError)],
)
def test_an_error_in_a_worker_tells_its_traceback_and_the_members(monkeypatch, error, kind):
    class Failing(workers.ParamsDrawer):
        def draw(self, *_):
            raise error

    monkeypatch.setattr(workers, "ParamsDrawer", Failing)
    # Those of other tests keep theirs.
    monkeypatch.setattr(workers, "_sweeps", collections.OrderedDict())
    with pytest.raises(kind) as caught:
        fit_members(Here(), **TWO)
    (note,) = caught.value.__notes__
    assert "This ended the training of members 0-1 in worker " in note
    assert str(error) in note
    assert "in draw" in note


def test_a_member_that_kills_its_workers_is_given_up_and_the_others_finish():
    executor = Deadly(3)
    with pytest.warns(
        RuntimeWarning, match=r"2 of 7 members were given up, since 4 times .*: 2-3\."
    ):
        found = fit_members(executor, **TWO)
    assert executor.deaths == 4
    whole = fit_members()
    assert found.stopped_by.tolist() == ["epochs"] * 2 + ["lost"] * 2 + ["epochs"] * 3
    assert np.isnan(found.history["loss"][[2, 3]]).all()
    for name, values in whole.history.items():
        others = [0, 1, 4, 5, 6]
        np.testing.assert_array_equal(found.history[name][others], values[others])


def test_a_search_goes_on_without_a_candidate_whose_workers_die():
    with pytest.warns(RuntimeWarning, match="were given up"):
        found = jaxmlp.search(
            jaxmlp.make_loss(LINEAR_CONFIG, jaxmlp.losses.softmax_cross_entropy),
            lambda h: optax.sgd(h["rate"]),
            init,
            make_loader(),
            candidates={"rate": [0.01, 0.1, 1.0, 0.5]},
            folds=2,
            epochs=2,
            key=jax.random.key(0),
            halving=jaxmlp.ensembles.Halving(first_epochs=1),
            refit=False,
            members_at_once=1,
            executor=Deadly(5),
        )
    assert np.isnan(found.table["score_mean"][2])
    assert found.table["stopped_by"][2] == "lost"
    assert found.best != 2


def test_a_piece_whose_worker_died_by_chance_is_trained_again():
    executor = Deadly(3, times=3)
    assert_same_members(fit_members(executor), fit_members())
    assert executor.deaths == 3


def test_a_broken_executor_is_told_with_what_goes_on():
    class Broken(Deadly):
        def submit(self, function, *arguments):
            if self.deaths:
                raise executors.BrokenExecutor("a child process terminated abruptly")
            return super().submit(function, *arguments)

    with pytest.raises(
        executors.BrokenSweepError,
        match=r"takes no more pieces; members \d wait .* a child process terminated abruptly",
    ):
        fit_members(Broken(0))


def test_a_piece_that_the_executor_cancels_is_told_with_what_goes_on(tmp_path):
    class Cancels(Here):
        """As Dask's does with what is under way when its scheduler is gone."""

        def submit(self, function, *arguments):
            if len(self.members) < 3:
                return super().submit(function, *arguments)
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with pytest.raises(
        executors.BrokenSweepError,
        match=r"cancelled the training of members 3: it has lost its scheduler.*resume=True",
    ):
        fit_members(Cancels(), checkpoint=tmp_path)
    executor = Here()
    assert_same_members(fit_members(executor, checkpoint=tmp_path, resume=True), fit_members())
    assert executor.members == [[3], [4], [5], [6]]


def test_a_client_of_dask_that_is_closed_is_told_with_what_goes_on():
    class Closed(Here):
        def submit(self, *_):
            raise distributed.client.ClosedClientError("Client is closed.")

    with pytest.raises(
        executors.BrokenSweepError, match=r"closed, and takes no more pieces.*Client is closed"
    ):
        fit_members(Closed())


def test_a_piece_that_has_come_back_is_let_go_of_before_the_next_is_sent():
    futures = []

    class Watched(Here):
        def submit(self, function, *arguments):
            assert all(future() is None for future in futures)
            future = super().submit(function, *arguments)
            futures.append(weakref.ref(future))
            return future

    fit_members(Watched())
    assert len(futures) >= MEMBERS


def test_a_function_that_makes_executors_is_asked_for_another():
    made = []

    class Breaks(Deadly):
        def submit(self, function, *arguments):
            if self.deaths:
                raise executors.BrokenExecutor
            return super().submit(function, *arguments)

    def make():
        made.append(Breaks(2) if len(made) < 2 else Here())
        return made[-1]

    assert_same_members(fit_members(make), fit_members())
    assert len(made) == 3


def test_executors_whose_workers_all_die_are_not_made_for_ever():
    class Stillborn(Here):
        def submit(self, *_):
            raise executors.BrokenExecutor

    with pytest.raises(executors.BrokenSweepError, match="if __name__ == '__main__':"):
        fit_members(Stillborn)


def test_workers_of_another_version_are_refused_by_name(monkeypatch):
    theirs = machines.list_versions() | {"jax": "0.1.2"}
    monkeypatch.setattr(workers, "list_versions", lambda: theirs)
    with pytest.raises(ValueError, match=r"executor must have workers .* has jax 0\.1\.2, here"):
        fit_members(Here())


def test_workers_of_different_machines_are_told_by_what_differs(monkeypatch):
    sets = iter(["x86_64 avx2", "x86_64 avx512f"] + ["x86_64 avx2"] * 20)
    hosts = iter("ab" + "a" * 40)
    monkeypatch.setattr(workers, "name_process", lambda: next(hosts))
    monkeypatch.setattr(
        workers, "describe_machine", lambda: describe_machine() | {"CPU": next(sets)}
    )
    with pytest.warns(
        RuntimeWarning,
        match=r"Workers a and b differ, .*: CPU 'x86_64 avx2' and 'x86_64 avx512f'\. Use",
    ):
        fit_members(Here())


@pytest.mark.parametrize(
    ("text", "flags", "told"),
    [
        ("flags\t\t: fpu sse4_1 avx avx2 avx512f", "", " avx avx2 avx512f sse4_1"),
        ("Features\t: fp asimd sve", "", " asimd sve"),
        ("flags\t: avx", "--xla_cpu_max_isa=AVX2 --other", "at most AVX2"),
    ],
)
def test_the_instruction_set_is_that_of_the_cpu_or_what_is_pinned(
    tmp_path, monkeypatch, text, flags, told
):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}\n")
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert describe_machine(tmp_path / "cpuinfo")["CPU instruction set"].endswith(told)


REFUSED = {
    "a class": ({"executor": int}, TypeError, "executor must be .* made 0"),
    "a function of no executor": ({"executor": lambda: 3}, TypeError, "made 3"),
    "a function with arguments": ({"executor": abs}, TypeError, "executor must be .* failed"),
    "forked workers": (
        {"executor": lambda: ProcessPoolExecutor(1, multiprocessing.get_context("fork"))},
        ValueError,
        "executor must not fork",
    ),
    "threads": ({"executor": Here(), "threads": 2}, ValueError, "threads is a setting of sweeps"),
    "memory": ({"executor": Here(), "memory": 10}, ValueError, "memory is a setting of sweeps"),
    "vmap": (
        {"executor": Here(), "strategy": "vmap", "members_at_once": None},
        ValueError,
        "strategy must be 'auto' or 'map' with executor",
    ),
    "shard": ({"executor": Here(), "strategy": "shard"}, ValueError, "strategy must be 'auto'"),
    "pieces without executor": (
        {"members_per_piece": 2},
        ValueError,
        "members_per_piece is a setting of sweeps with executor",
    ),
    "no members per piece": (
        {"executor": Here(), "members_per_piece": 0},
        ValueError,
        "members_per_piece must be",
    ),
    "half a member per piece": (
        {"executor": Here(), "members_per_piece": 1.5},
        TypeError,
        "members_per_piece must be",
    ),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case):
    settings, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        fit_members(**settings)


def test_the_extra_is_named_where_cloudpickle_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxmlp\[cluster\]'"):
        fit_members(Here())


def test_progress_counts_the_members_that_have_come_back(capsys):
    fit_members(Here(), progress=True)
    assert "members=7" in capsys.readouterr().err
