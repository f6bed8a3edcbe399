"""Tests of NaN and infinity in training: the first bad step is found, and nothing good is lost."""

import re

import jax
import numpy as np
import pytest
from fits import (
    DRIVERS,
    KEY,
    LINEAR,
    MEAN_RTOL,
    ROWS,
    VALIDATION,
    X,
    assert_same,
    copied,
    fit,
    fit_with,
    make_loader,
    make_train_step,
)

import jaxmlp
from jaxmlp.fitting.step_calls import _kept_batches

PARAMS, OPTIMIZER = LINEAR["params"], LINEAR["optimizer"]
EPOCHS = 4
BATCH = 13
STEPS = ROWS // BATCH
# This row is left out in epochs 0 and 1, by drop_last, and visited in epochs 2 and 3.
ROW = 1
BAD_X = np.where((np.arange(ROWS) == ROW)[:, None], np.float32(np.nan), X)


def make_bad_loader():
    return make_loader(BAD_X, batch_size=BATCH, drop_last=True, seed=1, check_finite=False)


def all_batches():
    return [batch for epoch in range(EPOCHS) for batch in make_bad_loader().epoch(epoch)]


BAD_STEPS = [i for i, batch in enumerate(all_batches()) if np.isnan(batch.x).any()]
FIRST = BAD_STEPS[0]


def train_by_hand(*, steps, skipped=()):
    """The loop written by hand, which leaves some steps out but counts them."""
    state = jaxmlp.init_state(PARAMS, OPTIMIZER, key=KEY)
    step = make_train_step(LINEAR["loss_fn"], OPTIMIZER, accumulate_steps=1)
    losses = []
    for number, batch in enumerate(all_batches()[:steps]):
        if number in skipped:
            state = state._replace(step=state.step + 1)
        else:
            state, metrics = step(state, batch)
            losses.append((batch.weight.sum(), float(metrics["loss"])))
    return state, losses


NAMES = sorted({*DRIVERS} - {"auto", "chunks of an epoch"})
SETTINGS = LINEAR | {"epochs": EPOCHS}


def fit_bad(name, monkeypatch, **settings):
    return fit_with(name, monkeypatch, make_bad_loader(), **SETTINGS, **settings)


@pytest.fixture(scope="module", params=NAMES)
def error(request):
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(jaxmlp.NonFiniteError) as info:
        fit_bad(request.param, monkeypatch, validation=VALIDATION)
    return info.value


@pytest.fixture(scope="module")
def good():
    """The same run as far as it is good: two epochs."""
    return fit(make_bad_loader(), **LINEAR | {"epochs": 2, "validation": VALIDATION})


def test_the_bad_row_comes_late_enough_to_matter():
    assert 2 * STEPS < FIRST < 3 * STEPS


class TestRaise:
    def test_names_the_first_bad_step(self, error):
        assert error.step == FIRST
        assert f"step {FIRST} is not finite" in str(error)

    def test_gives_the_rows_of_its_batch(self, error):
        order = make_bad_loader().order(2)
        position = FIRST - 2 * STEPS
        expected = order[position * BATCH : (position + 1) * BATCH]
        assert ROW in error.rows
        np.testing.assert_array_equal(error.rows, expected)

    def test_names_the_cause(self, error):
        assert re.search(r"the loss is nan; .*the batch itself is not finite in x", str(error))

    def test_keeps_the_state_of_a_run_stopped_just_before(self, error):
        expected, _ = train_by_hand(steps=FIRST)
        assert_same(error.result.state, expected)

    def test_keeps_the_history_of_the_epochs_before(self, error, good):
        assert list(error.result.history) == list(good.history)
        for name, values in good.history.items():
            np.testing.assert_allclose(error.result.history[name], values, rtol=1e-5)

    def test_returns_the_best_parameters_before(self, error, good):
        assert error.result.best_epoch == good.best_epoch
        assert_same(error.result.params, good.params)

    def test_says_what_ended_the_run(self, error):
        assert error.result.stopped_by == "nonfinite"

    def test_can_be_caught_as_a_floating_point_error(self, error):
        assert isinstance(error, FloatingPointError)


@pytest.mark.parametrize("name", NAMES)
def test_stop_warns_and_returns_the_last_good_state(name, monkeypatch):
    with pytest.warns(RuntimeWarning, match=f"step {FIRST} is not finite"):
        result = fit_bad(name, monkeypatch, nonfinite="stop", validation=VALIDATION)
    assert result.stopped_by == "nonfinite"
    expected, _ = train_by_hand(steps=FIRST)
    assert_same(result.state, expected)


@pytest.fixture(scope="module", params=NAMES)
def skipped(request):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return fit_bad(request.param, monkeypatch, nonfinite="skip", ema_decay=0.5)


class TestSkip:
    def test_leaves_out_these_steps_and_no_other(self, skipped):
        steps = EPOCHS * STEPS
        expected, _ = train_by_hand(steps=steps, skipped=BAD_STEPS)
        assert_same(skipped.state, expected)

    def test_counts_them(self, skipped):
        expected = np.bincount(np.array(BAD_STEPS) // STEPS, minlength=EPOCHS)
        np.testing.assert_array_equal(skipped.history["skipped"], expected)

    def test_leaves_them_out_of_the_history(self, skipped):
        _, losses = train_by_hand(steps=EPOCHS * STEPS, skipped=BAD_STEPS)
        third = np.array(losses[2 * STEPS : 3 * STEPS - 1])
        expected = np.average(third[:, 1], weights=third[:, 0])
        np.testing.assert_allclose(skipped.history["loss"][2], expected, rtol=MEAN_RTOL)

    def test_leaves_them_out_of_the_moving_average(self, skipped):
        state = jaxmlp.init_state(PARAMS, OPTIMIZER, key=KEY)
        mean = copied(state.params)
        step = make_train_step(LINEAR["loss_fn"], OPTIMIZER, accumulate_steps=1)
        for number, batch in enumerate(all_batches()):
            if number in BAD_STEPS:
                state = state._replace(step=state.step + 1)
                continue
            state, _ = step(state, batch)
            mean = jax.tree.map(lambda m, p: 0.5 * m + 0.5 * p, mean, state.params)
        for one, other in zip(jax.tree.leaves(skipped.params), jax.tree.leaves(mean), strict=True):
            # Rounding of a mean that is compiled alone.
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_an_epoch_of_skipped_steps_is_not_the_best_one():
    loader = make_loader(BAD_X, batch_size=ROWS, check_finite=False)
    result = fit(loader, **SETTINGS, nonfinite="skip")
    assert result.history["skipped"].tolist() == [1] * EPOCHS
    assert np.isnan(result.history["loss"]).all()
    assert result.best_epoch == -1
    assert_same(result.params, PARAMS)


def test_good_training_is_the_same_under_every_policy():
    loader = make_loader(batch_size=BATCH)
    results = [fit(loader, **SETTINGS, nonfinite=p) for p in ("raise", "stop", "skip")]
    assert_same(results[0].state, results[1].state)
    assert_same(results[0].state, results[2].state)


class NeverTheSame:
    """Gives new batches each time, as a loader of others that shuffles does."""

    def __init__(self):
        self.loader = make_bad_loader()

    def __iter__(self):
        return iter(self.loader)


@pytest.mark.parametrize("kept", [1, 2, 256])
def test_a_bad_step_is_found_in_an_iterable_that_does_not_repeat_itself(kept, monkeypatch):
    monkeypatch.setattr("jaxmlp.fitting.step_calls._kept_batches", lambda _: kept)
    with pytest.raises(jaxmlp.NonFiniteError, match="its batch came from an iterable") as info:
        fit(NeverTheSame(), **SETTINGS)
    assert (info.value.step, info.value.rows) == (FIRST, None)
    assert_same(info.value.result.state, train_by_hand(steps=FIRST)[0])


def test_rows_are_named_when_an_epoch_takes_several_calls(monkeypatch):
    monkeypatch.setattr("jaxmlp.fitting.step_calls._kept_batches", lambda _: 1)
    with pytest.raises(jaxmlp.NonFiniteError) as info:
        fit(make_bad_loader(), driver="step", **SETTINGS)
    position = FIRST - 2 * STEPS
    assert position > 0
    expected = make_bad_loader().order(2)[position * BATCH : (position + 1) * BATCH]
    np.testing.assert_array_equal(info.value.rows, expected)


def test_few_large_batches_are_kept():
    kept = [_kept_batches(np.zeros(size, np.uint8)) for size in (1, 2**20, 2**24, 2**27)]
    assert kept == [256, 64, 4, 1]


def test_a_bad_step_is_found_in_a_one_shot_iterator():
    batches = iter(list(make_bad_loader().epoch(2)))
    with pytest.raises(jaxmlp.NonFiniteError) as info:
        fit(batches, **SETTINGS | {"epochs": 1})
    assert info.value.step == FIRST - 2 * STEPS


class DrawnAnew:
    """A sampler without an order of its own: every epoch that iterates it draws other rows."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def __len__(self):
        return BATCH

    def __iter__(self):
        return iter(self.random.permutation(ROWS)[: len(self)])


@pytest.mark.filterwarnings("ignore:step .* is not finite:RuntimeWarning")
@pytest.mark.parametrize("seed", range(3))
def test_a_sampler_that_is_drawn_anew_is_drawn_once_per_epoch(seed, monkeypatch):
    def run(driver):
        loader = make_loader(
            BAD_X, batch_size=BATCH, shuffle=False, sampler=DrawnAnew(seed), check_finite=False
        )
        settings = {"epochs": 30, "nonfinite": "stop", **LINEAR}
        return fit_with(driver, monkeypatch, loader, **settings)

    by_step, by_epochs = run("step"), run("all epochs")
    assert by_epochs.stopped_by == by_step.stopped_by == "nonfinite"
    assert_same(by_epochs.state, by_step.state)
