"""Tests of loaders of rows of which each process holds its own part."""

import json

import jax
import numpy as np
import pytest
from fits import LINEAR, fit

import jaxmlp
from jaxmlp import DataLoader
from jaxmlp.loading import permutation, row_parts

X = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
Y = np.arange(20) % 3


def sharding_of(devices=2):
    return jax.NamedSharding(jax.make_mesh((devices,), ("data",)), jax.P("data"))


def make_loader(x=X, y=Y, devices=2, **settings):
    settings = {"batch_size": 8, "sharding": sharding_of(devices), "process_local": True} | settings
    return DataLoader(x, y, **settings)


class Meeting:
    """Stands for processes whose rows are told here; this process is the first."""

    def __init__(self, **others):
        self.others = others

    def together(self, what, function):
        assert what == "all processes to make the loader"
        own = function()
        return {0: own} | {
            number: own | other for number, other in enumerate(self.others.values(), 1)
        }


@pytest.fixture
def second_process(monkeypatch):
    """Has the second device belong to a second process, which tells what it is given here."""

    def tell(**form):
        monkeypatch.setattr(row_parts, "_owners", lambda *_: [0, 1])
        monkeypatch.setattr(row_parts, "processes_of", lambda _: Meeting(second=form))

    return tell


def test_each_part_of_a_batch_is_drawn_from_its_own_rows():
    loader = make_loader(shuffle=True, seed=5)
    orders = [permutation(10, seed=5, epoch=2, stream=part) + 10 * part for part in (0, 1)]
    index = loader.index(2)
    assert index.shape == (3, 8)
    for part, order in enumerate(orders):
        drawn = index[:, 4 * part : 4 * part + 4].ravel()
        np.testing.assert_array_equal(drawn, [*order, ~order[-1], ~order[-1]])


def test_without_shuffle_parts_are_visited_in_order():
    assert make_loader().index(0)[:2].tolist() == [
        [0, 1, 2, 3, 10, 11, 12, 13],
        [4, 5, 6, 7, 14, 15, 16, 17],
    ]


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_comes_once_in_every_epoch(shuffle):
    loader = make_loader(X[:19], Y[:19], shuffle=shuffle)
    assert sorted(loader.order(1)) == [*range(19)]


def test_one_part_has_the_order_of_a_loader_without():
    loaders = [make_loader(devices=1, shuffle=True, process_local=local) for local in (False, True)]
    np.testing.assert_array_equal(*(loader.index(3) for loader in loaders))


def test_batches_are_the_rows_of_the_index():
    loader = make_loader(shuffle=True)
    for batch, numbers in zip(loader, loader.index(0), strict=True):
        rows = np.where(numbers < 0, ~numbers, numbers)
        np.testing.assert_array_equal(batch.x, X[rows])
        np.testing.assert_array_equal(batch.weight, numbers >= 0)


def test_rows_of_others_are_counted_but_not_read(second_process):
    second_process(rows=30)
    loader = make_loader(shuffle=True)
    assert loader.parts.lengths.tolist() == [20, 30]
    assert (len(loader), len(loader.source)) == (8, 20)
    assert sorted(loader.order(0)) == [*range(50)]
    own = loader.index(0)[:, :4]
    assert sorted(own[own >= 0]) == [*range(20)]
    # The first process's part is over before the second's.
    assert (own[5:] < 0).all()
    with pytest.raises(ValueError, match=r"rows of this process, in \[0, 20\); got rows in \[0, "):
        loader.read(np.array([0, 1, 2, 3, 20, 21, 22, 23]))


def test_batches_that_any_part_does_not_fill_are_dropped(second_process):
    second_process(rows=30)
    loader = make_loader(shuffle=True, drop_last=True)
    assert len(loader) == 5
    assert (loader.index(0) >= 0).all()


def test_the_state_tells_the_rows_of_the_parts(second_process):
    second_process(rows=30)
    state = json.loads(json.dumps(make_loader().state_dict()))
    assert state["settings"]["rows"] == 50
    second_process(rows=31)
    with pytest.raises(ValueError, match=r"rows_of_parts=\[20, 30\], now \[20, 31\]"):
        make_loader().load_state_dict(state)


def test_an_iteration_goes_on_where_it_stood():
    loader, other = make_loader(shuffle=True), make_loader(shuffle=True)
    batches = iter(loader)
    next(batches)
    other.load_state_dict(loader.state_dict())
    np.testing.assert_array_equal(next(iter(other)).x, next(batches).x)


def test_it_is_shown():
    assert repr(make_loader()).endswith("batch_size=8, process_local=True)")


ERRORS = {
    "no sharding": ({"sharding": None}, r"process_local=True needs sharding, which says"),
    "a sampler": ({"sampler": [1, 2]}, r"sampler chooses among all rows, .* shuffle=True"),
    "a batch sampler": (
        {"batch_sampler": [[1, 2]], "batch_size": None},
        r"batch_sampler chooses among all rows",
    ),
    "windows": ({"window_chunks": 2}, r"window_chunks=2 has no effect"),
    "fewer rows than parts": (
        {"x": X[:1], "y": Y[:1]},
        r"a row for each of the 2 parts .* numbers of rows by process are \{0: 1\}",
    ),
    "no batch": (
        {"x": X[:9], "y": Y[:9], "batch_size": 10, "drop_last": True},
        r"the shortest part has 4 rows, of which a batch takes 5",
    ),
    "a batch that cannot be cut": ({"batch_size": 7}, r"into equal parts; got batch_size=7"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_does_not_fit_is_refused(case):
    settings, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        make_loader(**settings)


def test_rows_that_are_streamed_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    source = jaxmlp.sources.npy(tmp_path / "x.npy")
    message = r"is for rows in memory; these come from a .*Source. Leave it out, and give all"
    with pytest.raises(ValueError, match=message):
        make_loader(source, None)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            {"types and shapes of a row": [["['x']", "float32", 3]]},
            r"types and shapes of a row: .*'float32', 3.* in process 1, and .*'float32', 4.* in",
        ),
        ({"columns": {"x": ["b", "a"]}}, r"columns: \{'x': \['b', 'a'\]\} in process 1, and \{\}"),
        (
            {"scale of weights, as an exponent of 2": 140},
            r"scale of weights, as an exponent of 2: 140 in process 1, and 0 in process 0",
        ),
    ],
)
def test_rows_of_another_form_are_refused(second_process, form, message):
    second_process(rows=20, **form)
    with pytest.raises(ValueError, match=message):
        make_loader()


def test_scaled_weights_are_told():
    loader = make_loader(weight=np.full(20, 1e200))
    assert row_parts._form_of(loader.source)["scale of weights, as an exponent of 2"] > 500


class Device:
    """A device of some process."""

    def __init__(self, process_index):
        self.process_index = process_index


class Cut(jax.sharding.Sharding):
    """Cuts a batch into two parts, over devices of these processes."""

    def __init__(self, *processes):
        self.processes = processes

    def shard_shape(self, shape):
        return (shape[0] // 2,)

    def devices_indices_map(self, shape):
        half = shape[0] // 2
        parts = [slice(None, half), slice(half, None)] * (len(self.processes) // 2)
        devices = map(Device, self.processes)
        return {device: (part,) for device, part in zip(devices, parts, strict=True)}


def test_processes_may_not_share_a_part():
    assert row_parts._owners(Cut(0, 1, 0, 1), 8) == [0, 1]
    with pytest.raises(ValueError, match=r"devices of one process; processes \[0, 1\] share part"):
        row_parts._owners(Cut(0, 0, 1, 1), 8)


def test_a_process_needs_a_device(monkeypatch):
    monkeypatch.setattr(row_parts, "_owners", lambda *_: [1, 2])
    with pytest.raises(ValueError, match=r"process 0 has none"):
        make_loader()


def validate(loader):
    fit(DataLoader(X, Y, batch_size=8), validation=loader, epochs=1, **LINEAR)


def evaluate(loader):
    jaxmlp.evaluate(LINEAR["loss_fn"], LINEAR["params"], loader)


@pytest.mark.parametrize("use", [validate, evaluate])
def test_rows_to_evaluate_on_must_be_whole(second_process, use):
    second_process(rows=30)
    loader = make_loader()
    message = r"must be held by every process; got a loader of process_local rows, 20 of 50"
    with pytest.raises(ValueError, match=message):
        use(loader)
