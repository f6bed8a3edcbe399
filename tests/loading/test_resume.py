"""Tests of exact resume: a loader that goes on gives the batches that were left, bit for bit."""

import itertools
import json

import jax
import numpy as np
import pytest

from jaxmlp import Batch, DataLoader, StratifiedSampler, WeightedSampler

X = np.arange(200, dtype=np.float32).reshape(100, 2)
Y = np.arange(100) % 3


class Counted:
    """Rows that tell which were read."""

    chunks = None

    def __init__(self, rows):
        self.rows, self.asked = rows, []

    def __len__(self):
        return self.rows

    def read(self, rows):
        self.asked.append(len(rows))
        return Batch(rows.astype(np.float32)[:, None])

    def fingerprint(self):
        return str(self.rows)


def make_loader(rows=100, **settings):
    seed = 5 if settings.get("shuffle", True) else 0
    return DataLoader(
        X[:rows], Y[:rows], **{"batch_size": 7, "shuffle": True, "seed": seed} | settings
    )


def through_json(state):
    return json.loads(json.dumps(state))


def resumed(loader, state):
    loader.load_state_dict(through_json(state))
    return loader


def take(loader, count):
    """The next `count` batches, over as many epochs as it takes."""
    epochs = itertools.chain.from_iterable(loader for _ in itertools.count())
    return list(itertools.islice(epochs, count))


def assert_same(a, b):
    for one, other in zip(a, b, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


class Stream(Counted):
    """Rows in chunks of five."""

    def __init__(self, rows):
        super().__init__(rows)
        self.chunks = np.append(np.arange(0, rows, 5), rows)


def make_stream(rows=100, **settings):
    seed = 5 if settings.get("shuffle", True) else 0
    fixed = {"batch_size": 7, "shuffle": True, "seed": seed, "window_chunks": 3}
    return DataLoader(Stream(rows), **fixed | settings)


# The matrix of torchdata's test_state_dict.py, and the ends of epochs.
@pytest.mark.parametrize("resumes", [1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 100])
@pytest.mark.parametrize("rows", [1, 14, 100])
@pytest.mark.parametrize("make", [make_loader, make_stream])
def test_a_resumed_run_is_the_uninterrupted_one(make, rows, batch_size, shuffle, resumes):
    settings = {"batch_size": batch_size, "shuffle": shuffle}
    steps = len(make(rows, **settings))
    for interrupt in sorted({0, 1, steps - 1, steps, steps + 1, 10, 2 * steps}):
        expected = take(make(rows, **settings), interrupt * resumes + 2 * steps)
        loader, seen = make(rows, **settings), []
        for _ in range(resumes):
            seen += take(loader, interrupt)
            loader = resumed(make(rows, **settings), loader.state_dict())
        assert_same(seen + take(loader, 2 * steps), expected)


def test_windows_that_were_seen_are_not_read_again():
    loader = make_stream()
    take(loader, 7)
    other = make_stream()
    list(resumed(other, loader.state_dict()))
    # 49 rows are gone, of windows of 15; the last row pads 5 places.
    assert other.source.asked == [11, 15, 15, 10 + 5]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda: make_stream(window_chunks=4), "window_chunks=3, now 4. Resume with the settings"),
        (lambda: DataLoader(Counted(100), batch_size=7, shuffle=True, seed=5), "The order of epo"),
        (lambda: make_stream(seed=6), "seed=5, now 6"),
    ],
)
def test_another_stream_is_refused(changed, message):
    state = make_stream().state_dict()
    with pytest.raises(ValueError, match=message):
        changed().load_state_dict(state)


def test_other_chunks_are_refused():
    state, other = make_stream().state_dict(), Stream(100)
    other.chunks = np.array([0, 50, 100])
    loader = DataLoader(other, batch_size=7, shuffle=True, seed=5, window_chunks=3)
    with pytest.raises(ValueError, match=r"order of epoch 0 has changed .* or the chunks"):
        loader.load_state_dict(state)


def test_the_state_is_absolute():
    loader = make_loader()
    take(loader, 2 * len(loader) + 4)
    state = loader.state_dict()
    assert (state["epoch"], state["step"]) == (2, 4)
    resumed_state = resumed(make_loader(), state).state_dict()
    assert resumed_state == state


def test_the_end_of_an_epoch_is_the_start_of_the_next():
    loader = make_loader()
    iterator = iter(loader)
    for _ in range(len(loader)):
        next(iterator)
    before = loader.state_dict()
    assert not list(iterator)
    assert before == loader.state_dict()
    assert (before["epoch"], before["step"]) == (1, 0)


def test_a_resumed_epoch_is_followed_by_whole_ones():
    loader = make_loader()
    take(loader, 4)
    other = resumed(make_loader(), loader.state_dict())
    assert [len(list(other)) for _ in range(3)] == [len(loader) - 4, len(loader), len(loader)]


def test_a_state_may_be_loaded_into_a_loader_that_was_used():
    loader, used = make_loader(), make_loader()
    take(loader, 4)
    take(used, 40)
    assert_same(take(resumed(used, loader.state_dict()), 5), take(make_loader(), 9)[4:])


def test_starting_an_epoch_is_a_position():
    loader = make_loader()
    next(iter(loader))
    iter(loader)
    assert (loader.state_dict()["epoch"], loader.state_dict()["step"]) == (1, 0)


def test_asking_for_an_epoch_does_not_move_the_position():
    loader = make_loader()
    list(loader.epoch(3))
    assert (loader.state_dict()["epoch"], loader.state_dict()["step"]) == (0, 0)


def test_batches_that_were_seen_are_not_read_again():
    loader = DataLoader(Counted(100), batch_size=10)
    take(loader, 7)
    other = DataLoader(Counted(100), batch_size=10)
    list(resumed(other, loader.state_dict()))
    assert other.source.asked == [10] * 3


SAMPLERS = {
    "weighted": lambda seed: WeightedSampler(1.0 + Y, seed=seed),
    "stratified": lambda seed: StratifiedSampler(Y, seed=seed),
    "list": lambda seed: np.random.default_rng(seed).permutation(100).tolist(),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_that_epochs_fix_resumes_exactly(name):
    make = lambda: DataLoader(X, Y, batch_size=7, sampler=SAMPLERS[name](3))  # noqa: E731
    loader = make()
    take(loader, 20)
    assert_same(take(resumed(make(), loader.state_dict()), 20), take(make(), 40)[20:])


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_sampler_is_refused(name):
    state = DataLoader(X, Y, batch_size=7, sampler=SAMPLERS[name](3)).state_dict()
    other = DataLoader(X, Y, batch_size=7, sampler=SAMPLERS[name](4))
    with pytest.raises(ValueError, match=r"The order of epoch 0 has changed .* sampler of then"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 8}, "batch_size=7, now 8. Resume with the settings of then"),
        ({"shuffle": False, "seed": 0}, "shuffle=True, now False"),
        ({"drop_last": True}, "drop_last=False, now True"),
        ({"seed": 6, "batch_size": 8}, "batch_size=7, now 8; seed=5, now 6"),
        ({"rows": 99}, "rows=100, now 99"),
    ],
)
def test_changed_settings_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        make_loader(**change).load_state_dict(make_loader().state_dict())


@pytest.mark.parametrize("name", ["x", "y", "weight"])
def test_changed_data_are_refused(name):
    arrays = {"x": X, "y": Y, "weight": np.ones(100, np.float32)}
    state = DataLoader(**arrays, batch_size=7).state_dict()
    arrays[name] = arrays[name].copy()
    arrays[name][41] += 1
    with pytest.raises(ValueError, match="The data have changed since the state was taken: their"):
        DataLoader(**arrays, batch_size=7).load_state_dict(state)


def test_the_fingerprint_tells_types_and_shapes_apart():
    arrays = [X, X.view(np.int32), X.reshape(100, 1, 2), {"a": X}, {"b": X}]
    assert len({DataLoader(a, batch_size=1).source.fingerprint() for a in arrays}) == 5


class Shuffled:
    """As PyTorch's samplers: another order whenever it is iterated."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def __len__(self):
        return 100

    def __iter__(self):
        return iter(self.generator.permutation(100).tolist())


def test_an_order_that_cannot_be_given_again_has_no_state():
    loader = DataLoader(X, Y, batch_size=7, sampler=Shuffled())
    with pytest.raises(TypeError, match=r"sampler is a Shuffled, iterated anew .*order\(epoch\)"):
        loader.state_dict()


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"version": 2}, ValueError, "state has version 2, and this jaxmlp reads version 1"),
        ({"epoch": -1}, ValueError, r"state\['epoch'\] must be an int of at least 0"),
        ({"step": 1.0}, TypeError, r"state\['step'\] must be an int of at least 0; got 1.0"),
        ({"step": 15}, ValueError, r"state\['step'\] must be below 15; got 15"),
    ],
)
def test_a_spoiled_state_is_refused(change, error, message):
    loader = make_loader()
    with pytest.raises(error, match=message):
        loader.load_state_dict(loader.state_dict() | change)


@pytest.mark.bad_input
@pytest.mark.parametrize("state", [None, {}, {"version": 1, "epoch": 0}])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(TypeError, match="state must be a dict that state_dict returned"):
        make_loader().load_state_dict(state)


def test_the_state_is_small():
    assert len(json.dumps(make_loader().state_dict())) < 400
