"""Dropout, norms, residuals and activations of the estimators, each by what it is to change."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations
from sklearn.base import clone
from sklearn.datasets import load_iris

import jaxmlp
from jaxmlp.sklearn import MLPClassifier, MLPRegressor
from jaxmlp.sklearn.solvers.training_loop import _begin_again

X, Y = load_iris(return_X_y=True)
NUMBERS = X @ np.array([1.0, -2.0, 0.5, 1.0]) / 5
# So small a step that weights stay those of the start.
STILL = {"solver": "sgd", "learning_rate_init": 1e-12, "momentum": 0, "batch_size": 150}

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def snake(z):
    return z + jnp.sin(z) ** 2


SNAKE = jaxmlp.Activation("snake", snake)


def regressor(**arguments):
    shared = {"hidden_layer_sizes": (6, 6), "max_iter": 5, "random_state": 0}
    return MLPRegressor(**(shared | arguments))


def assert_same(one, other):
    arrays = [jax.tree.leaves((a.coefs_, a.intercepts_, a.norms_)) for a in (one, other)]
    for a, b in zip(*arrays, strict=True):
        np.testing.assert_array_equal(a, b)


NETWORKS = {
    "layer norm": {"norm": "layer"},
    "rms norm": {"norm": "rms"},
    "residual": {"residual": True},
    "gated": {"activation": "swiglu"},
    "own": {"activation": SNAKE},
    "all": {"activation": "geglu", "norm": "layer", "residual": True},
}


@pytest.mark.parametrize(
    ("solver", "name"), [*(("lbfgs", name) for name in NETWORKS), ("adam", "all")]
)
def test_the_network_is_that_of_mlp_config(solver, name):
    given = NETWORKS[name]
    model = regressor(solver=solver, **given).fit(X, NUMBERS)
    config = jaxmlp.MLPConfig(
        in_features=4,
        hidden_features=(6, 6),
        out_features=1,
        param_dtype="float64",
        **({"activation": "relu"} | given),
    )
    norms = [*(model.norms_ or [None] * 2), None]
    layers = [
        jaxmlp.Dense(kernel, bias, norm)
        for kernel, bias, norm in zip(model.coefs_, model.intercepts_, norms, strict=True)
    ]
    with jax.enable_x64(True):
        params = jaxmlp.Params(tuple(layers[:-1]), layers[-1])
        expected = jaxmlp.apply(params, X, config=config)[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_they_learn(name):
    model = regressor(solver="lbfgs", max_iter=100, **NETWORKS[name]).fit(X, NUMBERS)
    assert model.score(X, NUMBERS) > 0.95


def test_norms_begin_as_ones_and_are_trained():
    still = regressor(norm="layer", **(STILL | {"max_iter": 1})).fit(X, NUMBERS)
    for norm in still.norms_:
        np.testing.assert_allclose(norm.scale, 1, atol=1e-9)
        np.testing.assert_allclose(norm.bias, 0, atol=1e-9)
    trained = regressor(norm="rms", activation="reglu").fit(X, NUMBERS)
    assert [(norm.scale.shape, norm.bias) for norm in trained.norms_] == [((12,), None)] * 2
    assert all(np.ptp(norm.scale) > 0 for norm in trained.norms_)
    assert regressor().fit(X, NUMBERS).norms_ == []


def test_norms_do_not_depend_on_the_size_of_kernels():
    model = regressor(norm="rms").fit(X, NUMBERS)
    before = model.predict(X)
    model.coefs_[0], model.intercepts_[0] = 100 * model.coefs_[0], 100 * model.intercepts_[0]
    # But for the 1e-5 that is added to the mean square.
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-3)


def test_the_penalty_is_of_kernels_alone():
    one, other = (
        regressor(norm="layer", alpha=alpha, **(STILL | {"max_iter": 1})).fit(X, NUMBERS)
        for alpha in (0, 3)
    )
    squares = sum((kernel**2).sum() for kernel in one.coefs_)
    assert other.loss_ - one.loss_ == pytest.approx(3 / 2 * squares / 150, rel=1e-9)


def test_the_start_is_drawn_as_without():
    plain = regressor(**(STILL | {"max_iter": 1})).fit(X, NUMBERS)
    other = regressor(norm="layer", residual=True, dropout=0.5, **(STILL | {"max_iter": 1}))
    for a, b in zip(plain.coefs_, other.fit(X, NUMBERS).coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_gated_kernels_have_twice_the_width():
    model = regressor(activation="swiglu").fit(X, NUMBERS)
    assert [kernel.shape for kernel in model.coefs_] == [(4, 12), (6, 12), (6, 1)]
    assert model.n_layers_ == 4
    # Of value and gate alike, the range of a layer of 6 units.
    first = regressor(activation="swiglu", **(STILL | {"max_iter": 1})).fit(X, NUMBERS).coefs_[0]
    assert 0.9 < np.abs(first).max() / np.sqrt(6 / (4 + 6)) < 1


@pytest.mark.parametrize("copier", [clone, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_an_activation_of_ones_own_survives_copies(copier):
    model = copier(regressor(activation=SNAKE))
    assert model.get_params()["activation"] == SNAKE
    assert_same(model.fit(X, NUMBERS), regressor(activation=SNAKE).fit(X, NUMBERS))


def test_early_stopping_keeps_the_norms_of_the_best_epoch():
    arguments = {"norm": "layer", "early_stopping": True, "learning_rate_init": 0.1}
    model = regressor(max_iter=100, **arguments).fit(X, NUMBERS, X_val=X, y_val=NUMBERS)
    assert model.score(X, NUMBERS) == pytest.approx(model.best_validation_score_, rel=1e-12)


def test_training_goes_on_with_the_norms():
    model = regressor(norm="layer", max_iter=3).fit(X, NUMBERS)
    before = pickle.loads(pickle.dumps(model))
    model.set_params(warm_start=True, **STILL).fit(X, NUMBERS)
    for a, b in zip(before.norms_, model.norms_, strict=True):
        np.testing.assert_allclose(a.scale, b.scale, atol=1e-9)
    before.partial_fit(X, NUMBERS)
    assert not np.allclose(before.norms_[0].scale, model.norms_[0].scale)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"norm": None}, "of norm='layer'; got norm=None"),
        ({"norm": "rms"}, "of norm='layer'; got norm='rms'"),
        ({"activation": "glu"}, "gated or not as they were; got activation='glu'"),
    ],
)
def test_other_layers_are_refused_where_training_goes_on(changed, message):
    model = regressor(norm="layer").fit(X, NUMBERS).set_params(**changed)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, NUMBERS)


def test_dropout_gives_the_same_bits_for_the_same_random_state_alone():
    model = MLPClassifier((6,), max_iter=5, dropout=0.3, random_state=1)
    one, other = (clone(model).fit(X, Y) for _ in range(2))
    assert_same(one, other)
    np.testing.assert_array_equal(one.predict_proba(X), one.predict_proba(X))
    # The same start, other units dropped.
    less = clone(model).set_params(dropout=0.01).fit(X, Y)
    assert not np.allclose(one.coefs_[0], less.coefs_[0])


def test_without_dropout_nothing_is_drawn():
    states = [np.random.RandomState(0) for _ in range(2)]
    for state, rate in zip(states, (0.0, 0.1), strict=True):
        regressor(dropout=rate, random_state=state, shuffle=False).fit(X, NUMBERS)
    first, second = (state.randint(2**31) for state in states)
    assert first != second
    again = np.random.RandomState(0)
    again.uniform(size=6 * 4 + 6 + 6 * 6 + 6 + 6 + 1)
    assert again.randint(2**31) == first


def test_dropout_adds_the_variance_of_masks_to_the_loss():
    """Of h w / (1 - p) with probability 1 - p, the variance is p / (1 - p) * (h w)**2."""
    rate = 0.3
    model = regressor(
        hidden_layer_sizes=(6,), activation="identity", alpha=0, dropout=rate, tol=0,
        **(STILL | {"max_iter": 400, "n_iter_no_change": 400}),
    ).fit(X, NUMBERS)  # fmt: skip
    hidden = X @ model.coefs_[0] + model.intercepts_[0]
    variance = rate / (1 - rate) * (hidden**2) @ model.coefs_[1] ** 2
    expected = ((NUMBERS - model.predict(X)) ** 2 + variance[:, 0]).mean() / 2
    losses = np.array(model.loss_curve_)
    error = losses.std() / np.sqrt(len(losses))
    assert losses.mean() == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * variance.mean() / 2


def test_dropout_goes_on_where_it_stood():
    model = regressor(dropout=0.3, **(STILL | {"max_iter": 1}))
    model.partial_fit(X, NUMBERS)
    copied = pickle.loads(pickle.dumps(model))
    for each in (model, copied):
        each.partial_fit(X, NUMBERS).partial_fit(X, NUMBERS)
    assert model.loss_curve_ == copied.loss_curve_
    # Each call drops others.
    assert len(set(np.round(model.loss_curve_, 6))) == 3
    model.set_params(warm_start=True).fit(X, NUMBERS)
    assert len(set(np.round(model.loss_curve_, 6))) == 4


def test_a_file_keeps_head_norms_and_what_is_dropped_next(tmp_path):
    arguments = {"norm": "layer", "dropout": 0.3, "activation": "swiglu"}
    model = regressor(loss="gaussian", **arguments).partial_fit(X, NUMBERS)
    model.save(tmp_path / "model.safetensors")
    loaded = MLPRegressor.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_dist(X).std(), model.predict_dist(X).std())
    assert_same(loaded.partial_fit(X, NUMBERS), model.partial_fit(X, NUMBERS))


def test_dropout_may_begin_in_a_later_fit():
    model = regressor().partial_fit(X, NUMBERS)
    plain = copy.deepcopy(model).partial_fit(X, NUMBERS)
    dropped = model.set_params(dropout=0.5).partial_fit(X, NUMBERS)
    assert not np.allclose(plain.coefs_[0], dropped.coefs_[0])


def test_a_lower_learning_rate_begins_with_other_masks():
    model = jaxmlp.sklearn.solvers.stochastic.Model(None, jnp.zeros(20))
    state = jaxmlp.TrainState(model, None, jnp.int32(7), jax.random.key(3))
    again = _begin_again(state)
    assert again.step == 0
    seen = [jax.random.fold_in(state.key, step) for step in range(7)]
    first = jax.random.fold_in(again.key, 0)
    assert not any(
        jnp.array_equal(jax.random.key_data(first), jax.random.key_data(k)) for k in seen
    )


def test_rates_of_dropout_share_a_program():
    regressor(dropout=0.2).fit(X, NUMBERS)
    with compilations() as counts:
        regressor(dropout=0.4).fit(X, NUMBERS)
    assert not counts


def test_dropout_without_draws_is_warned_of():
    plain = regressor(solver="lbfgs").fit(X, NUMBERS)
    message = "dropout has no effect with solver='lbfgs'"
    with pytest.warns(UserWarning, match=message):
        dropped = regressor(solver="lbfgs", dropout=0.5).fit(X, NUMBERS)
    assert_same(plain, dropped)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_layer_sizes": (), "norm": "layer"}, "norm acts on hidden layers.*norm='layer'"),
        ({"hidden_layer_sizes": (), "dropout": 0.1}, "dropout acts on hidden layers.*dropout=0.1"),
        ({"hidden_layer_sizes": (6,), "residual": True}, r"residual=True needs.*got \[6\]"),
        ({"hidden_layer_sizes": (6, 5), "residual": True}, r"residual=True needs.*got \[6, 5\]"),
        ({"dropout": 1}, "'dropout' parameter of MLPRegressor must be a float in the range"),
        ({"dropout": -0.1}, "'dropout' parameter of MLPRegressor must be a float in the range"),
        ({"norm": "batch"}, "'norm' parameter of MLPRegressor must be a str among"),
        ({"residual": 2}, "'residual' parameter of MLPRegressor must be an instance of 'bool'"),
        ({"activation": "snake"}, "'activation' parameter of MLPRegressor must be a str among"),
    ],
)
@pytest.mark.bad_input
def test_what_cannot_act_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        regressor(**arguments).fit(X, NUMBERS)
