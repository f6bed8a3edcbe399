"""Tests that `fit` refuses what it cannot do, and says what to do instead."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from fits import PARAMS, VALIDATION, X, Y, fit, make_loader

import jaxmlp

pytestmark = pytest.mark.bad_input

# Refused before anything is compiled.
SETTINGS = [
    ({"epochs": 0}, ValueError, "epochs must be an int of at least 1; got 0"),
    ({"epochs": True}, TypeError, "epochs must be an int of at least 1; got True"),
    ({"epochs": "3"}, TypeError, "epochs must be an int of at least 1; got '3'"),
    ({"epochs": 2.0}, TypeError, "epochs must be an int of at least 1; got 2.0"),
    ({"patience": 0}, ValueError, "patience must be an int of at least 1; got 0"),
    ({"patience": True}, TypeError, "patience must be an int"),
    ({"min_delta": -0.1}, ValueError, "min_delta must be finite and at least 0; got -0.1"),
    ({"min_delta": np.nan}, ValueError, "min_delta must be finite and at least 0; got nan"),
    ({"min_delta": np.inf}, ValueError, "min_delta must be finite and at least 0; got inf"),
    ({"ema_decay": 0}, ValueError, r"ema_decay must be in \(0, 1\); got 0"),
    ({"ema_decay": 1}, ValueError, r"ema_decay must be in \(0, 1\); got 1"),
    ({"ema_decay": np.nan}, ValueError, r"ema_decay must be in \(0, 1\); got nan"),
    ({"ema_decay": 0.9, "swa_start": 1}, ValueError, "give one of them"),
    ({"swa_start": 5}, ValueError, "swa_start must be below epochs.*swa_start=5, epochs=5"),
    ({"swa_start": -1}, ValueError, "swa_start must be an int of at least 0; got -1"),
    ({"swa_start": 1.5}, TypeError, "swa_start must be an int of at least 0; got 1.5"),
    ({"accumulate_steps": 0}, ValueError, "accumulate_steps must be an int of at least 1"),
    ({"nonfinite": "ignore"}, ValueError, "nonfinite must be 'raise', 'skip' or 'stop'"),
    ({"nonfinite": None}, ValueError, "nonfinite must be 'raise', 'skip' or 'stop'; got None"),
    ({"driver": "scan"}, ValueError, "driver must be one of 'auto', 'step', .*; got 'scan'"),
    ({"mode": "maximum"}, ValueError, "mode must be 'min' or 'max'.*got 'maximum'"),
    ({"monitor": "accuracy"}, ValueError, "mode must .* for monitor='accuracy'; got None"),
    ({"key": 0}, TypeError, "key"),
    ({"driver": "epochs", "on_epoch": print}, ValueError, "driver='epochs' runs several at once"),
    ({"params": {}}, ValueError, "params must hold at least one array"),
    ({"params": {"w": jnp.arange(3)}}, TypeError, "params must be floating arrays"),
]


@pytest.mark.parametrize(("settings", "error", "message"), SETTINGS)
def test_a_setting_out_of_range_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        fit(**settings)


BATCH = jaxmlp.Batch(X[:12], Y[:12])


@pytest.mark.parametrize(
    "data", [(X, Y), BATCH, {"x": X}, 3], ids=["tuple", "Batch", "dict", "int"]
)
def test_data_that_are_no_batches_are_refused_with_the_remedy(data):
    with pytest.raises(TypeError, match=re.escape("DataLoader(x, y, batch_size=...)")):
        fit(data)


@pytest.mark.parametrize("driver", ["chunk", "epoch", "epochs"])
def test_an_iterable_is_driven_step_by_step_only(driver):
    with pytest.raises(ValueError, match=f"driver='{driver}' needs a DataLoader"):
        fit([BATCH], driver=driver)


def test_an_iterator_is_refused_before_its_first_epoch_is_wasted():
    batches = iter([BATCH])
    with pytest.raises(TypeError, match="a list_iterator is used up after the first"):
        fit(batches, epochs=2)
    assert len(list(batches)) == 1


class UsedUp:
    """Gives batches the first time only."""

    def __init__(self):
        self.batches = [BATCH]

    def __iter__(self):
        while self.batches:
            yield self.batches.pop()


@pytest.mark.parametrize(("data", "epoch"), [([], 0), (UsedUp(), 1)])
def test_an_epoch_without_batches_is_an_error(data, epoch):
    with pytest.raises(ValueError, match=f"at least one batch in every epoch; epoch {epoch} had"):
        fit(data, epochs=2)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ((X, Y[:-1]), "same number of rows; got 50 and 49"),
        ((X[:, :3], Y), "x has 3 features"),
        ((X,), r"validation must be \(x, y\) or \(x, y, weight\); got 1 entries"),
        ((X, Y, None, None), "got 4 entries"),
        ((np.where(X > 1, np.nan, X), Y), "x must be finite"),
        ((X[:0], Y[:0]), "x must have at least one row"),
    ],
    ids=["lengths", "features", "one", "four", "nan", "empty"],
)
def test_validation_rows_that_do_not_fit_are_refused(validation, message):
    with pytest.raises(ValueError, match=message):
        fit(validation=validation)


@pytest.mark.parametrize("validation", [None, VALIDATION])
@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_an_unknown_monitor_is_answered_with_the_known_names(validation, driver):
    with pytest.raises(ValueError, match=r"one of \['accuracy', 'loss'\]; got 'f1'"):
        fit(monitor="f1", mode="max", validation=validation, driver=driver)


@pytest.mark.parametrize("name", ["weight", "epoch", "ran", "finite", "skipped", "validation_loss"])
def test_a_metric_must_not_have_a_name_that_fit_uses(name):
    def loss_fn(params, batch, key):
        del batch, key
        return jnp.sum(params), {name: jnp.ones(())}

    with pytest.raises(ValueError, match=f"must not name a metric '{name}'"):
        fit(loss_fn=loss_fn, params=jnp.ones(2))


@pytest.mark.parametrize("driver", ["step", "epoch"])
def test_a_metric_that_is_no_scalar_is_refused(driver):
    def loss_fn(params, batch, key):
        del batch, key
        return jnp.sum(params), {"each": params}

    with pytest.raises(TypeError, match=r"scalar metrics; got 'each' of shape \(2,\)"):
        fit(loss_fn=loss_fn, params=jnp.ones(2), driver=driver)


@pytest.mark.parametrize("answer", ["stop", 1, 0.0, {}, np.ones(3), PARAMS], ids=type)
def test_a_callback_must_answer_true_or_nothing(answer):
    with pytest.raises(TypeError, match="on_epoch must return True to stop, or None"):
        fit(on_epoch=lambda *_: answer)


def test_a_batch_that_micro_batches_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="accumulate_steps=5 must divide"):
        fit(make_loader(), accumulate_steps=5)
