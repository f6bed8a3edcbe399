"""The page has the epoch of what `fit` returned, and opens there."""

import functools

import jax
import numpy as np
import optax
import pytest
from runs import MOONS, moons, noisy_params, record

import jaxmlp
from jaxmlp import losses
from jaxmlp.inspection import count_bytes
from jaxmlp.report.records import take_records

X, Y = moons(60)
SIZE = count_bytes(noisy_params(MOONS, 0))


@functools.cache
def run(patience=None):
    """A run whose best epoch is no recorded one: at a large rate the validation loss soon rises."""
    recorder = jaxmlp.Recorder(epochs=[0, 1])
    result = jaxmlp.fit(
        jaxmlp.make_loss(MOONS, losses.softmax_cross_entropy),
        optax.adam(0.1),
        jaxmlp.init_params(MOONS, key=jax.random.key(0)),
        jaxmlp.DataLoader(X[:40], 1 - Y[:40], batch_size=8, shuffle=True),
        epochs=12,
        key=jax.random.key(1),
        on_epoch=recorder,
        validation=None if patience is None else (X[40:], Y[40:]),
        patience=patience,
    )
    return recorder, result


def epochs_of(records):
    return [each.epoch for each in records]


def test_without_a_result_the_records_are_those_of_the_recorder():
    recorder, _ = run()
    records, returned = take_records(recorder, None, 10**9)
    assert (epochs_of(records), returned) == ([0, 1, 12], None)


def test_the_best_epoch_stands_among_the_records_with_what_was_returned():
    recorder, result = run(patience=8)
    records, returned = take_records(recorder, result, 10**9)
    assert records[returned].epoch == result.best_epoch + 1
    jax.tree.map(np.testing.assert_array_equal, records[returned].params, result.params)
    assert epochs_of(records) == sorted({*epochs_of(recorder.records), result.best_epoch + 1})
    best = result.history["validation_loss"][result.best_epoch]
    assert records[returned].metrics["validation_loss"] == best


def test_without_validation_the_last_epoch_was_returned():
    recorder, result = run()
    records, returned = take_records(recorder, result, 10**9)
    assert (epochs_of(records), returned) == ([0, 1, 12], 2)


def test_what_was_returned_is_kept_where_epochs_are_left_out():
    recorder, result = run(patience=8)
    records, returned = take_records(recorder, result, 3 * SIZE)
    assert len(records) <= 3
    assert records[returned].epoch == result.best_epoch + 1


def test_a_result_of_another_kind_or_network_is_refused():
    recorder, result = run()
    with pytest.raises(
        TypeError, match=r"result must be what jaxmlp\.fit returned, or None; got a"
    ):
        take_records(recorder, result.params, 10**9)
    other = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=2)
    with pytest.raises(ValueError, match="result must be of the run that the recorder kept"):
        take_records(record(noisy_params(other, 0)), result, 10**9)


def test_too_few_bytes_are_refused_with_what_was_returned():
    recorder, result = run(patience=8)
    with pytest.raises(ValueError, match="max_bytes must hold 3 epochs"):
        take_records(recorder, result, 2 * SIZE)
