"""A run that is interrupted and resumed gives the numbers of one that is not, bit for bit."""

import numpy as np
import optax
import pytest
from fits import VALIDATION, assert_same, cut_calls, fit, make_loader
from interruptions import assert_same_result, interrupted

import jaxmlp

SCHEDULE = optax.cosine_decay_schedule(3e-3, 25)
# make_loader shuffles, weighs rows and pads the last of its 5 batches; LOSS has dropout.
SETTINGS = {
    "sgd": {"optimizer": optax.sgd(0.01, momentum=0.9)},
    "adam": {"optimizer": optax.adam(1e-3)},
    "adamw with a schedule": {"optimizer": optax.adamw(SCHEDULE, mask=jaxmlp.kernel_mask)},
    "moving average": {"ema_decay": 0.9},
    "plain average": {"swa_start": 1},
    "early stopping": {"patience": 2, "optimizer": optax.sgd(0.5)},
    "micro-batches": {"accumulate_steps": 3},
    "skipped steps": {"nonfinite": "skip"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_interrupted_at_every_call_and_resumed_from_resumes(name, monkeypatch, tmp_path):
    cut_calls(monkeypatch, chunk=2)
    settings = {"validation": VALIDATION, "epochs": 3, "driver": "chunk", **SETTINGS[name]}
    expected = fit(**settings)
    settings |= {"checkpoint": tmp_path, "resume": True}
    for _ in range(9):
        result = interrupted(monkeypatch, 1, **settings)
        if result.stopped_by != "interrupt":
            break
    assert_same_result(fit(**settings), expected)


@pytest.mark.parametrize("calls", range(1, 9))
def test_interrupted_once_at_any_call(calls, monkeypatch, tmp_path):
    cut_calls(monkeypatch, chunk=2)
    settings = {"validation": VALIDATION, "epochs": 3, "driver": "chunk"}
    stopped = interrupted(monkeypatch, calls, checkpoint=tmp_path, **settings)
    assert stopped.stopped_by == "interrupt"
    assert int(stopped.state.step) == [2, 4, 5, 7, 9, 10, 12, 14][calls - 1]
    assert_same_result(fit(checkpoint=tmp_path, resume=True, **settings), fit(**settings))


@pytest.mark.parametrize("driver", ["step", "epoch", "epochs"])
def test_every_driver_resumes(driver, monkeypatch, tmp_path):
    cut_calls(monkeypatch, joined=2)
    monkeypatch.setattr("jaxmlp.fitting.step_calls._kept_batches", lambda _: 2)
    settings = {"validation": VALIDATION, "driver": driver, "checkpoint": tmp_path}
    for _ in range(2):
        assert interrupted(monkeypatch, 1, **settings).stopped_by == "interrupt"
        settings["resume"] = True
    assert_same_result(fit(**settings), fit(validation=VALIDATION, driver=driver))


@pytest.mark.parametrize("driver", ["step", "epoch", "epochs"])
def test_a_run_stopped_within_an_epoch_goes_on_with_another_driver(driver, monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        cut_calls(patched, chunk=2)
        interrupted(patched, 2, checkpoint=tmp_path, driver="chunk")
    result = fit(checkpoint=tmp_path, resume=True, driver=driver)
    # The same step in every driver; only the mean over an epoch's steps may be rounded otherwise.
    assert_same(result.state, fit().state)


def test_an_iterable_of_batches_resumes_within_an_epoch(monkeypatch, tmp_path):
    monkeypatch.setattr("jaxmlp.fitting.step_calls._kept_batches", lambda _: 2)
    batches = list(make_loader().epoch(0))
    stopped = interrupted(monkeypatch, 4, batches, checkpoint=tmp_path)
    assert int(stopped.state.step) == 7
    assert_same_result(fit(batches, checkpoint=tmp_path, resume=True), fit(batches))


def test_rows_in_files_resume_within_an_epoch(monkeypatch, tmp_path):
    loader = make_loader()
    for name in ("x", "y", "weight"):
        np.save(tmp_path / f"{name}.npy", getattr(loader, name))
    paths = [tmp_path / f"{name}.npy" for name in ("x", "y", "weight")]
    source = jaxmlp.sources.npy(*paths, chunk_rows=7)
    data = jaxmlp.DataLoader(source, batch_size=12, shuffle=True, window_chunks=2)
    cut_calls(monkeypatch, chunk=2)
    expected = fit(data, driver="chunk")
    for calls, steps in ((2, 4), (3, 9)):
        stopped = interrupted(
            monkeypatch, calls, data, driver="chunk", checkpoint=tmp_path / "run", resume=True
        )
        assert int(stopped.state.step) == steps
    assert_same_result(
        fit(data, driver="chunk", checkpoint=tmp_path / "run", resume=True), expected
    )


def test_a_finished_run_resumes_into_more_epochs(tmp_path):
    fit(checkpoint=tmp_path, epochs=2)
    result = fit(checkpoint=tmp_path, resume=True, epochs=5)
    assert_same_result(result, fit(epochs=5))


def test_a_finished_run_is_not_run_again(tmp_path):
    first = fit(checkpoint=tmp_path)
    assert_same_result(fit(checkpoint=tmp_path, resume=True), first)


def test_a_run_that_lost_patience_stays_stopped(tmp_path):
    settings = {"validation": VALIDATION, "patience": 1, "optimizer": optax.sgd(5.0), "epochs": 9}
    first = fit(checkpoint=tmp_path, **settings)
    assert first.stopped_by == "patience"
    assert_same_result(fit(checkpoint=tmp_path, resume=True, **settings), first)


def test_resume_without_checkpoints_starts_anew(tmp_path):
    assert_same_result(fit(checkpoint=tmp_path / "new" / "run", resume=True), fit())


def test_checkpoints_change_no_number(tmp_path):
    checkpoints = jaxmlp.Checkpoints(directory=tmp_path, seconds=0.0)
    assert_same_result(fit(checkpoint=checkpoints, driver="epoch"), fit(driver="epoch"))


def test_a_resumed_run_passes_its_step_to_schedules_and_callbacks(monkeypatch, tmp_path):
    cut_calls(monkeypatch, chunk=2)
    interrupted(monkeypatch, 4, checkpoint=tmp_path, driver="chunk")
    seen = []
    fit(
        checkpoint=tmp_path,
        resume=True,
        driver="chunk",
        on_epoch=lambda state, metrics: seen.append((int(state.step), metrics["epoch"])),
    )
    assert seen == [(10, 1), (15, 2), (20, 3), (25, 4)]
