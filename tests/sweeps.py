"""A sweep that is small enough to be trained often, and executors that run its pieces here."""

from concurrent.futures import BrokenExecutor, Executor, Future

import cloudpickle
import jax
import numpy as np
import optax
from fits import LINEAR, LINEAR_CONFIG, VALIDATION, assert_same, make_loader

import jaxmlp

MEMBERS, EPOCHS = 7, 4
KEYS = jax.random.split(jax.random.key(2), MEMBERS)
RATES = np.geomspace(0.001, 1.0, MEMBERS).astype(np.float32)


def init(key):
    return jaxmlp.init_params(LINEAR_CONFIG, key=key)


def make_optimizer(h):
    return optax.adam(h["learning_rate"])


def fit_members(executor=None, **settings):
    settings = {
        "loss": LINEAR["loss_fn"],
        "optimizer": make_optimizer,
        "params": init,
        "data": make_loader(),
        "epochs": EPOCHS,
        "keys": KEYS,
        "seeds": np.arange(MEMBERS),
        "hyperparameters": {"learning_rate": RATES},
        "validation": VALIDATION,
        "members_at_once": 1,
    } | settings
    return jaxmlp.fit_members(**settings, executor=executor)


def assert_same_members(one, other):
    """Bit for bit, everything that a result holds."""
    for group, same in zip(one.groups, other.groups, strict=True):
        np.testing.assert_array_equal(group.numbers, same.numbers)
        assert_same(group.params, same.params)
        assert group.settings == same.settings
    assert list(one.history) == list(other.history)
    for name in ("history", "best_epoch", "best_value", "bad_step"):
        assert_same(getattr(one, name), getattr(other, name))
    assert one.stopped_by.tolist() == other.stopped_by.tolist()


class Here(Executor):
    """Runs a piece at once, in this process.

    `members` are those of every piece that was run, in order; `carried` counts those that came with
    what all pieces share.
    """

    def __init__(self):
        self.members, self.carried = [], 0

    def submit(self, function, *arguments):
        future = Future()
        *_, piece, shared = arguments
        self.carried += shared is not None
        try:
            future.set_result(self.answer(function, arguments, cloudpickle.loads(piece)))
        except BaseException as error:
            future.set_exception(error)
        return future

    def answer(self, function, arguments, piece):
        reply = function(*arguments)
        if reply.kind == "trained":
            self.members.append(piece.members.numbers.tolist())
        return reply


class Deadly(Here):
    """Of whose workers one dies whenever it is given one of these members, so often."""

    def __init__(self, *numbers, times=10**9):
        super().__init__()
        self.numbers, self.times, self.deaths = set(numbers), times, 0

    def answer(self, function, arguments, piece):
        if self.numbers & set(piece.members.numbers.tolist()) and self.deaths < self.times:
            self.deaths += 1
            raise BrokenExecutor("a worker died")
        return super().answer(function, arguments, piece)
