"""Tests of `fit(state=...)`: two runs in a row are one long run."""

import jax
import numpy as np
import pytest
from fits import KEY, LINEAR, OPTIMIZER, PARAMS, assert_same, fit, make_loader, train_by_hand

import jaxmlp


@pytest.mark.parametrize("driver", ["step", "chunk", "epoch", "epochs"])
def test_two_runs_in_a_row_are_one_long_run(driver):
    whole = fit(epochs=5, driver=driver)
    first = fit(epochs=3, driver=driver)
    rest = fit(epochs=2, driver=driver, state=first.state)
    assert_same(rest.state, whole.state)
    assert rest.history["epoch"].tolist() == [3, 4]
    np.testing.assert_array_equal(rest.history["loss"], whole.history["loss"][3:])


def test_params_and_key_may_be_left_out():
    first = fit(epochs=1)
    rest = fit(epochs=1, params=None, key=None, state=first.state)
    assert_same(rest.state, fit(epochs=2).state)


def test_the_state_given_stays_usable():
    first = fit(epochs=1, **LINEAR)
    fit(epochs=1, state=first.state, driver="step", **LINEAR)
    fit(epochs=1, state=first.state, driver="step", **LINEAR)


def test_a_state_of_a_loop_of_ones_own_goes_on():
    (*_, last), _ = train_by_hand(epochs=2)
    assert_same(fit(epochs=3, state=last).state, fit(epochs=5).state)


def test_a_state_within_an_epoch_goes_on_with_the_next():
    state = jaxmlp.init_state(PARAMS, OPTIMIZER, key=KEY)._replace(step=np.int32(7))
    assert fit(epochs=1, state=state).history["epoch"].tolist() == [2]


def test_averaging_begins_at_an_epoch_of_the_whole_run():
    first = fit(epochs=2, **LINEAR)
    rest = fit(epochs=2, state=first.state, swa_start=2, **LINEAR)
    assert not np.array_equal(rest.params.output.kernel, rest.state.params.output.kernel)
    with pytest.raises(ValueError, match="swa_start=4, epochs=2 from epoch 2 on"):
        fit(epochs=2, state=first.state, swa_start=4, **LINEAR)


def test_a_checkpointed_run_may_go_on_from_a_state(tmp_path):
    first = fit(epochs=2, **LINEAR)
    whole = fit(epochs=4, **LINEAR)
    rest = fit(epochs=2, state=first.state, checkpoint=tmp_path, **LINEAR)
    assert_same(rest.state, whole.state)
    again = fit(epochs=2, state=first.state, checkpoint=tmp_path, resume=True, **LINEAR)
    assert_same(again.state, whole.state)
    np.testing.assert_array_equal(again.history["loss"], rest.history["loss"])


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"state": PARAMS}, TypeError, "state must be a TrainState"),
        ({"key": jax.random.key(99)}, ValueError, "key must be None with state"),
        ({"params": {"w": np.ones(2)}}, ValueError, "params must be None with state"),
    ],
)
def test_what_contradicts_the_state_is_refused(settings, error, message):
    state = fit(epochs=1).state
    with pytest.raises(error, match=message):
        fit(make_loader(), epochs=1, **{"state": state} | settings)


def test_a_run_without_a_state_needs_a_key():
    with pytest.raises(TypeError, match="fit needs a typed JAX random key"):
        fit(key=None)
