"""When fits of scikit-learn's solvers stop: on the host, in the program, and by scikit-learn."""

import contextlib
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.neural_network
from compilations import compilations
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

import jaxmlp.sklearn
from jaxmlp.sklearn.solvers.orders import ShuffledOrders
from jaxmlp.sklearn.solvers.stochastic import Model, Settings
from jaxmlp.sklearn.solvers.stopping import History, LossRule, Stopping
from jaxmlp.sklearn.solvers.training_loop import _with_numbers

X, Y = load_iris(return_X_y=True)
EPOCHS, RUNS = 40, 400

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning")


def make_stopping(tol, most, dtype, best=np.inf, count=0):
    return Stopping(
        history=History([], best, None, None, count, None),
        tol=tol,
        n_iter_no_change=most,
        adaptive=False,
        by_score=False,
        verbose=False,
        dtype=np.dtype(dtype),
        learning_rate=0.1,
    )


def draw_losses(generator, dtype):
    """Losses that fall by some of `tol` = 1e-3, and whose differences are often just that.

    About half of the sequences lie so high that `tol` taken from a loss leaves it as it is.
    """
    steps = generator.choice([-2e-3, -1e-3, -5e-4, 0.0, 1e-3], size=EPOCHS)
    steps += generator.choice([0.0, 1e-5], size=EPOCHS) * generator.normal(size=EPOCHS)
    large = generator.choice([0, 1e5 if dtype == "float32" else 1e13])
    return (0.5 + large + np.cumsum(steps)).astype(dtype)


def stop_of(stopping, losses):
    """The number of epochs after which it ends, or all."""
    for epoch, loss in enumerate(losses.tolist()):
        if stopping.after_epoch(loss, None) == "stop":
            return epoch + 1
    return len(losses)


def stop_of_theirs(tol, most, losses, best, count):
    model = sklearn.neural_network.MLPClassifier(tol=tol, n_iter_no_change=most)
    model.loss_curve_, model.best_loss_, model._no_improvement_count = [], best, count
    # Of the type of the table, in which they compute.
    for epoch, loss in enumerate(losses):
        model.loss_curve_.append(loss)
        model._update_no_improvement_count(False, None, None, None)
        if model._no_improvement_count > most:
            return epoch + 1
    return len(losses)


@jax.jit
@jax.vmap
def stop_in_program(packed, losses):
    rule, params = LossRule(), Model(None, packed)

    def body(carry, loss):
        state, going, epochs = carry
        state, ends = rule.update(state, params, loss)
        return (state, going & ~ends, epochs + going.astype(int)), None

    start = (rule.init(params), jnp.ones((), bool), jnp.zeros((), int))
    return jax.lax.scan(body, start, losses)[0][2]


def pack(stopping):
    given = dict.fromkeys(Settings._fields, 0.0) | stopping.numbers()
    return np.array([given[name] for name in Settings._fields], stopping.dtype)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_program_stops_where_the_host_and_scikit_learn_do(dtype, begun):
    generator = np.random.default_rng(0)
    losses = np.stack([draw_losses(generator, dtype) for _ in range(RUNS)])
    tols = generator.choice([0.0, 1e-4, 1e-3, 5e-3, 1e30], size=RUNS)
    most = generator.choice([1, 2, 5, 10, np.inf], size=RUNS)
    best = losses[:, 0] + losses.dtype.type(1e-3) if begun else np.full(RUNS, np.inf)
    counts = generator.integers(0, 2, RUNS) if begun else np.zeros(RUNS, int)
    given = list(zip(tols.tolist(), most, best, counts.tolist(), strict=True))
    hosts = [make_stopping(tol, n, dtype, float(b), c) for tol, n, b, c in given]
    context = jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()
    with context:
        program = stop_in_program(np.stack([pack(host) for host in hosts]), losses)
    ours = [stop_of(host, own) for host, own in zip(hosts, losses, strict=True)]
    np.testing.assert_array_equal(program, ours)
    theirs = [
        stop_of_theirs(tol, n, own, b, c) for (tol, n, b, c), own in zip(given, losses, strict=True)
    ]
    np.testing.assert_array_equal(ours, theirs)
    assert len(set(ours)) > 5


@pytest.mark.parametrize("stops_after", [3, 15, 16, 17, 18, 31, 32, 33, 49])
def test_a_fit_that_stops_within_a_call_leaves_what_theirs_leaves(stops_after):
    """Orders of rows are drawn ahead, for a whole call and for the next."""
    # The first epoch is an improvement on nothing, no other is one.
    settings = {"tol": 1e9, "n_iter_no_change": stops_after - 2, "max_iter": 60}
    states, fitted = [np.random.RandomState(0) for _ in range(2)], []
    for module, state in zip((sklearn.neural_network, jaxmlp.sklearn), states, strict=True):
        model = module.MLPClassifier((3,), random_state=state, **settings)
        if module is jaxmlp.sklearn:
            model.set_params(preset="sklearn")
        fitted.append(model.fit(X, Y))
    theirs, ours = fitted
    assert ours.n_iter_ == theirs.n_iter_ == stops_after
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    assert states[0].randint(2**31) == states[1].randint(2**31)


def test_what_goes_on_has_the_numbers_of_then():
    stopping = make_stopping(tol=0.1, most=1.0, dtype="float32")
    stopping.adaptive = True
    state = jaxmlp.TrainState(Model(None, jnp.asarray(pack(stopping))), None, None, None)
    for loss, decision in ((1.0, "go on"), (0.95, "go on"), (0.96, "lower"), (0.99, "go on")):
        assert stopping.after_epoch(loss, None) == decision
    settings = _with_numbers(state, stopping).params.settings
    assert settings.learning_rate == pytest.approx(0.1 / 5)
    assert settings.best_loss == pytest.approx(0.95)
    assert settings.no_improvement_count == 1
    assert settings.tol == pytest.approx(0.1)


def test_numbers_of_stopping_share_programs():
    model = jaxmlp.sklearn.MLPClassifier((3,), preset="sklearn", random_state=0, max_iter=20)
    model.fit(X, Y)
    with compilations() as counts:
        model.set_params(tol=0.1, n_iter_no_change=np.inf, max_iter=70).fit(X, Y)
        model.set_params(tol=1e300, n_iter_no_change=3, max_iter=60).fit(X, Y)
    assert not counts
    assert model.n_iter_ == 5


@pytest.mark.parametrize("told", [{"verbose": True}, {"progress": True}])
def test_what_is_shown_changes_nothing(told, capsys):
    settings = {"tol": 0.01, "n_iter_no_change": 9, "max_iter": 80, "random_state": 0}
    quiet, shown = (
        jaxmlp.sklearn.MLPClassifier((3,), preset="sklearn", **settings, **own).fit(X, Y)
        for own in ({}, told)
    )
    assert 16 < quiet.n_iter_ < 80
    assert shown.loss_curve_ == quiet.loss_curve_
    for a, b in zip(quiet.coefs_, shown.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum(map(len, capsys.readouterr())) > 0


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd", "learning_rate": "adaptive"}])
def test_what_is_told_of_a_stop_is_what_they_tell(settings, capsys):
    told = []
    for module in (sklearn.neural_network, jaxmlp.sklearn):
        model = module.MLPClassifier((3,), random_state=0, max_iter=9, verbose=True)
        if module is jaxmlp.sklearn:
            model.set_params(preset="sklearn")
        model.set_params(tol=1, n_iter_no_change=3, **settings).fit(X, Y)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "for 3 consecutive epochs." in told[0]


@pytest.mark.bad_input  # a type-checking hook refuses what is no int of Python's
def test_the_most_epochs_may_be_numpy_s_number():
    twelve, also = (
        jaxmlp.sklearn.MLPClassifier((3,), preset="sklearn", random_state=0, max_iter=most)
        for most in (12, np.int64(12))
    )
    assert twelve.fit(X, Y).loss_curve_ == also.fit(X, Y).loss_curve_


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("most", [10_000, 10**7])
def test_a_search_costs_what_is_trained_however_long_it_might_be(most, shuffle, monkeypatch):
    drawn = []
    draw = ShuffledOrders.order
    monkeypatch.setattr(ShuffledOrders, "order", lambda *a: drawn.append(a[1]) or draw(*a))
    # Only the first epoch is an improvement.
    settings = {"tol": 1e9, "n_iter_no_change": 2, "random_state": 0, "shuffle": shuffle}
    model = jaxmlp.sklearn.MLPClassifier((3,), preset="sklearn", max_iter=most, **settings)
    tracemalloc.start()
    ours = jaxmlp.sklearn.MLPSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2).fit(X, Y)
    bytes_at_most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ours.best_estimator_.n_iter_ == 4
    # Two calls of 64 epochs in each fold.
    assert max(drawn, default=0) < 128
    assert bytes_at_most < 50e6
    theirs = GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2).fit(X, Y)
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
    )


def test_a_table_of_one_class_is_told_right():
    model = jaxmlp.sklearn.MLPClassifier((3,), preset="sklearn", early_stopping=True, max_iter=3)
    model.fit(X, np.zeros(len(X)))
    assert model.validation_scores_ == [1.0, 1.0, 1.0]
    assert model.score(X, np.zeros(len(X))) == 1.0
