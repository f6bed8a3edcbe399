"""No parameter of a sweep is without an effect: each changes what is trained, or raises."""

import functools

import jax
import numpy as np
import optax
import pytest
from effects import BAD
from public_calls import CALLS, KEY, X, Y
from sweeps import Here
from test_no_ops import Raised, outcome

import jaxmlp
from jaxmlp.ensembles import Halving, fold_weights

CONFIG = jaxmlp.MLPConfig(in_features=2, out_features=2)
LOSS = jaxmlp.make_loss(CONFIG, jaxmlp.losses.softmax_cross_entropy)
OTHER_LOSS = jaxmlp.make_loss(
    CONFIG, functools.partial(jaxmlp.losses.softmax_cross_entropy, label_smoothing=0.3)
)
LOADER = jaxmlp.DataLoader(X, Y, batch_size=3, shuffle=True)
TRAINING, VALIDATION = fold_weights(6, 2, seed=0)
STEEP = {"optimizer": lambda h: optax.sgd(3 * h["rate"]), "epochs": 4, "validation": (X, Y)}
BASE = {
    "loss": LOSS,
    "optimizer": lambda h: optax.sgd(h["rate"]),
    "params": lambda key: jaxmlp.init_params(CONFIG, key=key),
    "data": LOADER,
    "epochs": 1,
    "strategy": "vmap",
}
MANY = BASE | {"keys": jax.random.split(KEY, 2), "hyperparameters": {"rate": [0.5, 1.0]}}
SETTINGS = {
    "loss": (OTHER_LOSS, {}),
    "optimizer": (lambda h: optax.sgd(h["rate"] / 2), {}),
    "params": (lambda key: jaxmlp.init_params(CONFIG, key=jax.random.fold_in(key, 1)), {}),
    "data": (jaxmlp.DataLoader(X / 2, Y, batch_size=3, shuffle=True), {}),
    "epochs": (2, {}),
    "validation": ((X, Y), {}),
    "monitor": ("other", {}),
    "mode": ("max", STEEP),
    "patience": (1, {**STEEP, "epochs": 8}),
    "min_delta": (1e6, {**STEEP, "epochs": 8, "patience": 2}),
    "ema_decay": (0.5, {}),
    "swa_start": (0, {"epochs": 2}),
    # Three rows of a batch cannot be cut into two.
    "accumulate_steps": (2, {}),
    "nonfinite": (
        "skip",
        {"data": jaxmlp.DataLoader(BAD, Y, batch_size=3, shuffle=True, check_finite=False)},
    ),
    # It is one of `threads`, so that it is refused here.
    "strategy": ("vmap", {"strategy": "map", "threads": 1}),
    "members_at_once": (1, {}),
    "threads": (1, {}),
    # Members computed there know nothing of "vmap", so that it is refused here.
    "executor": (Here(), {}),
    "members_per_piece": (1, {}),
    "memory": (0, {}),
    "progress": (True, {}),
    "checkpoint": ("run", {}),
    "resume": (True, {}),
}
OF_MANY = {
    "keys": (jax.random.split(jax.random.key(7), 2), {}),
    "hyperparameters": ({"rate": [0.5, 0.7]}, {}),
    "seeds": ([1, 2], {}),
    "row_weights": (TRAINING, {}),
    "validation_weights": (VALIDATION, {"validation": LOADER}),
    "validation_rows": (np.array([[0, 1], [2, 3]]), {"validation": LOADER}),
    "stages": ([1], {"epochs": 2}),
    "keep": (
        lambda *_: np.array([True, False]),
        {"epochs": 3, "stages": [1], "keep": lambda *_: np.array([True, True])},
    ),
}
OF_SEARCH = {
    "candidates": {"rate": [0.5, 0.7]},
    "key": jax.random.key(7),
    "folds": 3,
    "stratify": np.array([0, 1, 1, 0, 1, 1]),
    "halving": Halving(first_epochs=1),
    "validation": (X, Y),
}


@pytest.mark.bad_input
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", SETTINGS | OF_MANY)
def test_a_parameter_of_fit_members_changes_the_members_or_raises(name, tmp_path, monkeypatch):
    other, situation = (SETTINGS | OF_MANY)[name]
    outcomes = []
    for number, chosen in enumerate((MANY | situation, MANY | situation | {name: other})):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        outcomes.append(outcome(jaxmlp.fit_members, chosen))
    assert outcomes[0] != outcomes[1]
    if isinstance(outcomes[1], Raised):
        assert name in outcomes[1].message


class _AskedError(Exception):
    """Stands for the training of the members that a search asks for."""


@pytest.fixture
def asked(monkeypatch):
    """What `search` asks `fit_members` for, given other arguments than usual."""

    def ask(**changed):
        seen = []

        def fit_members(*args, **settings):
            seen.append((args, settings))
            raise _AskedError

        monkeypatch.setattr("jaxmlp.ensembles.searching.fit_members", fit_members)
        base = BASE | {"candidates": {"rate": [0.5, 1.0]}, "key": KEY, "folds": 2, "epochs": 3}
        with pytest.raises(_AskedError):
            jaxmlp.search(**base | changed)
        kinds = (jax.Array, np.ndarray, list)
        return [repr(a) if isinstance(a, kinds) else a for a in jax.tree.leaves(seen)]

    return ask


@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"validation"}))
def test_search_hands_a_shared_setting_on_to_the_members(name, asked):
    other, _ = SETTINGS[name]
    usual = {"strategy": "map", "mode": "min"}
    changed = {name: other} | ({"mode": "min"} if name == "monitor" else {})
    given = {name: usual[name]} if name in usual else {}
    if name == "resume":
        changed["checkpoint"] = "run"
    if name == "min_delta":
        changed["patience"] = given["patience"] = 2
    assert asked(**changed) != asked(**given)


@pytest.mark.parametrize("name", OF_SEARCH)
def test_a_parameter_of_search_changes_the_members(name, asked):
    without_folds = {"folds": None} if name == "validation" else {}
    assert asked(**{name: OF_SEARCH[name]}, **without_folds) != asked()


@pytest.mark.parametrize("refit", [True, False])
def test_refit_says_whether_there_are_parameters(refit):
    result = jaxmlp.search(**BASE, candidates={"rate": [0.5]}, key=KEY, folds=2, refit=refit)
    assert (result.params is not None) == refit


def test_every_parameter_of_a_sweep_is_looked_at():
    assert set(SETTINGS | OF_MANY) == set(CALLS[jaxmlp.fit_members])
    assert set(SETTINGS) | set(OF_SEARCH) | {"refit"} == set(CALLS[jaxmlp.search])
