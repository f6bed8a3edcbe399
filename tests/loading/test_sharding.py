"""Tests of batches over several devices and processes: together they are those of one process."""

import functools
import itertools
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from fits import KEY, LINEAR, fit
from mesh_jobs import run_script
from processes import Rows, make_loader, run

import jaxmlp
from jaxmlp import DataLoader


@functools.cache
def run_processes(count, devices):
    """What each of `count` processes with `devices` devices got of each of their layouts."""
    script = Path(__file__).parents[1] / "processes.py"
    jobs = [layout[2:] for layout in LAYOUTS.values() if layout[:2] == (count, devices)]
    printed = run_script(script, count, jobs, timeout=120, JAX_NUM_CPU_DEVICES=str(devices))
    return list(zip(*printed, strict=True))


# Processes, devices of each, axes of the mesh and rows of a chunk.
LAYOUTS = {
    "8 devices": (1, 8, [8]),
    "2 processes": (2, 1, [2]),
    "2 processes and a stream": (2, 1, [2], 6),
    "2 processes of 4 devices": (2, 4, [4, 2]),
    "4 processes": (4, 1, [4]),
    # Two processes hold each row.
    "4 processes in pairs": (4, 1, [2, 2]),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def outcome(request):
    layout = LAYOUTS[request.param]
    place = layout[:2]
    alike = [name for name, other in LAYOUTS.items() if other[:2] == place]
    return layout, run_processes(*place)[alike.index(request.param)]


@pytest.fixture(scope="module")
def alone(outcome):
    chunk_rows = outcome[0][3] if len(outcome[0]) > 3 else None
    loader = make_loader(Rows(chunk_rows))
    return loader, list(loader.epoch(0)), run((1,), chunk_rows)


class TestProcesses:
    @pytest.mark.parametrize("name", ["x", "weight"])
    def test_their_parts_together_are_the_batches_of_one(self, outcome, alone, name):
        for step, batch in enumerate(alone[1]):
            parts = {}
            for process in outcome[1]:
                parts |= {int(start): rows for start, rows in process[name][step].items()}
            together = np.concatenate([parts[start] for start in sorted(parts)])
            np.testing.assert_array_equal(together.astype(np.float32), getattr(batch, name))

    def test_each_reads_the_rows_that_its_devices_hold(self, outcome, alone):
        (count, devices, axes, *_), processes = outcome
        index = alone[0].index(0)
        parts, size = -(-devices // int(np.prod(axes[1:]))), 8 // axes[0]
        assert parts == max(1, axes[0] // count)
        for process in processes:
            expected = []
            for numbers, held in zip(index, process["x"], strict=True):
                assert len(held) == parts
                rows = np.where(numbers < 0, ~numbers, numbers)
                for start in sorted(map(int, held)):
                    expected += rows[start : start + size].tolist()
            asked = list(itertools.chain.from_iterable(process["asked"]))
            # A stream reads the rows of a window in the order of the file.
            is_stream = alone[0].window_chunks is not None
            assert (sorted(asked) if is_stream else asked) == (
                sorted(expected) if is_stream else expected
            )

    def test_batches_are_global(self, outcome):
        for process in outcome[1]:
            assert process["shapes"] == [[8, 3]] * 7

    def test_training_gives_the_losses_of_one(self, outcome, alone):
        for process in outcome[1]:
            # Sums over rows in another order.
            np.testing.assert_allclose(process["losses"], alone[2]["losses"], rtol=1e-5)

    def test_the_state_is_that_of_one(self, outcome, alone):
        for process in outcome[1]:
            assert process["state"] == alone[2]["state"]
            alone[0].load_state_dict(process["state"])


def sharding_of(*spec, shape=(2,), names=("data",), kind=jax.sharding.AxisType.Auto):
    types = (kind,) * len(shape)
    mesh = jax.make_mesh(shape, names, axis_types=types)
    return jax.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))


def test_rows_in_memory_are_sharded_too_and_fit_takes_them():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 4)).astype(np.float32), generator.integers(0, 3, 50)
    settings = {"batch_size": 10, "shuffle": True}
    loader = DataLoader(x, y, sharding=sharding_of("data"), **settings)
    batch = next(loader.epoch(0))
    assert batch.x.sharding.shard_shape((10, 4)) == (5, 4)
    ours, expected = (
        fit(loader, driver="auto", **LINEAR),
        fit(DataLoader(x, y, **settings), **LINEAR),
    )
    # Sums over rows in another order, over 25 steps.
    np.testing.assert_allclose(
        ours.params.output.kernel, expected.params.output.kernel, rtol=1e-4, atol=1e-5
    )


def test_validation_takes_all_rows_of_a_sharded_loader():
    x, y = np.random.default_rng(0).normal(size=(50, 4)), np.arange(50) % 3
    loader = DataLoader(x, y, batch_size=10, sharding=sharding_of("data"))
    ours, expected = (
        fit(validation=validation, epochs=1, **LINEAR) for validation in (loader, (x, y))
    )
    assert ours.history["validation_loss"] == expected.history["validation_loss"]


def test_a_sharded_batch_is_whole():
    loader = DataLoader(np.eye(9), batch_size=4, sharding=sharding_of("data"))
    with pytest.raises(ValueError, match=r"index must name the 4 rows of a batch, .*; got 3"):
        loader.read(np.arange(3))


@pytest.mark.parametrize(
    ("sharding", "batch_size"),
    [(sharding_of("data"), 7), (sharding_of(None, "data"), 8)],
    ids=["remainder", "columns"],
)
def test_parts_must_be_equal_and_of_rows(sharding, batch_size):
    message = f"leading axis alone, into equal parts; got batch_size={batch_size} and"
    with pytest.raises(ValueError, match=re.escape(message)):
        DataLoader(np.eye(9), batch_size=batch_size, sharding=sharding)


@pytest.mark.bad_input
def test_it_must_be_a_sharding():
    with pytest.raises(TypeError, match=r"sharding must be a jax.sharding.Sharding, such as"):
        DataLoader(np.eye(9), batch_size=3, sharding="data")


GENERATOR = np.random.default_rng(0)
ROWS = GENERATOR.normal(size=(50, 4)).astype(np.float32), GENERATOR.integers(0, 3, 50)
EXPLICIT = functools.partial(sharding_of, kind=jax.sharding.AxisType.Explicit)


def fit_over(sharding, params=LINEAR["params"], **settings):
    loader = DataLoader(*ROWS, batch_size=10, shuffle=True, sharding=sharding)
    return fit(loader, driver="auto", **LINEAR | {"params": params}, **settings)


@pytest.fixture(scope="module")
def on_one():
    return fit_over(None)


def assert_close(ours, expected):
    # Sums over rows in another order, over 25 steps.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, ours.params, expected.params)


class TestExplicitAxes:
    """Such as `jax.make_mesh` makes of its own accord."""

    def test_fit_gives_what_one_device_gives(self, on_one):
        sharding = jax.NamedSharding(jax.make_mesh((2,), ("data",)), jax.P("data"))
        assert_close(fit_over(sharding), on_one)

    @pytest.mark.parametrize("sharding", [EXPLICIT("data"), sharding_of("data"), None])
    def test_params_may_lie_there(self, on_one, sharding):
        params = jax.device_put(LINEAR["params"], EXPLICIT())
        assert_close(fit_over(sharding, params), on_one)

    def test_params_stay_spread(self):
        params = jax.device_put(LINEAR["params"].output.kernel, EXPLICIT("data"))
        params = LINEAR["params"]._replace(output=LINEAR["params"].output._replace(kernel=params))
        trained = fit_over(EXPLICIT("data"), params).params.output.kernel
        assert trained.sharding.shard_shape((4, 3)) == (2, 3)

    def test_all_settings_work_there(self):
        settings = {"validation": ROWS, "patience": 2, "ema_decay": 0.9, "nonfinite": "skip"}
        settings |= {"accumulate_steps": 5}
        assert_close(fit_over(EXPLICIT("data"), **settings), fit_over(None, **settings))

    def test_the_mesh_may_be_set(self, on_one):
        sharding = EXPLICIT("data")
        with jax.set_mesh(sharding.mesh):
            assert_close(fit_over(sharding), on_one)

    def test_a_run_is_resumed_there(self, tmp_path):
        fit_over(EXPLICIT("data"), epochs=2, checkpoint=tmp_path)
        resumed = fit_over(EXPLICIT("data"), checkpoint=tmp_path, resume=True)
        assert_close(resumed, fit_over(EXPLICIT("data")))

    def test_steps_by_hand_give_what_one_device_gives(self):
        losses = []
        for sharding in (EXPLICIT("data"), None):
            step = jaxmlp.make_train_step(LINEAR["loss_fn"], LINEAR["optimizer"])
            state = jaxmlp.init_state(LINEAR["params"], LINEAR["optimizer"], key=KEY)
            losses.append([])
            for batch in DataLoader(*ROWS, batch_size=10, sharding=sharding):
                state, metrics = step(state, batch)
                losses[-1].append(float(metrics["loss"]))
        np.testing.assert_allclose(*losses, rtol=1e-5)
