"""Tests of early stopping and the best parameters, against a simulation over the whole history."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import DRIVERS, LINEAR, LINEAR_CONFIG, VALIDATION, assert_same, fit, fit_with, make_loader

import jaxmlp

# With a large learning rate on random targets, metrics go up and down.
LOSS = jaxmlp.make_loss(
    LINEAR_CONFIG,
    jaxmlp.losses.softmax_cross_entropy,
    metrics={"accuracy": jaxmlp.metrics.accuracy},
)
SETTINGS = LINEAR | {"loss_fn": LOSS, "epochs": 30}


@pytest.fixture(scope="module")
def full():
    """Runs every epoch, with the state after each."""
    states = []
    history = fit(
        **SETTINGS,
        validation=VALIDATION,
        on_epoch=lambda state, _: states.append(state),
    ).history
    return states, history


def simulate(values, mode, patience, min_delta=0.0):
    """Returns the number of epochs that run, and the best one, by the definition."""
    sign = np.float32(1 if mode == "min" else -1)
    best = counted = np.float32(np.inf)
    best_epoch = counted_epoch = -1
    for epoch, value in enumerate(sign * np.float32(values)):
        if np.isfinite(value) and value < best:
            best, best_epoch = value, epoch
        if np.isfinite(value) and counted - value > min_delta:
            counted, counted_epoch = value, epoch
        if epoch - counted_epoch >= patience:
            return epoch + 1, best_epoch
    return len(values), best_epoch


RULES = [("loss", "min", 2, 0.0), ("accuracy", "max", 3, 0.06)]


@pytest.fixture(scope="module", params=RULES, ids=str)
def stopped(request):
    monitor, mode, patience, min_delta = request.param
    return request.param, fit(
        **SETTINGS,
        validation=VALIDATION,
        monitor=monitor,
        mode=mode,
        patience=patience,
        min_delta=min_delta,
    )


class TestRule:
    def test_stops_at_the_epoch_of_the_simulation(self, stopped, full):
        (monitor, *rule), result = stopped
        epochs, best = simulate(full[1][f"validation_{monitor}"], *rule)
        assert (len(result.history["epoch"]), result.best_epoch) == (epochs, best)

    def test_returns_the_parameters_of_the_best_epoch(self, stopped, full):
        assert_same(stopped[1].params, full[0][stopped[1].best_epoch].params)

    def test_returns_the_state_of_the_last_epoch(self, stopped, full):
        assert_same(stopped[1].state, full[0][len(stopped[1].history["epoch"]) - 1])

    def test_says_why_it_stopped(self, stopped):
        assert stopped[1].stopped_by == "patience"
        assert len(stopped[1].history["epoch"]) < SETTINGS["epochs"]


@pytest.fixture(scope="module")
def by_epoch():
    return fit(**SETTINGS, validation=VALIDATION, patience=3, driver="epoch")


@pytest.mark.parametrize("name", sorted({*DRIVERS} - {"auto", "epoch", "chunks of an epoch"}))
def test_every_driver_stops_alike(name, by_epoch, monkeypatch):
    result = fit_with(name, monkeypatch, **SETTINGS, validation=VALIDATION, patience=3)
    assert result.stopped_by == by_epoch.stopped_by == "patience"
    assert result.history["epoch"].tolist() == by_epoch.history["epoch"].tolist()
    assert_same(result.params, by_epoch.params)
    assert_same(result.state, by_epoch.state)


def test_stopping_by_patience_is_early(by_epoch):
    assert 1 < len(by_epoch.history["epoch"]) < SETTINGS["epochs"]


def test_best_parameters_are_those_of_a_run_stopped_there_by_hand(by_epoch):
    best = by_epoch.best_epoch
    by_hand = fit(**SETTINGS, driver="epoch", on_epoch=lambda _, m: m["epoch"] == best)
    assert_same(by_epoch.params, by_hand.params)


class TestWithoutValidation:
    @pytest.mark.parametrize(("monitor", "mode"), [("loss", "min"), ("accuracy", "max")])
    def test_training_metrics_are_monitored(self, full, monitor, mode):
        result = fit(**SETTINGS, monitor=monitor, mode=mode, patience=2)
        epochs, best = simulate(full[1][monitor], mode, 2)
        assert (len(result.history["epoch"]), result.best_epoch) == (epochs, best)

    def test_the_last_parameters_come_back(self):
        result = fit(**SETTINGS, patience=2)
        assert_same(result.params, result.state.params)


# Parameters must be finite: these stand for values that are not.
CODES = {np.nan: 1e30, np.inf: 2e30, -np.inf: -2e30}


def counting_loss(params, batch, key):
    """Gives `values[n]` in epoch n, by a parameter that each epoch's one step raises by 1."""
    del batch
    # Validation comes after the step.
    epoch = params["epoch"].astype(jnp.int32) - (1 if key is None else 0)
    chosen = params["values"].at[epoch].get(mode="clip")
    for value, code in CODES.items():
        chosen = jnp.where(chosen == code, value, chosen)
    return -params["epoch"], {"chosen": chosen}


# The gradient of -epoch is -1.
OPTIMIZER_OF_COUNTS = optax.sgd(1.0)
ONE_BATCH = make_loader(batch_size=50)


def run_monitored(values, *, validation=VALIDATION, **settings):
    coded = [next((c for v, c in CODES.items() if np.array_equal(v, x, True)), x) for x in values]
    params = {"epoch": jnp.zeros(()), "values": jnp.asarray(coded, jnp.float32)}
    settings = {"epochs": len(values), "driver": "epoch", "monitor": "chosen"} | settings
    return fit(
        ONE_BATCH,
        loss_fn=counting_loss,
        optimizer=OPTIMIZER_OF_COUNTS,
        params=params,
        validation=validation,
        **settings,
    )


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("validation", [None, VALIDATION], ids=["training", "validation"])
@pytest.mark.parametrize(
    ("values", "mode", "best"),
    [
        ([NAN, 3, NAN, 2, NAN], "min", 3),
        ([NAN, 3, NAN, 2, NAN], "max", 1),
        ([NAN, NAN, NAN, NAN, NAN], "min", -1),
        ([NAN, NAN, NAN, NAN, NAN], "max", -1),
        ([1, -INF, 2, 2, 2], "min", 0),
        ([1, INF, 2, 1, 1], "max", 2),
        ([2, 1, 1, 2, 1], "min", 1),
    ],
)
def test_only_finite_values_are_best_and_the_first_of_equals(values, mode, best, validation):
    assert run_monitored(values, mode=mode, validation=validation).best_epoch == best


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("min_delta", [0.0, 0.25])
def test_rule_is_that_of_the_simulation_for_random_walks(mode, min_delta):
    for seed in range(20):
        steps = np.random.default_rng(seed).normal(size=20).astype(np.float32)
        walk = np.where(steps > 1.5, np.float32(NAN), steps.cumsum())
        result = run_monitored(walk, mode=mode, min_delta=min_delta, patience=3)
        assert (len(result.history["epoch"]), result.best_epoch) == simulate(
            walk, mode, 3, min_delta
        )


def test_without_a_finite_value_the_last_parameters_come_back():
    assert float(run_monitored([NAN] * 5, mode="min").params["epoch"]) == 5


def test_epochs_of_nan_use_up_patience():
    result = run_monitored([1, NAN, NAN, NAN, 0], mode="min", patience=2)
    assert result.stopped_by == "patience"
    assert len(result.history["epoch"]) == 3


SMALL_STEPS = [2, 1.5, 1, 0.9, 0.95]


@pytest.mark.parametrize("min_delta", [0.0, 0.25, 2.0])
def test_the_best_value_is_kept_however_small_the_improvement(min_delta):
    result = run_monitored(SMALL_STEPS, mode="min", min_delta=min_delta, patience=4)
    assert result.best_epoch == 3
    # Each epoch raises it by 1.
    assert float(result.params["epoch"]) == 4


@pytest.mark.parametrize(("min_delta", "ran"), [(0.0, 5), (0.25, 5), (1.0, 3), (2.0, 3)])
def test_patience_counts_from_the_last_improvement_above_min_delta(min_delta, ran):
    result = run_monitored(SMALL_STEPS, mode="min", min_delta=min_delta, patience=2)
    assert len(result.history["epoch"]) == ran


def test_many_small_improvements_count_once_they_exceed_min_delta_together():
    creeping = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75]
    kept_going = run_monitored(creeping, mode="min", min_delta=0.125, patience=3)
    stopped = run_monitored(creeping, mode="min", min_delta=0.125, patience=2)
    assert (len(kept_going.history["epoch"]), len(stopped.history["epoch"])) == (6, 3)


def test_a_run_of_no_more_epochs_than_patience_never_stops_early():
    assert run_monitored([1, 2, 3], mode="min", patience=3).stopped_by == "epochs"


@pytest.mark.bad_input
def test_min_delta_needs_patience():
    with pytest.raises(ValueError, match=r"min_delta=0\.1 has an effect with patience only"):
        run_monitored([1, 2], mode="min", min_delta=0.1)


@pytest.mark.parametrize("first", [2, 3, 4])
def test_what_patience_counted_is_resumed(tmp_path, first):
    settings = {"mode": "min", "min_delta": 0.25, "patience": 3}
    whole = run_monitored([2, 1.9, 1.8, 1.7, 1.6, 1.9, 1.9, 1.9], **settings)
    run_monitored(
        [2, 1.9, 1.8, 1.7, 1.6, 1.9, 1.9, 1.9], **settings, epochs=first, checkpoint=tmp_path
    )
    resumed = run_monitored(
        [2, 1.9, 1.8, 1.7, 1.6, 1.9, 1.9, 1.9], **settings, checkpoint=tmp_path, resume=True
    )
    assert len(resumed.history["epoch"]) == len(whole.history["epoch"]) == 7
    assert resumed.best_epoch == whole.best_epoch == 4
    assert_same(resumed.params, whole.params)


def test_a_checkpoint_from_before_patience_counted_for_itself_is_refused(tmp_path, monkeypatch):
    settings = {"mode": "min", "patience": 3, "checkpoint": tmp_path}
    run_monitored([2, 1.5, 1], epochs=2, **settings)
    # Such a checkpoint has the setting, and no array of what was counted.
    monkeypatch.setattr("jaxmlp.fitting.run_files.check_settings", lambda *_: None)
    original = jaxmlp.fitting.run_files.check_counted
    monkeypatch.setattr(
        "jaxmlp.fitting.run_files.check_counted",
        lambda path, _, names: original(path, {"min_delta": 0.1}, names),
    )
    with pytest.raises(ValueError, match=r"taken by a version in which min_delta chose the best"):
        run_monitored([2, 1.5, 1], min_delta=0.1, resume=True, **settings)


@pytest.mark.parametrize("average", [{"ema_decay": 0.9}, {"swa_start": 1}])
def test_averages_go_on_after_a_resume(tmp_path, average):
    settings = LINEAR | average | {"validation": VALIDATION, "driver": "epoch"}
    whole = fit(epochs=5, **settings)
    fit(epochs=2, checkpoint=tmp_path, **settings)
    resumed = fit(epochs=5, checkpoint=tmp_path, resume=True, **settings)
    assert_same(resumed.params, whole.params)


def test_patience_is_not_used_up_by_improvements():
    result = run_monitored([5, 4, 3, 2, 1], mode="min", patience=1)
    assert result.stopped_by == "epochs"
