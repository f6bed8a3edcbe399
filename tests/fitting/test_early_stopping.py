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
    best, best_epoch = np.float32(np.inf if mode == "min" else -np.inf), -1
    for epoch, value in enumerate(values):
        change = best - value if mode == "min" else value - best
        if np.isfinite(value) and change > min_delta:
            best, best_epoch = value, epoch
        if epoch - best_epoch >= patience:
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


@pytest.mark.parametrize(("min_delta", "best"), [(0.0, 3), (0.25, 2), (0.5, 2), (2.0, 0)])
def test_an_improvement_exceeds_min_delta_from_the_best_so_far(min_delta, best):
    result = run_monitored([2, 1.5, 1, 0.9, 0.95], mode="min", min_delta=min_delta)
    assert result.best_epoch == best


def test_patience_is_not_used_up_by_improvements():
    result = run_monitored([5, 4, 3, 2, 1], mode="min", patience=1)
    assert result.stopped_by == "epochs"
