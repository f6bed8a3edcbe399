"""Tests that members are the same whoever trains them, and what is sent to workers."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fits import LINEAR_CONFIG, ROWS, X, Y, make_loader
from sweeps import EPOCHS, KEYS, MEMBERS, RATES, Here, assert_same_members, fit_members, init

import jaxmlp
from jaxmlp.ensembles import fold_weights, workers

TRAINING, FOLDS = fold_weights(ROWS, MEMBERS, seed=0)


def make_init(h, key):
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=h["hidden"], out_features=3)
    return jaxmlp.init_params(config, key=key)


def make_loss(h):
    config = jaxmlp.MLPConfig(in_features=4, hidden_features=h["hidden"], out_features=3)
    return jaxmlp.make_loss(config, jaxmlp.losses.softmax_cross_entropy)


def log_of_bias(params, batch, key):
    del batch, key
    return jnp.log(params.output.bias[0] + 0.1), {}


def keep_better_half(epochs, history):
    loss = history["loss"][:, epochs - 1]
    return loss <= np.nanmedian(loss)


OPTIONS = {
    "usual": {},
    "patience": {"patience": 1, "min_delta": 0.01, "epochs": 12},
    "an average of steps": {"ema_decay": 0.5},
    "an average of epochs": {"swa_start": 1},
    "micro-batches": {"accumulate_steps": 2},
    "folds": {"row_weights": TRAINING, "validation": make_loader(), "validation_weights": FOLDS},
    "a transform": {"data": make_loader(transform=lambda batch: batch._replace(x=batch.x / 2))},
    "one order for all": {"seeds": None},
    "no validation": {"validation": None},
    "members that meet NaN": {
        "loss": log_of_bias,
        "optimizer": lambda h: optax.sgd(h["learning_rate"] / 10),
    },
    "stages": {"stages": (1, 3), "keep": keep_better_half},
    "several architectures": {
        "loss": make_loss,
        "params": make_init,
        "hyperparameters": {
            "learning_rate": RATES,
            "hidden": [(2,), (3,), (2,), (3,), (2,), (2,), (3,)],
        },
    },
    "keys of another kind": {
        "keys": jax.random.split(jax.random.key(2, impl="rbg"), MEMBERS),
        "members_at_once": None,
    },
    "parameters that are there": {"params": jax.vmap(init)(KEYS)},
}

# Each option compiles programs of its own.
LONG = {
    *("an average of steps", "an average of epochs", "micro-batches", "a transform"),
    *("one order for all", "no validation", "keys of another kind"),
}


@pytest.mark.filterwarnings("ignore:.*met NaN:RuntimeWarning")
@pytest.mark.parametrize(
    "option",
    [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in OPTIONS],
)
def test_members_are_those_of_a_sweep_without_executor(option):
    settings = OPTIONS[option]
    executor = Here()
    found = fit_members(executor, **settings)
    assert_same_members(found, fit_members(**settings))
    assert len(executor.members) >= MEMBERS


@pytest.mark.long
@pytest.mark.usefixtures("x64")
def test_workers_compute_in_64_bits_where_the_caller_does():
    found = fit_members(Here(), data=make_loader(X.astype(np.float64)))
    assert_same_members(found, fit_members(data=make_loader(X.astype(np.float64))))


@pytest.mark.parametrize("at_once", [3, pytest.param(7, marks=pytest.mark.long)])
def test_members_computed_together_are_the_same_in_any_order(at_once):
    once = {"members_at_once": at_once, "members_per_piece": at_once}
    found = fit_members(Here(), **once)
    with ThreadPoolExecutor(3) as pool:
        assert_same_members(fit_members(pool, **once), found)
    loss = found.history["loss"]
    # Up to rounding they are those that are computed alone.
    np.testing.assert_allclose(loss, fit_members().history["loss"], rtol=1e-5)


def test_pieces_do_not_depend_on_the_number_of_cores(monkeypatch):
    members = []
    for cores in (1, 64):
        monkeypatch.setattr("jaxmlp.ensembles.parallelism.count_cores", lambda cores=cores: cores)
        executor = Here()
        fit_members(executor, members_at_once=2)
        members.append(executor.members)
    assert members[0] == members[1] == [[0, 1], [2, 3], [4, 5], [6]]


def test_members_per_piece_is_rounded_up_to_those_at_once():
    executor = Here()
    fit_members(executor, members_at_once=2, members_per_piece=3)
    assert executor.members == [[0, 1, 2, 3], [4, 5, 6]]


def test_what_pieces_share_is_sent_to_a_worker_once(monkeypatch):
    monkeypatch.setattr(workers, "_sweeps", type(workers._sweeps)())
    executor = Here()
    fit_members(executor, stages=(1, 2), keep=lambda *_: np.ones(MEMBERS, bool))
    assert len(executor.members) == 3 * MEMBERS
    assert executor.carried == 1


def test_a_worker_that_forgot_the_rows_is_sent_them_again(monkeypatch):
    class Forgetful(Here):
        """Whose worker starts anew before its fourth piece."""

        def answer(self, function, arguments, piece):
            if len(self.members) == 3:
                workers._sweeps.clear()
            return super().answer(function, arguments, piece)

    monkeypatch.setattr(workers, "_sweeps", type(workers._sweeps)())
    executor = Forgetful()
    assert_same_members(fit_members(executor), fit_members())
    assert executor.carried > 1


def test_functions_of_no_module_are_sent():
    config, scale, rate = LINEAR_CONFIG, jnp.float32(0.5), jax.random.key(3)

    def loss_fn(params, batch, key):
        del key
        draw = jax.random.uniform(rate)
        losses = jaxmlp.losses.softmax_cross_entropy(
            jaxmlp.apply(params, batch.x, config=config), batch.y
        )
        return scale * draw * jaxmlp.weighted_mean(losses, batch.weight), {}

    settings = {"loss": loss_fn, "optimizer": lambda h: optax.sgd(h["learning_rate"])}
    assert_same_members(fit_members(Here(), **settings), fit_members(**settings))


def test_a_search_finds_the_same():
    def search(**settings):
        return jaxmlp.search(
            jaxmlp.make_loss(LINEAR_CONFIG, jaxmlp.losses.softmax_cross_entropy),
            lambda h: optax.adam(h["learning_rate"]),
            init,
            make_loader(X, Y, None),
            candidates={"learning_rate": RATES.tolist()},
            folds=2,
            epochs=EPOCHS,
            key=jax.random.key(0),
            halving=jaxmlp.ensembles.Halving(first_epochs=1),
            members_at_once=1,
            **settings,
        )

    executor = Here()
    found, alone = search(executor=executor), search()
    assert_same_members(found.members, alone.members)
    assert found.best == alone.best
    jax.tree.map(np.testing.assert_array_equal, found.params, alone.params)
    # The last one is the best candidate's, on all rows.
    assert executor.members[-1] == [0]
