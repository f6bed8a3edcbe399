"""Tests that no driver shows in the results: each is the loop written by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fits import (
    CONFIG,
    DRIVERS,
    KEY,
    LINEAR,
    LOSS,
    MEAN_RTOL,
    OPTIMIZER,
    PARAMS,
    VALIDATION,
    assert_same,
    cut_calls,
    epoch_means,
    fit,
    fit_with,
    make_loader,
    train_by_hand,
)

import jaxmlp
from jaxmlp.fitting import drivers
from jaxmlp.fitting.calls import Run
from jaxmlp.fitting.looks import looks_of
from jaxmlp.fitting.pace import Pace, seconds_per_step


@pytest.fixture(scope="module")
def by_hand():
    return train_by_hand()


@pytest.fixture(scope="module", params=DRIVERS)
def result(request):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return fit_with(request.param, monkeypatch, validation=VALIDATION)


@pytest.fixture(scope="module")
def stepwise():
    return fit(validation=VALIDATION, driver="step")


class TestEveryDriver:
    """With shuffling, dropout, row weights, padding, a schedule and weight decay."""

    def test_gives_the_state_of_the_hand_written_loop_bit_for_bit(self, result, by_hand):
        assert_same(result.state, by_hand[0][-1])

    @pytest.mark.parametrize("name", ["loss", "accuracy"])
    def test_history_is_the_mean_over_rows_of_every_epoch(self, result, by_hand, name):
        expected = epoch_means(by_hand[1], name)
        np.testing.assert_allclose(result.history[name], expected, rtol=MEAN_RTOL)

    def test_validates_after_every_epoch_without_dropout(self, result, by_hand):
        batch = jaxmlp.Batch(*VALIDATION)
        losses = [LOSS(state.params, batch, None)[0] for state in by_hand[0]]
        # Rounding of a forward pass in another program.
        np.testing.assert_allclose(result.history["validation_loss"], losses, rtol=1e-5)

    def test_returns_the_parameters_of_the_best_epoch_bit_for_bit(self, result, by_hand):
        best = int(np.argmin(result.history["validation_loss"]))
        assert result.best_epoch == best
        assert_same(result.params, by_hand[0][best].params)

    def test_history_has_the_same_names_in_the_same_order(self, result, stepwise):
        assert list(result.history) == list(stepwise.history)

    def test_history_has_the_same_types(self, result, stepwise):
        types = {name: values.dtype for name, values in result.history.items()}
        assert types == {name: values.dtype for name, values in stepwise.history.items()}


@pytest.mark.parametrize("name", ["step", "chunks of 2", "epoch"])
def test_every_driver_drops_the_last_rows_that_fill_no_batch(name, monkeypatch):
    loader = functools.partial(make_loader, drop_last=True)
    result = fit_with(name, monkeypatch, loader(), **LINEAR)
    assert_same(result.state, train_by_hand(loader(), **LINEAR)[0][-1])


@pytest.mark.parametrize("name", ["chunks of 2", "epoch"])
def test_every_driver_accumulates_micro_batches(name, monkeypatch):
    result = fit_with(name, monkeypatch, accumulate_steps=3)
    assert_same(result.state, train_by_hand(accumulate_steps=3)[0][-1])


def test_accumulation_is_not_a_silent_no_op():
    # Micro-batches draw dropout from keys of their own.
    one, other = (fit(accumulate_steps=steps) for steps in (1, 3))
    assert float(one.history["loss"][0]) != float(other.history["loss"][0])


@pytest.mark.parametrize("steps", [63, 64, 65, 256, 257, 600])
def test_the_step_driver_takes_every_batch_of_a_long_epoch(steps):
    def loss_fn(params, batch, key):
        del key
        return jnp.mean((batch.x @ params - 1) ** 2), {"mean": jnp.mean(batch.x)}

    x = np.random.default_rng(0).normal(size=(steps, 2)).astype(np.float32)
    loader = jaxmlp.DataLoader(x, batch_size=1)
    result = fit(loader, loss_fn=loss_fn, params=jnp.zeros(2), epochs=1, driver="step")
    assert int(result.state.step) == steps
    # float32 sums of up to 600 terms.
    np.testing.assert_allclose(result.history["mean"], [x.mean(dtype=np.float64)], atol=1e-6)


def test_a_chunk_is_of_the_size_that_its_pace_says(monkeypatch):
    cut_calls(monkeypatch, chunk=2)
    run = Run(LOSS, OPTIMIZER, jaxmlp.fitting.Plan(), 1, None)
    state = jaxmlp.fitting.init_fit_state(
        jaxmlp.init_state(PARAMS, OPTIMIZER, key=KEY), run.plan, validated=False
    )
    calls = drivers.run_loader("chunk", run, state, make_loader(), {}, looks_of(None, 1))
    steps = [int(call.after.train.step) for call in calls]
    assert steps == [2, 4, 5]


def test_a_chunk_is_no_longer_than_an_epoch(monkeypatch):
    cut_calls(monkeypatch, chunk=10**12)
    assert_same(fit(driver="chunk").state, fit(driver="epoch").state)


@pytest.mark.parametrize(
    ("seconds", "each_epoch", "expected"),
    [
        (1.1, False, "chunk"),
        (1.1, True, "chunk"),
        (0.5, False, "epoch"),
        (0.01, False, "epochs"),
        (0.01, True, "epoch"),
    ],
)
def test_auto_goes_by_the_time_of_an_epoch(seconds, each_epoch, expected, monkeypatch):
    monkeypatch.setattr(drivers, "seconds_per_step", lambda *_: seconds / 5)
    assert drivers.choose_driver(PARAMS, make_loader(), each_epoch=each_epoch) == expected


def test_a_steps_time_grows_with_the_network_and_the_batch():
    big = jnp.zeros((1000, 1000))
    times = [seconds_per_step(*case) for case in ((PARAMS, 1), (big, 100), (big, 1000))]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("batch_size", "drop_last"),
    [(1, False), (7, False), (7, True), (12, False), (50, True), (60, False), (120, False)],
)
def test_batches_gathered_by_index_are_the_loaders(batch_size, drop_last):
    loader = make_loader(batch_size=batch_size, drop_last=drop_last)
    rows = jax.tree.map(jnp.asarray, jaxmlp.Batch(loader.x, loader.y, loader.weight))
    index = loader.index(2).astype(np.int32)
    for row_numbers, batch in zip(index, loader.epoch(2), strict=True):
        assert_same(
            jaxmlp.fitting.program.take_batch(rows, jnp.asarray(row_numbers)),
            jax.tree.map(jnp.asarray, batch),
        )


@pytest.mark.parametrize("name", ["x", "y", "weight"])
def test_nobody_can_write_to_rows_that_the_device_uses(name):
    rows = make_loader().rows
    with pytest.raises(ValueError, match="read-only"):
        getattr(rows, name)[0] = 0


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="rows are copied to other devices")
def test_rows_are_not_copied_on_the_cpu():
    x = make_loader(batch_size=7).rows.x
    assert jax.device_put(x).unsafe_buffer_pointer() == x.ctypes.data


class TestPace:
    """A call takes about a second, whatever the estimate was."""

    def calls(self, estimate, seconds, number):
        pace, sizes = Pace(estimate), []
        for _ in range(number):
            sizes.append(pace.steps)
            pace.observe(pace.steps, pace.steps * seconds)
        return sizes

    @pytest.mark.parametrize("estimate", [1e-6, 1e-4, 1e-2, 10.0])
    @pytest.mark.parametrize("seconds", [1e-5, 1e-3, 0.1])
    def test_calls_come_to_last_a_second(self, estimate, seconds):
        # Growing by at most 4 in a call, 12 calls suffice for a factor of 4**10.
        assert self.calls(estimate, seconds, 12)[-1] * seconds == pytest.approx(1, rel=0.01)

    def test_a_step_longer_than_a_call_is_taken_alone(self):
        assert self.calls(1e-3, 3.0, 4)[-1] == 1

    def test_the_first_call_may_take_longer_since_it_compiles(self):
        pace = Pace(1e-3)
        first = pace.steps
        pace.observe(first, 100.0)
        assert pace.steps == first == 200


def test_the_config_has_dropout_to_make_keys_matter():
    assert CONFIG.dropout_rate > 0
