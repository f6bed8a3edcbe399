"""Tests that `fit` over several devices gives what one device gives, whatever it is asked to do."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiled_text import collectives_of
from fits import LINEAR, LINEAR_CONFIG, assert_same, fit
from mesh_fits import (
    ACCURACY,
    CASES,
    DRIVERS,
    LOSS,
    PARAMS,
    X,
    Y,
    alone,
    assert_close,
    make_sharding,
    run_case,
    shown,
)

import jaxmlp
from jaxmlp.fitting import drivers
from jaxmlp.fitting.layouts import spread_validation
from jaxmlp.loading import on_all

KINDS = ("Explicit", "Auto")
# Each case once with each kind of axes, by one driver after another.
ROTATED = [
    (name, driver, kind)
    for (name, kind), driver in zip(
        itertools.product(CASES, KINDS), itertools.cycle(DRIVERS), strict=False
    )
]
QUICK = ROTATED[::8]


def check(name, driver, kind, shape=(2,)):
    assert_close(shown(run_case(name, make_sharding(shape, kind), driver)), alone(name))


@pytest.mark.parametrize(("name", "driver", "kind"), QUICK)
def test_two_devices_give_what_one_gives(name, driver, kind):
    check(name, driver, kind)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "driver", "kind"), [case for case in ROTATED if case not in QUICK]
)
def test_two_devices_give_what_one_gives_in_every_case(name, driver, kind):
    check(name, driver, kind)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "driver"), [*itertools.product(CASES, DRIVERS)])
def test_two_devices_give_what_one_gives_by_every_driver(name, driver):
    check(name, driver, "Explicit")


def test_no_driver_shows_in_the_bits():
    sharding = make_sharding((2,))
    first, *others = (run_case("dropout and weights", sharding, driver) for driver in DRIVERS[1:])
    for other in others:
        assert_same(other.state, first.state)


def test_kinds_of_axes_do_not_show_in_the_bits():
    one, other = (run_case("small", make_sharding((2,), kind), "epochs") for kind in KINDS)
    assert_same(one.state, other.state)


@pytest.mark.parametrize("driver", ["epoch", "chunk"])
def test_devices_meet_once_per_step(driver, monkeypatch):
    sharding = make_sharding((2,))
    found = collectives_of(monkeypatch, lambda: run_case("small", sharding, driver, epochs=1))
    assert found == ["all-reduce"]


def test_many_rows_go_to_the_devices_in_blocks(monkeypatch):
    whole = run_case("small", make_sharding((2,)), "chunk")
    monkeypatch.setattr(drivers, "_WHOLE_BYTES", 100)
    cut = run_case("small", make_sharding((2,)), "auto")
    assert_same(cut.state, whole.state)


def test_the_state_lies_on_every_device():
    result = run_case("small", make_sharding((2,)))
    for leaf in jax.tree.leaves((result.params, result.state)):
        assert leaf.is_fully_replicated
        assert len(leaf.devices()) == 2


def test_a_state_goes_on_over_devices_as_in_one_run():
    sharding = make_sharding((2,))
    whole = run_case("small", sharding, "epoch")
    first = run_case("small", sharding, "epoch", epochs=2)
    more = {"params": None, "state": first.state, "epochs": 1}
    assert_same(run_case("small", sharding, "epoch", **more).state, whole.state)


@pytest.mark.parametrize("driver", ["step", "chunk", "epochs"])
def test_a_run_goes_on_over_other_devices(tmp_path, driver):
    keep = {"checkpoint": tmp_path, "validation": (X, Y)}
    run_case("small", make_sharding((2,)), driver, epochs=2, **keep)
    resumed = run_case("small", None, driver, **keep, resume=True)
    whole = run_case("small", None, driver, validation=(X, Y))
    assert_close(shown(resumed), shown(whole))


def test_a_run_over_devices_is_resumed_bit_for_bit(tmp_path):
    sharding = make_sharding((2,))
    run_case("small", sharding, "chunk", epochs=2, checkpoint=tmp_path)
    more = {"checkpoint": tmp_path, "resume": True}
    resumed = run_case("small", sharding, "epoch", **more)
    assert_same(resumed.state, run_case("small", sharding, "epoch").state)


@pytest.mark.parametrize(
    ("driver", "kind"), [("step", "Explicit"), ("chunk", "Auto"), ("epoch", "Explicit")]
)
def test_a_step_that_is_not_finite_is_named(driver, kind):
    with pytest.raises(jaxmlp.NonFiniteError, match=r"the batch itself is not finite in x") as one:
        run_case("bad row", None, driver, nonfinite="raise")
    with pytest.raises(jaxmlp.NonFiniteError, match=r"the batch itself is not finite in x") as two:
        run_case("bad row", make_sharding((2,), kind), driver, nonfinite="raise")
    assert two.value.step == one.value.step
    np.testing.assert_array_equal(two.value.rows, one.value.rows)


def test_labels_out_of_range_are_named():
    x = jaxmlp.DataLoader(X, Y + 1, batch_size=10, sharding=make_sharding((2,)))
    with pytest.raises(jaxmlp.NonFiniteError, match=r"the loss says: .* needs targets in"):
        fit(x, epochs=1, **LINEAR)


def test_rows_to_validate_on_are_cut_over_the_devices():
    sharding = make_sharding((2,))
    rows = jaxmlp.Batch(X[:21], Y[:21], np.ones(21, np.float32))
    spread, parts = spread_validation(LOSS, rows, sharding, on_all(sharding))
    assert parts == 2
    assert spread.x.sharding.shard_shape(spread.x.shape) == (11, 4)
    assert float(spread.weight.sum()) == 21


def test_many_rows_are_validated_block_by_block_where_they_lie():
    x = np.random.default_rng(1).normal(size=(20_000, 4)).astype(np.float32)
    y = np.arange(20_000) % 3
    config = LINEAR_CONFIG
    loss = jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy, metrics=ACCURACY)
    settings = {"loss_fn": loss, "epochs": 1, "validation": (x, y)}
    ours = run_case("small", make_sharding((2,)), **settings)
    expected = run_case("small", None, **settings)
    # Sums of 20,000 float32 numbers in another order.
    for name in ("validation_loss", "validation_accuracy"):
        np.testing.assert_allclose(ours.history[name], expected.history[name], rtol=1e-5)


def test_evaluate_takes_all_rows_of_a_sharded_loader():
    loader = jaxmlp.DataLoader(X, Y, batch_size=16, sharding=make_sharding((2,)))
    assert jaxmlp.evaluate(LOSS, PARAMS, loader) == jaxmlp.evaluate(LOSS, PARAMS, (X, Y))


def test_on_epoch_is_given_a_state_over_all_devices():
    seen = []
    run_case(
        "small",
        make_sharding((2,)),
        on_epoch=lambda state, metrics: seen.append((len(state.step.devices()), metrics["epoch"])),
    )
    assert seen == [(2, 0), (2, 1), (2, 2)]


def test_params_of_one_device_stay_usable():
    params = jax.tree.map(jnp.copy, LINEAR["params"])
    run_case("small", make_sharding((2,)), params=params)
    assert_same(params, LINEAR["params"])
