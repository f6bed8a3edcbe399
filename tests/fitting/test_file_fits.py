"""Tests of `fit` over rows in files: the steps of the hand-written loop, whatever a call takes."""

import functools
import threading
import time

import jax
import numpy as np
import pytest
from fits import (
    KEY,
    LINEAR,
    MEAN_RTOL,
    WEIGHT,
    X,
    Y,
    assert_same,
    cut_calls,
    epoch_means,
    fit,
    train_by_hand,
)

import jaxmlp
from jaxmlp import sources
from jaxmlp.fitting import drivers

# Five batches, the last one with 10 rows of padding, of four windows.
SETTINGS = {"batch_size": 12, "shuffle": True, "seed": 3}


def write_npy(folder, x=X):
    for name, array in {"x": x, "y": Y, "weight": WEIGHT}.items():
        np.save(folder / f"{name}.npy", array)
    paths = {name: folder / f"{name}.npy" for name in ("x", "y", "weight")}
    return sources.npy(**paths, chunk_rows=7)


def write_parquet(folder, x=X):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"weight": WEIGHT, "y": Y} | {f"x{i}": x[:, i] for i in range(x.shape[1])})
    pq.write_table(table, folder / "rows.parquet", row_group_size=7)
    return sources.parquet(folder / "rows.parquet", y="y", weight="weight", chunk_rows=7)


WRITERS = {"npy": write_npy, "parquet": write_parquet}


def make(source, **settings):
    return jaxmlp.DataLoader(source, **SETTINGS | {"window_chunks": 2} | settings)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "jaxmlp.read_ahead"]


@pytest.fixture(params=WRITERS)
def source(request, tmp_path):
    return WRITERS[request.param](tmp_path)


@pytest.fixture
def arrays(tmp_path):
    return write_npy(tmp_path)


CALLS = {"step": None, "blocks of 1": 1, "blocks of 2": 2, "blocks of an epoch": 100}


def fit_by(calls, monkeypatch, loader, **settings):
    if CALLS[calls] is None:
        return fit(loader, driver="step", **settings)
    cut_calls(monkeypatch, chunk=CALLS[calls])
    return fit(loader, driver="chunk", **settings)


@pytest.mark.parametrize("calls", CALLS)
def test_every_driver_gives_the_state_of_the_hand_written_loop(source, calls, monkeypatch):
    states, logs = train_by_hand(make(source))
    result = fit_by(calls, monkeypatch, make(source))
    assert_same(result.state, states[-1])
    expected = epoch_means(logs, "accuracy")
    np.testing.assert_allclose(result.history["accuracy"], expected, rtol=MEAN_RTOL)


@pytest.mark.parametrize("calls", ["step", "blocks of 2"])
@pytest.mark.parametrize(
    "settings", [{"drop_last": True}, {"shuffle": False, "seed": 0}, {"sampler": range(0, 50, 2)}]
)
def test_settings_of_the_loader_hold_in_every_driver(arrays, calls, settings, monkeypatch):
    if "sampler" in settings:
        settings = settings | {"shuffle": False, "seed": 0, "window_chunks": None}
    expected = train_by_hand(make(arrays, **settings), **LINEAR)[0][-1]
    assert_same(fit_by(calls, monkeypatch, make(arrays, **settings), **LINEAR).state, expected)


def test_auto_takes_blocks_and_is_the_loop(source):
    loader = make(source)
    assert drivers.choose_driver(LINEAR["params"], loader, each_epoch=True) == "chunk"
    expected = train_by_hand(make(source), **LINEAR)[0][-1]
    assert_same(fit(loader, driver="auto", **LINEAR).state, expected)


def test_the_transform_runs_in_the_program_and_is_traced_once(tmp_path, monkeypatch):
    traces = []

    def transform(batch):
        traces.append(batch)
        return batch._replace(x=batch.x * 2)

    # A doubling is exact.
    expected = train_by_hand(make(write_npy(tmp_path, 2 * X)), **LINEAR)[0][-1]
    loader = make(write_npy(tmp_path), transform=transform)
    assert_same(fit_by("blocks of 2", monkeypatch, loader, **LINEAR).state, expected)
    assert len(traces) == 1


def run_calls(loader, state, unfinished):
    run = drivers.Run(LINEAR["loss_fn"], LINEAR["optimizer"], jaxmlp.fitting.Plan(), 3, None)
    if state is None:
        train = jaxmlp.init_state(LINEAR["params"], LINEAR["optimizer"], key=KEY)
        state = jaxmlp.fitting.init_fit_state(train, run.plan, validated=False)
    looks = drivers.Looks(False, lambda _: 3)
    return list(drivers.run_loader("chunk", run, state, loader, unfinished, looks))


def test_a_run_goes_on_after_any_block_as_if_it_had_not_stopped(arrays, monkeypatch):
    cut_calls(monkeypatch, chunk=2)
    whole = run_calls(make(arrays), None, {})
    assert [len(call.unfinished.get("loss", ())) for call in whole[:4]] == [2, 4, 0, 2]
    for call in whole[:-1]:
        # In blocks of another size, and so at any step.
        cut_calls(monkeypatch, chunk=3)
        rest = run_calls(make(arrays), call.after, call.unfinished)
        assert_same(rest[-1].after, whole[-1].after)
        assert_same(rest[-1].metrics["loss"], whole[-1].metrics["loss"])


@pytest.mark.parametrize("calls", CALLS)
def test_a_bad_step_is_named_with_its_rows_and_leaves_no_thread(tmp_path, calls, monkeypatch):
    x = X.copy()
    x[31, 2] = np.nan
    loader = make(write_npy(tmp_path, x), check_finite=False)
    (step,) = np.flatnonzero((loader.index(0) == 31).any(axis=1))
    with pytest.raises(jaxmlp.NonFiniteError, match="batch itself is not finite in x") as caught:
        fit_by(calls, monkeypatch, loader, **LINEAR)
    assert caught.value.step == step
    rows = loader.index(0)[step]
    np.testing.assert_array_equal(caught.value.rows, rows[rows >= 0])
    assert not threads()


def test_rows_that_are_not_finite_are_refused_as_they_are_read(tmp_path):
    x = X.copy()
    x[31, 2] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite; got nan at index \(31, 2\)") as caught:
        fit(make(write_npy(tmp_path, x)), driver="auto", **LINEAR)
    assert caught.traceback[-1].name != "fit"
    assert not threads()


class StopError(Exception):
    pass


def raise_stop(*_):
    raise StopError


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("calls", CALLS)
class TestThreads:
    @pytest.mark.parametrize(
        ("settings", "stopped_by"),
        [
            ({}, "epochs"),
            ({"on_epoch": lambda *_: True}, "callback"),
            ({"on_epoch": interrupt}, "interrupt"),
            ({"patience": 1, "min_delta": 100.0}, "patience"),
        ],
        ids=["whole", "callback", "interrupt", "patience"],
    )
    def test_none_is_left(self, arrays, calls, settings, stopped_by, monkeypatch):
        result = fit_by(calls, monkeypatch, make(arrays), **LINEAR, **settings)
        assert result.stopped_by == stopped_by
        assert not threads()

    def test_none_is_left_by_an_error_that_is_kept(self, arrays, calls, monkeypatch):
        with pytest.raises(StopError) as caught:
            fit_by(calls, monkeypatch, make(arrays), **LINEAR, on_epoch=raise_stop)
        assert caught.value.__traceback__ is not None
        assert not threads()


class Counting:
    """The rows of a source, which counts the windows that it was asked for."""

    def __init__(self, source):
        self.source, self.chunks, self.reads = source, source.chunks, 0
        self.fingerprint = source.fingerprint

    def __len__(self):
        return len(self.source)

    def read(self, rows):
        self.reads += 1
        return self.source.read(rows)


def test_the_next_epoch_is_read_ahead(arrays, monkeypatch):
    source = Counting(arrays)
    windows = -(-(len(arrays.chunks) - 1) // 2)
    ahead = []

    def note(*_):
        deadline = time.monotonic() + 10
        while source.reads <= windows and time.monotonic() < deadline:
            time.sleep(0.001)
        ahead.append(source.reads)
        return True

    fit_by("blocks of 1", monkeypatch, make(source), **LINEAR, on_epoch=note)
    # Two more: one is used up to its first block, and one is read meanwhile.
    assert windows < ahead[0] <= windows + 2


def test_a_sampler_is_asked_for_an_epoch_when_that_begins(arrays):
    asked, ended = [], []

    class Half:
        def __len__(self):
            return 25

        def order(self, epoch):
            asked.append((epoch, len(ended)))
            return np.arange(0, 50, 2)

    loader = make(arrays, sampler=Half(), shuffle=False, seed=0, window_chunks=None)
    fit(loader, driver="chunk", **LINEAR, on_epoch=lambda *_: ended.append(0))
    assert all(epoch == epochs_before for epoch, epochs_before in asked)
    assert len(asked) > 1


def test_a_file_that_changes_during_fit_is_named(arrays, tmp_path):
    def shorten(*_):
        np.save(tmp_path / "x.npy", X[:40])

    with pytest.raises(ValueError, match="must not change while it is read"):
        fit(make(arrays), driver="auto", **LINEAR, on_epoch=shorten)
    assert not threads()


@pytest.mark.parametrize("driver", ["epoch", "epochs"])
def test_epochs_in_one_call_need_rows_on_the_device(arrays, driver):
    message = f"driver='{driver}' needs dense rows in memory, .*: use driver='chunk' or 'auto'"
    with pytest.raises(ValueError, match=message):
        fit(make(arrays), driver=driver, **LINEAR)


@pytest.mark.parametrize("driver", ["step", "chunk"])
def test_files_go_to_several_devices(arrays, driver):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    fitted = functools.partial(fit, epochs=2, **LINEAR)
    ours = fitted(make(arrays, sharding=sharding), driver=driver)
    # Sums over rows in another order, over 10 steps.
    np.testing.assert_allclose(
        ours.params.output.kernel,
        fitted(make(arrays), driver="auto").params.output.kernel,
        rtol=1e-4,
        atol=1e-5,
    )
    assert not threads()


def test_a_map_of_a_file_is_read_and_not_copied(arrays, tmp_path):
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("x", "y"))
    for targets in (y, Y):
        loader = jaxmlp.DataLoader(x, targets, WEIGHT, **SETTINGS)
        assert loader.source.chunks is not None
        plain = jaxmlp.DataLoader(arrays, **SETTINGS, window_chunks=100)
        # One window holds all rows; its order depends on the number of chunks.
        np.testing.assert_array_equal(np.sort(loader.order(0)), np.sort(plain.order(0)))
        for batch, index in zip(loader, loader.index(0), strict=True):
            rows = np.where(index < 0, ~index, index)
            np.testing.assert_array_equal(batch.x, X[rows])
            np.testing.assert_array_equal(batch.y, Y[rows])
            np.testing.assert_array_equal(batch.weight, np.where(index < 0, 0, WEIGHT[rows]))


def test_a_map_that_can_be_written_to_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(TypeError, match=r"cannot be written to, .* got mode 'r\+'"):
        jaxmlp.DataLoader(np.load(tmp_path / "x.npy", mmap_mode="r+"), batch_size=2)
