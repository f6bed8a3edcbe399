"""Tests of the recorder: what it keeps, that it changes nothing, and what it refuses."""

import jax
import numpy as np
import pytest
from fits import DRIVERS, LINEAR, PARAMS, VALIDATION, assert_same, fit, fit_with, train_by_hand

import jaxmlp
from jaxmlp.inspection import Record, thin

BYTES = sum(leaf.nbytes for leaf in jax.tree.leaves(LINEAR["params"]))


def epochs_of(recorder):
    return [record.epoch for record in recorder.records]


@pytest.fixture(scope="module", params=DRIVERS)
def recorded(request):
    """A run with a recorder, and the same run without, by every driver."""
    recorder = jaxmlp.Recorder(epochs=[0, 2, 3])
    with pytest.MonkeyPatch.context() as monkeypatch:
        plain = fit_with(request.param, monkeypatch, validation=VALIDATION)
        result = fit_with(request.param, monkeypatch, validation=VALIDATION, on_epoch=recorder)
    return recorder, result, plain


class TestInFit:
    def test_training_is_the_same_bit_for_bit(self, recorded):
        _, result, plain = recorded
        assert_same((result.params, result.state), (plain.params, plain.state))
        assert_same(result.history, plain.history)

    def test_epochs_are_the_start_the_listed_ones_and_the_last(self, recorded):
        assert epochs_of(recorded[0]) == [0, 2, 3, 5]

    def test_parameters_are_those_of_the_loop_by_hand(self, recorded):
        states = train_by_hand()[0]
        expected = [PARAMS, *(states[epoch - 1].params for epoch in (2, 3, 5))]
        for record, params in zip(recorded[0].records, expected, strict=True):
            jax.tree.map(np.testing.assert_array_equal, record.params, params)

    def test_metrics_are_those_of_the_history(self, recorded):
        recorder, result, _ = recorded
        assert recorder.records[0].metrics == {}
        for record in recorder.records[1:]:
            expected = {n: v[record.epoch - 1].item() for n, v in result.history.items()}
            assert record.metrics == expected


def test_calls_are_cut_nowhere_but_at_recorded_epochs(monkeypatch):
    ends = []
    inner = jaxmlp.fitting.epoch_calls.Call

    def noted(before, after, *rest):
        ends.append(int(after.epoch))
        return inner(before, after, *rest)

    monkeypatch.setattr("jaxmlp.fitting.epoch_calls.Call", noted)
    fit(**LINEAR, epochs=40, driver="epochs", on_epoch=jaxmlp.Recorder(epochs=[7, 30]))
    assert ends == [7, 30, 40]


def test_by_default_epochs_are_the_first_and_powers_of_two():
    recorder = jaxmlp.Recorder()
    fit(**LINEAR, epochs=50, driver="auto", on_epoch=recorder)
    assert epochs_of(recorder) == [0, 1, 2, 3, 4, 8, 16, 32, 50]


def test_the_last_epoch_is_kept_where_patience_ends_a_run():
    recorder = jaxmlp.Recorder(epochs=[1])
    settings = LINEAR | {"params": jax.tree.map(np.zeros_like, LINEAR["params"])}
    result = fit(
        **settings, epochs=50, driver="auto", patience=1, validation=VALIDATION, on_epoch=recorder
    )
    assert result.stopped_by == "patience"
    assert epochs_of(recorder) == [1, len(result.history["epoch"])]
    last = recorder.records[-1].params
    jax.tree.map(np.testing.assert_array_equal, last, result.state.params)


def test_a_function_that_calls_it_each_epoch_records_the_same():
    scheduled, called = jaxmlp.Recorder(epochs=[0, 2]), jaxmlp.Recorder(epochs=[0, 2])
    result = fit(**LINEAR, on_epoch=scheduled)
    called.begin(jaxmlp.init_state(LINEAR["params"], LINEAR["optimizer"], key=result.state.key), 0)
    fit(**LINEAR, on_epoch=lambda state, metrics: called(state, metrics))
    assert epochs_of(called) == epochs_of(scheduled) == [0, 2, 5]
    assert_same([r.params for r in called.records], [r.params for r in scheduled.records])


def test_it_goes_on_where_a_run_goes_on():
    recorder = jaxmlp.Recorder(epochs=[0, 1, 4, 6])
    first = fit(**LINEAR, epochs=3, on_epoch=recorder)
    settings = LINEAR | {"params": None}
    fit(**settings, key=None, state=first.state, epochs=4, on_epoch=recorder)
    assert epochs_of(recorder) == [0, 1, 4, 6, 7]


def test_the_key_of_the_run_is_kept():
    recorder = jaxmlp.Recorder()
    fit(**LINEAR, key=jax.random.key(42), epochs=1, on_epoch=recorder)
    assert recorder.key_data.tolist() == [0, 42]


def test_copies_outlive_the_state():
    recorder = jaxmlp.Recorder(epochs=[1])
    state = jaxmlp.init_state(LINEAR["params"], LINEAR["optimizer"], key=jax.random.key(0))
    expected = np.array(state.params.output.kernel)
    recorder(state, {"epoch": 0})
    state.params.output.kernel.delete()
    np.testing.assert_array_equal(recorder.records[0].params.output.kernel, expected)


def test_default_epochs_are_thinned_to_the_budget():
    recorder = jaxmlp.Recorder(max_bytes=5 * BYTES + 1)
    fit(**LINEAR, epochs=40, driver="auto", on_epoch=recorder)
    kept = epochs_of(recorder)
    assert len(kept) == 5
    assert (kept[0], kept[-1]) == (0, 40)


def test_thinning_leaves_epochs_evenly_spaced_by_their_logarithm():
    records = [Record(2**power - 1, None, {}) for power in range(9)]
    near = [Record(2**power, None, {}) for power in range(2, 8)]
    kept = thin(sorted(records + near), 9)
    gaps = np.diff(np.log1p([record.epoch for record in kept]))
    assert gaps.max() < 1.4 * gaps.min()


REFUSED = [
    ({"epochs": []}, ValueError, "epochs must list at least one epoch"),
    ({"epochs": [1, -1]}, ValueError, r"epochs\[1\] must be an int of at least 0"),
    ({"epochs": [1.5]}, TypeError, r"epochs\[0\] must be an int"),
    ({"epochs": "0,1"}, TypeError, "epochs must be numbers of epochs"),
    ({"max_bytes": 0}, ValueError, "max_bytes must be"),
]


@pytest.mark.bad_input
@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        jaxmlp.Recorder(**arguments)


def test_listed_epochs_above_the_budget_are_refused_before_training():
    recorder = jaxmlp.Recorder(epochs=range(10), max_bytes=5 * BYTES)
    message = f"max_bytes of the Recorder must hold 11 epochs of {BYTES} bytes.*list fewer epochs"
    with pytest.raises(ValueError, match=message):
        fit(**LINEAR, on_epoch=recorder)
    assert recorder.records == ()


def test_a_budget_below_two_epochs_is_refused():
    with pytest.raises(ValueError, match=r"must hold 2 epochs.*Raise it\.$"):
        fit(**LINEAR, on_epoch=jaxmlp.Recorder(max_bytes=2 * BYTES - 1))


def test_another_run_is_refused():
    recorder = jaxmlp.Recorder()
    fit(**LINEAR, on_epoch=recorder)
    with pytest.raises(ValueError, match=r"has kept epoch 5.*begins with epoch 0; make a new one"):
        fit(**LINEAR, on_epoch=recorder)


def test_a_schedule_that_does_not_go_on_is_refused(monkeypatch):
    recorder = jaxmlp.Recorder()
    monkeypatch.setattr(recorder, "next_epoch", lambda epoch: epoch)
    with pytest.raises(ValueError, match=r"on_epoch\.next_epoch\(0\) must return an int above 0"):
        fit(**LINEAR, on_epoch=recorder)


def test_its_text_names_the_epochs():
    recorder = jaxmlp.Recorder(epochs=[2])
    fit(**LINEAR, on_epoch=recorder)
    assert repr(recorder) == "Recorder(epochs=[2, 5])"
