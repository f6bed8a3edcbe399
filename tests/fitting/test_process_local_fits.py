"""Tests of rows of which each process holds its own: the fit of one over a stated order of all."""

import jax
import numpy as np
import pytest
from compiled_text import collectives_of
from fits import LINEAR, assert_same, fit
from mesh_fits import DRIVERS, VALIDATION, WEIGHT, X, Y, make_sharding, run_case, shown
from mesh_jobs import run_processes

import jaxmlp
from jaxmlp.fitting import drivers
from jaxmlp.fitting.layouts import place_parts
from jaxmlp.loading import on_all

# Each with the case of one process that has the same order.
JOBS = [
    *((driver, "own rows", "stated order") for driver in DRIVERS[1:]),
    ("epochs", "own rows, no short batch", "stated order, no short batch"),
    ("chunk", "own sparse rows", "stated order"),
]


@pytest.fixture(scope="module")
def two():
    return run_processes(2, 1, [[own, [2], "Explicit", driver] for driver, own, _ in JOBS])


@pytest.fixture(scope="module")
def one():
    sharding = make_sharding([2])
    return [shown(run_case(stated, sharding, driver)) for driver, _, stated in JOBS]


@pytest.mark.parametrize("job", range(len(JOBS)), ids=lambda i: " ".join(JOBS[i][:2]))
def test_two_processes_give_the_bits_of_one_over_the_same_order(two, one, job):
    assert two[0][job] == two[1][job] == one[job]


@pytest.mark.slow
def test_devices_of_a_process_share_its_rows_as_further_processes_do():
    # Halves and quarters of 48 rows are parts of the same four.
    jobs = [["own rows by quarters", [4], "Auto", driver] for driver in ("chunk", "epochs")]
    two, four = run_processes(2, 2, jobs), run_processes(4, 1, jobs)
    assert two[0] == four[0]


def make_loader(shape=(2,), kind="Explicit", **settings):
    settings = {"batch_size": 16, "shuffle": True, "seed": 3, "process_local": True} | settings
    return jaxmlp.DataLoader(X, Y, WEIGHT, sharding=make_sharding(shape, kind), **settings)


def run(driver="epoch", shape=(2,), kind="Explicit", **settings):
    return fit(make_loader(shape, kind), driver=driver, epochs=3, **LINEAR, **settings)


@pytest.mark.parametrize("driver", DRIVERS)
def test_one_device_gives_what_it_gives_without(driver):
    plain = fit(make_loader((1,), process_local=False), driver=driver, epochs=3, **LINEAR)
    assert_same(run(driver, (1,)).state, plain.state)


def test_no_driver_shows_in_the_bits():
    first, *others = (run(driver, validation=VALIDATION) for driver in DRIVERS)
    for other in others:
        assert_same(other.state, first.state)


def test_rows_in_blocks_give_the_same_bits(monkeypatch):
    whole = run("chunk")
    monkeypatch.setattr(drivers, "_WHOLE_BYTES", 100)
    assert drivers.go_in_blocks(make_loader())
    assert_same(run("chunk").state, whole.state)


def test_rows_are_counted_by_what_a_device_holds(monkeypatch):
    # 25 rows of 4 float32 inputs, an int32 label and a weight, and all 50 weights.
    monkeypatch.setattr(drivers, "_WHOLE_BYTES", 25 * 24 + 50 * 4)
    assert not drivers.go_in_blocks(make_loader())
    monkeypatch.setattr(drivers, "_WHOLE_BYTES", 25 * 24 + 50 * 4 - 1)
    assert drivers.go_in_blocks(make_loader())


def test_kinds_of_axes_do_not_show_in_the_bits():
    assert_same(run(kind="Explicit").state, run(kind="Auto").state)


@pytest.mark.parametrize("driver", ["epoch", "chunk"])
def test_devices_meet_once_per_step(driver, monkeypatch):
    found = collectives_of(monkeypatch, lambda: run(driver))
    assert found == ["all-reduce"]


def placed(loader):
    return place_parts(loader, on_all(loader.sharding))


def test_each_device_holds_the_rows_of_its_part_alone():
    rows = placed(make_loader())
    for shard in rows.x.addressable_shards:
        part = shard.index[0].start
        np.testing.assert_array_equal(shard.data[0], X[25 * part : 25 * (part + 1)])
    assert rows.weight.is_fully_replicated


def test_a_part_that_is_shorter_is_filled_up_where_no_batch_looks():
    loader = jaxmlp.DataLoader(
        X[:49], Y[:49], batch_size=16, sharding=make_sharding((2,)), process_local=True
    )
    rows = placed(loader)
    assert loader.parts.lengths.tolist() == [24, 25]
    assert rows.x.shape == (2, 25, 4)
    places = loader.parts.places(loader.index(0))
    first, second = (np.sort(part[part >= 0]) for part in (places[:, :8], places[:, 8:]))
    assert first.tolist() == [*range(24)]
    assert second.tolist() == [*range(25)]


@pytest.mark.parametrize("driver", ["step", "chunk", "epoch"])
def test_a_row_that_is_not_finite_is_named(driver):
    x = X.copy()
    x[37] = np.nan
    settings = {"batch_size": 16, "sharding": make_sharding((2,)), "check_finite": False}
    loader = jaxmlp.DataLoader(x, Y, process_local=True, **settings)
    with pytest.raises(jaxmlp.NonFiniteError, match=r"the batch itself is not finite in x") as met:
        fit(loader, driver=driver, epochs=1, **LINEAR)
    assert met.value.step == 1
    np.testing.assert_array_equal(met.value.rows, [*range(8, 16), *range(33, 41)])


@pytest.mark.parametrize("driver", ["step", "chunk", "epoch"])
def test_a_run_is_resumed_bit_for_bit(tmp_path, driver):
    fit(make_loader(), driver=driver, epochs=2, checkpoint=tmp_path, **LINEAR)
    resumed = run(driver, checkpoint=tmp_path, resume=True)
    assert_same(resumed.state, run(driver).state)


def test_a_run_is_not_resumed_over_another_number_of_parts(tmp_path):
    run(checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"rows_of_parts=\[25, 25\], now \[50\]"):
        run(shape=(1,), checkpoint=tmp_path, resume=True)


def test_layers_may_be_cut_over_the_devices_of_a_process():
    mesh = make_sharding((1, 2)).mesh
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=(8, 8), out_features=3)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    settings = {"loss_fn": jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)}
    settings |= {"optimizer": LINEAR["optimizer"], "epochs": 2}
    whole = fit(make_loader((1,)), params=params, **settings)
    cut = jax.device_put(params, jaxmlp.param_shardings(config, mesh))
    spread = fit(make_loader((1, 2)), params=cut, **settings)
    assert not spread.params.hidden[0].kernel.is_fully_replicated
    # Sums in another order, over 8 steps.
    for one, other in zip(*map(jax.tree.leaves, (whole.params, spread.params)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
