"""What the library returns, raises and takes survives pickle, copy and pools of processes."""

import concurrent.futures
import copy
import functools
import multiprocessing
import pickle
import traceback

import jax
import numpy as np
import optax
import pytest
from fits import KEY, LINEAR, LINEAR_CONFIG, PARAMS, ROWS, WEIGHT, X, Y, assert_same, fit
from interruptions import assert_same_result

import jaxmlp
from jaxmlp import storage
from jaxmlp.ensembles.executors import BrokenSweepError
from jaxmlp.fitting.cache_directories import UnsafeDirectoryError
from jaxmlp.fitting.code_contents import NoKeyError
from jaxmlp.storage import headers
from jaxmlp.storage.regular_files import IrregularFileError

COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "old pickle": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


def diverge(rate):
    """Raises in a process of its own."""
    return fit(**LINEAR | {"optimizer": optax.sgd(rate)}, epochs=3).history["loss"]


def halve(batch):
    return batch._replace(x=batch.x / 2)


@functools.cache
def nonfinite_error():
    with pytest.raises(jaxmlp.NonFiniteError) as caught:
        diverge(1e38)
    return caught.value


OTHER_ERRORS = [
    *(
        kind("damaged")
        for kind in (
            jaxmlp.CheckpointError,
            headers.NewerFormatError,
            headers.MismatchError,
            headers.TooLargeError,
            NoKeyError,
            UnsafeDirectoryError,
            BrokenSweepError,
        )
    ),
    IrregularFileError(22, "it is a link"),
]


class TestErrors:
    def test_a_nonfinite_error_keeps_all_that_it_tells(self, copied):
        error = nonfinite_error()
        error.add_note("in the third fold")
        again = copied(error)
        assert type(again) is jaxmlp.NonFiniteError
        assert str(again) == str(error)
        assert again.step == error.step
        np.testing.assert_array_equal(again.rows, error.rows)
        assert_same(again.result.params, error.result.params)
        assert_same(again.result.state, error.result.state)
        assert again.result.stopped_by == "nonfinite"
        assert again.__notes__ == error.__notes__

    def test_one_without_rows_or_result_too(self, copied):
        again = copied(jaxmlp.NonFiniteError("step 3", step=3, rows=None))
        assert (again.step, again.rows, again.result) == (3, None, None)

    def test_a_subclass_of_it_too(self, copied):
        again = copied(StrangeError("step 3", step=3, rows=None))
        assert type(again) is StrangeError

    @pytest.mark.parametrize("error", OTHER_ERRORS, ids=lambda error: type(error).__name__)
    def test_every_other_error_of_the_package_keeps_its_kind_and_text(self, error, copied):
        again = copied(error)
        assert type(again) is type(error)
        assert (again.args, str(again)) == (error.args, str(error))

    def test_these_are_all_errors_of_the_package(self):
        def below(kind):
            return {kind} | {one for child in kind.__subclasses__() for one in below(child)}

        ours = {one for one in below(Exception) if one.__module__.startswith("jaxmlp.")}
        tested = {jaxmlp.NonFiniteError} | {type(error) for error in OTHER_ERRORS}
        assert ours == tested

    def test_an_error_in_a_pool_of_processes_comes_back(self):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            error = pool.submit(diverge, 1e38).exception(timeout=300)
        assert type(error) is jaxmlp.NonFiniteError, "".join(traceback.format_exception(error))
        assert_same(error.result.params, nonfinite_error().result.params)


class StrangeError(jaxmlp.NonFiniteError):
    """A user's own kind."""


class TestResults:
    def test_a_result_keeps_every_number(self, copied):
        result = fit(**LINEAR, epochs=2)
        again = copied(result)
        assert type(again) is jaxmlp.FitResult
        assert_same_result(again, result)

    @pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
    def test_a_state_keeps_its_key(self, copied, impl):
        key = jax.random.key(3, impl=impl)
        state = jaxmlp.init_state(PARAMS, optax.adam(0.1), key=key)
        assert_same(copied(state), state)
        assert jax.random.key_impl(copied(state).key) == jax.random.key_impl(key)

    def test_a_result_of_members_keeps_every_number(self, copied):
        result = jaxmlp.fit_members(
            LINEAR["loss_fn"],
            LINEAR["optimizer"],
            lambda key: jaxmlp.init_params(LINEAR_CONFIG, key=key),
            jaxmlp.DataLoader(X, Y, batch_size=25),
            epochs=1,
            keys=jax.random.split(KEY, 2),
        )
        again = copied(result)
        assert type(again) is type(result)
        assert_same(again.member(1), result.member(1))
        assert_same(again.history, result.history)

    def test_a_result_of_a_search_keeps_its_table(self, copied):
        result = jaxmlp.search(
            LINEAR["loss_fn"],
            lambda h: optax.sgd(h["learning_rate"]),
            lambda key: jaxmlp.init_params(LINEAR_CONFIG, key=key),
            jaxmlp.DataLoader(X, Y, batch_size=25),
            candidates={"learning_rate": [0.1, 0.2]},
            folds=2,
            epochs=1,
            key=KEY,
        )
        again = copied(result)
        assert again.best_settings == result.best_settings
        assert_same(again.params, result.params)


class TestSettings:
    @pytest.mark.parametrize(
        "value",
        [
            LINEAR_CONFIG,
            jaxmlp.MLPConfig(
                in_features=2, hidden_features=(3,), out_features=1, activation="gelu"
            ),
            storage.Checkpoints(directory="somewhere", seconds=3.0),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_settings_stay_equal(self, value, copied):
        assert copied(value) == value
        assert hash(copied(value)) == hash(value)


def memory(path):
    del path
    return jaxmlp.DataLoader(X, Y, WEIGHT, batch_size=12, shuffle=True)


def transformed(path):
    del path
    return jaxmlp.DataLoader(X, Y, WEIGHT, batch_size=12, shuffle=True, transform=halve)


def weighted(path):
    del path
    sampler = jaxmlp.WeightedSampler(WEIGHT, seed=1)
    return jaxmlp.DataLoader(X, Y, batch_size=12, sampler=sampler)


def stratified(path):
    del path
    sampler = jaxmlp.StratifiedSampler(Y, seed=1)
    return jaxmlp.DataLoader(X, Y, batch_size=12, sampler=sampler)


def frames(path):
    del path
    pandas = pytest.importorskip("pandas")
    return jaxmlp.DataLoader(pandas.DataFrame(X, columns=list("abcd")), Y, batch_size=12)


class Examples:
    """A dataset of a user."""

    def __len__(self):
        return ROWS

    def __getitem__(self, row):
        return X[row], Y[row]


def examples(path):
    del path
    return jaxmlp.DataLoader(Examples(), batch_size=12)


def npy(path):
    np.save(path / "x.npy", X)
    np.save(path / "y.npy", Y)
    source = jaxmlp.sources.npy(path / "x.npy", path / "y.npy", chunk_rows=7)
    return jaxmlp.DataLoader(source, batch_size=12, shuffle=True, window_chunks=2)


def parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    columns = {**{name: X[:, i] for i, name in enumerate("abcd")}, "y": Y}
    pyarrow.parquet.write_table(pyarrow.table(columns), path / "a.parquet", row_group_size=7)
    source = jaxmlp.sources.parquet(path / "a.parquet", x=list("abcd"), y="y")
    return jaxmlp.DataLoader(source, batch_size=12, shuffle=True, window_chunks=2)


def csv(path):
    lines = [",".join(map(str, [*row, y])) for row, y in zip(X, Y, strict=True)]
    (path / "a.csv").write_text("\n".join(["a,b,c,d,y", *lines]) + "\n")
    source = jaxmlp.sources.csv(path / "a.csv", x=list("abcd"), y="y")
    return jaxmlp.DataLoader(source, batch_size=12, shuffle=True)


LOADERS = (memory, transformed, weighted, stratified, frames, examples, npy, parquet, csv)


@pytest.mark.parametrize("make", LOADERS, ids=lambda make: make.__name__)
class TestLoaders:
    def test_a_copy_gives_the_same_batches_and_goes_on_by_itself(self, make, copied, tmp_path):
        loader = make(tmp_path)
        next(iter(loader))  # a reader is at work, and memory of windows is kept
        again = copied(loader)
        assert len(again) == len(loader)
        assert again.state_dict() == loader.state_dict()
        for epoch in (0, 3):
            assert_same(list(again.epoch(epoch)), list(loader.epoch(epoch)))

    def test_a_pickle_holds_no_rows_that_were_read(self, make, tmp_path):
        loader = make(tmp_path)
        fresh = len(pickle.dumps(loader))
        list(loader)
        list(loader.blocks(0, batches=2))
        # Positions and hashes are a few numbers.
        assert len(pickle.dumps(loader)) < fresh + 500


def count_rows(loader):
    return sum(float((batch.weight > 0).sum()) for batch in loader)


def test_another_process_reads_what_a_loader_reads(tmp_path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        for make in (transformed, npy):
            assert pool.submit(count_rows, make(tmp_path)).result(timeout=300) == ROWS


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_sharding_whose_devices_are_this_process_s_is_copied(copied):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    loader = jaxmlp.DataLoader(X, Y, batch_size=12, sharding=sharding)
    assert_same(list(copied(loader)), list(loader))


def test_a_transform_without_a_name_is_told_by_pickle():
    loader = jaxmlp.DataLoader(X, Y, batch_size=12, transform=lambda batch: batch)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(loader)
