"""Tests that `fit_members` refuses what it cannot do, and what would do nothing."""

import re

import jax
import numpy as np
import optax
import pytest
from fits import LINEAR_CONFIG, ROWS, VALIDATION, X, Y, make_loader

import jaxmlp

KEYS = jax.random.split(jax.random.key(0), 2)
LOSS = jaxmlp.make_loss(LINEAR_CONFIG, jaxmlp.losses.softmax_cross_entropy)
SGD = optax.sgd(0.1)
WEIGHTS = np.ones((2, ROWS), np.float32)


def init(key):
    return jaxmlp.init_params(LINEAR_CONFIG, key=key)


def make_sgd(h):
    return optax.sgd(h["learning_rate"])


def fit_members(**settings):
    settings = {
        "loss": LOSS,
        "optimizer": SGD,
        "params": init,
        "data": make_loader(),
        "epochs": 1,
        "keys": KEYS,
    } | settings
    return jaxmlp.fit_members(**settings)


def with_entry(array, value):
    changed = array.copy()
    changed[1, 0] = value
    return changed


def memory_mapped(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


RATES = {"learning_rate": [0.1, 0.2]}
CASES = {
    "loss is no function": (
        {"loss": 1},
        TypeError,
        "loss must be make_loss(hyperparameters) or loss_fn(params, batch, key); got 1",
    ),
    "loss takes two": (
        {"loss": lambda params, batch: (params, batch)},
        TypeError,
        "told apart by the number of arguments",
    ),
    "loss takes any": ({"loss": lambda *arguments: arguments}, TypeError, "Wrap it in a lambda"),
    "optimizer is a number": (
        {"optimizer": 0.1},
        TypeError,
        "optimizer must be an optax optimizer or make_optimizer(hyperparameters); got 0.1",
    ),
    "make_optimizer returns a number": (
        {"optimizer": lambda h: h["learning_rate"], "hyperparameters": RATES},
        TypeError,
        "make_optimizer must return an optax optimizer",
    ),
    "make_loss returns a number": (
        {"loss": lambda h: h["learning_rate"], "hyperparameters": RATES},
        TypeError,
        "make_loss must return a loss function",
    ),
    "params of another number": (
        {"params": init(KEYS[0])},
        ValueError,
        "params must have a leading axis of 2 members, as many as keys; got shape (4, 3)",
    ),
    "data is no loader": ({"data": (X, Y)}, TypeError, "data must be a DataLoader"),
    "one key": (
        {"keys": KEYS[0]},
        TypeError,
        "keys must hold one typed JAX random key per member, shape (members,); got keys of shape",
    ),
    "raw keys": ({"keys": np.zeros((2, 2))}, TypeError, "one typed JAX random key per member"),
    "no keys": ({"keys": KEYS[:0]}, ValueError, "keys must hold at least one key"),
    "hyperparameters are no dict": (
        {"hyperparameters": [1, 2]},
        TypeError,
        "hyperparameters must be a dict of one value per member by name; got a list",
    ),
    "too few hyperparameters": (
        {"optimizer": make_sgd, "hyperparameters": {"learning_rate": [0.1]}},
        ValueError,
        "hyperparameters['learning_rate'] must have one value for each of 2 members; got 1",
    ),
    "one hyperparameter for all": (
        {"optimizer": make_sgd, "hyperparameters": {"learning_rate": 0.1}},
        TypeError,
        "hyperparameters['learning_rate'] must be an array or a list with one value per member",
    ),
    "scalar array": (
        {"optimizer": make_sgd, "hyperparameters": {"learning_rate": np.array(0.1)}},
        ValueError,
        "must have one value per member; got a scalar",
    ),
    "hyperparameter is NaN": (
        {"optimizer": make_sgd, "hyperparameters": {"learning_rate": [0.1, np.nan]}},
        ValueError,
        "hyperparameters['learning_rate'] must be finite",
    ),
    "hyperparameter is a list": (
        {"optimizer": make_sgd, "hyperparameters": {"learning_rate": [[1], [2]]}},
        TypeError,
        "must hold numbers, or values that can be hashed",
    ),
    "hyperparameters without function": (
        {"hyperparameters": RATES},
        ValueError,
        "hyperparameters ['learning_rate'] have no effect, since neither loss nor optimizer",
    ),
    "function without hyperparameters": (
        {"optimizer": make_sgd},
        ValueError,
        "a function of hyperparameters needs hyperparameters",
    ),
    "hyperparameter that is not read": (
        {"optimizer": make_sgd, "hyperparameters": {**RATES, "momentum": [0.1, 0.2]}},
        ValueError,
        "hyperparameters ['momentum'] have no effect, since no function reads them",
    ),
    "hyperparameter that is not there": (
        {"optimizer": make_sgd, "hyperparameters": {"rate": [0.1, 0.2]}},
        KeyError,
        "no hyperparameter 'learning_rate'; there are ['rate']",
    ),
    "seeds without shuffling": (
        {"data": make_loader(shuffle=False, seed=0), "seeds": [0, 1]},
        ValueError,
        "data does not shuffle by a seed",
    ),
    "too few seeds": ({"seeds": [0]}, ValueError, "seeds must have one number per member"),
    "negative seed": ({"seeds": [0, -1]}, ValueError, "seeds[1] must be an int of at least 0"),
    "fractional seed": ({"seeds": [0.5, 1.0]}, TypeError, "seeds[0] must be an int"),
    "weights of other rows": (
        {"row_weights": WEIGHTS[:, 1:]},
        ValueError,
        f"row_weights must have a weight for each member and row, shape (2, {ROWS}); got (2, 49)",
    ),
    "weights of text": (
        {"row_weights": np.full((2, ROWS), "a")},
        TypeError,
        "row_weights must be numbers",
    ),
    "negative weight": (
        {"row_weights": with_entry(WEIGHTS, -1)},
        ValueError,
        "row_weights must be finite and at least 0, in float32; got -1.0 for member 1, row 0",
    ),
    "one stage": (
        {"stages": 1, "keep": lambda *_: np.ones(2, bool)},
        TypeError,
        "stages must be a list or tuple of epochs; got 1",
    ),
    "member without rows": (
        {"row_weights": WEIGHTS * np.array([[1], [0]])},
        ValueError,
        "row_weights must leave every member a row; members [1] have none",
    ),
    "validation weights alone": (
        {"validation_weights": WEIGHTS},
        ValueError,
        "validation_weights needs validation rows; give validation",
    ),
    "validation rows alone": (
        {"validation_rows": [[0], [1]]},
        ValueError,
        "validation_rows needs validation rows; give validation",
    ),
    "validation rows by a mask": (
        {"validation": VALIDATION, "validation_rows": np.ones((2, 2), bool)},
        TypeError,
        "validation_rows must be numbers of rows; got an array of bool",
    ),
    "validation rows for one": (
        {"validation": VALIDATION, "validation_rows": [[0]]},
        ValueError,
        "validation_rows must have numbers of rows for each member, shape (2, chosen); got (1, 1)",
    ),
    "validation rows beyond": (
        {"validation": VALIDATION, "validation_rows": [[0, 1], [-1, 0]]},
        ValueError,
        "validation_rows must be in [0, ",
    ),
    "weights of other validation rows": (
        {
            "validation": VALIDATION,
            "validation_rows": [[0, 1], [1, 0]],
            "validation_weights": np.ones((2, 1)),
        },
        ValueError,
        "validation_weights must have a weight for each member and row, shape (2, 2); got (2, 1)",
    ),
    "validation weights of no batch": (
        {"validation": {"x": X}, "validation_weights": WEIGHTS},
        TypeError,
        "validation must be (x, y), (x, y, weight), a jaxmlp.Batch or a DataLoader",
    ),
    "raising": (
        {"nonfinite": "raise"},
        ValueError,
        "nonfinite must be 'skip' or 'stop', since the other members go on; got 'raise'",
    ),
    "no epochs": ({"epochs": 0}, ValueError, "epochs must be an int of at least 1; got 0"),
    "late average": ({"swa_start": 1}, ValueError, "swa_start must be below epochs"),
    "patience 0": ({"patience": 0}, ValueError, "patience must be an int of at least 1"),
    "no mode": ({"monitor": "accuracy"}, ValueError, "mode must be 'min' or 'max'"),
    "unknown monitor": (
        {"monitor": "acuracy", "mode": "max", "validation": VALIDATION},
        ValueError,
        "monitor must be a metric that loss_fn returns",
    ),
    "unknown strategy": (
        {"strategy": "pmap"},
        ValueError,
        "strategy must be one of 'auto', 'vmap', 'map', 'shard'; got 'pmap'",
    ),
    "vmap of some": (
        {"strategy": "vmap", "members_at_once": 2},
        ValueError,
        "members_at_once is a setting of strategy='map'",
    ),
    "vmap in threads": (
        {"strategy": "vmap", "threads": 2},
        ValueError,
        "threads is a setting of strategy='map'",
    ),
    "threads beside devices": (
        {"strategy": "shard", "threads": 2},
        ValueError,
        "threads is a setting of strategy='map'; with strategy='shard'",
    ),
    "no thread": ({"threads": 0}, ValueError, "threads must be an int of at least 1; got 0"),
    "none at once": (
        {"members_at_once": 0},
        ValueError,
        "members_at_once must be an int of at least 1",
    ),
    "no memory": ({"memory": 0}, ValueError, "memory must be an int of at least 1; got 0"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused(name):
    settings, error, message = CASES[name]
    with pytest.raises(error, match=re.escape(message)):
        fit_members(**settings)


def test_rows_on_disk_are_refused(tmp_path):
    loader = jaxmlp.DataLoader(memory_mapped(tmp_path), Y, batch_size=10)
    if loader.rows is None:
        with pytest.raises(ValueError, match="data must have dense rows in memory"):
            fit_members(data=loader)


@pytest.mark.parametrize("value", [2**31, 2**70, 1e39, -np.inf])
def test_a_hyperparameter_that_jax_would_change_is_refused(value):
    with pytest.raises(ValueError, match="fit into JAX's numbers"):
        fit_members(optimizer=make_sgd, hyperparameters={"learning_rate": [1, value]})


@pytest.mark.parametrize(
    ("value", "message"), [(1e39, "at least 0, in float32"), (1e-60, "leave every member a row")]
)
def test_weights_are_checked_as_they_are_used(value, message):
    weights = np.where(np.arange(2)[:, None] == 1, value, np.ones((2, ROWS)))
    with pytest.raises(ValueError, match=message):
        fit_members(row_weights=weights)


def test_resume_without_checkpoint_is_refused_before_anything_is_compiled():
    def never(_params, _batch, _key):
        raise AssertionError

    with pytest.raises(ValueError, match="resume must be"):
        fit_members(loss=never, resume=True)


def test_seeds_in_a_list_may_take_all_their_64_bits():
    seeds = [2**64 - 1, 0]
    same = fit_members(seeds=np.array(seeds, np.uint64))
    np.testing.assert_array_equal(fit_members(seeds=seeds).history["loss"], same.history["loss"])
