"""Functions called after every epoch, the curves of losses and scores, and the bar."""

import io
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss, mean_squared_error

from jaxmlp.sklearn import MLPClassifier, MLPRegressor, load

X, Y = load_iris(return_X_y=True)
SEEN, UNSEEN = slice(0, None, 2), slice(1, None, 2)
VALIDATION = {"X_val": X[UNSEEN], "y_val": Y[UNSEEN]}
SETTINGS = {"preset": "sklearn", "max_iter": 5, "random_state": 0}

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:Warning"),
    pytest.mark.filterwarnings("ignore:lbfgs failed:Warning"),
]


def assert_same(one, other):
    for a, b in zip(
        (*one.coefs_, *one.intercepts_), (*other.coefs_, *other.intercepts_), strict=True
    ):
        np.testing.assert_array_equal(a, b)


class Told:
    """Keeps what it is told, and stops after some epochs."""

    def __init__(self, stops_after=None):
        self.estimators, self.metrics, self.stops_after = [], [], stops_after

    def __call__(self, estimator, metrics):
        self.estimators.append(estimator)
        self.metrics.append(metrics)
        return True if metrics["epoch"] == self.stops_after else None


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_callbacks_are_told_every_epoch_and_change_nothing(kind):
    told = Told()
    one = kind(callbacks=told, **SETTINGS).fit(X, Y)
    assert_same(one, kind(**SETTINGS).fit(X, Y))
    assert told.metrics == [{"epoch": n, "loss": loss} for n, loss in enumerate(one.loss_curve_, 1)]


def test_callbacks_are_called_right_after_their_epoch():
    epochs = []

    def compare(estimator, metrics):
        epochs.append(metrics["epoch"])
        assert estimator.n_iter_ == metrics["epoch"] == len(estimator.loss_curve_)
        shorter = MLPRegressor(preset="sklearn", max_iter=metrics["epoch"], random_state=0).fit(
            X, Y
        )
        assert_same(estimator, shorter)

    MLPRegressor(callbacks=compare, **SETTINGS).fit(X, Y)
    assert epochs == [1, 2, 3, 4, 5]


def test_with_rows_to_validate_on_callbacks_are_told_their_loss_and_score():
    told = Told()
    one = MLPClassifier(callbacks=[told], **SETTINGS).fit(X[SEEN], Y[SEEN], **VALIDATION)
    for name, curve in (
        ("validation_loss", one.validation_loss_curve_),
        ("validation_score", one.validation_scores_),
    ):
        assert [metrics[name] for metrics in told.metrics] == curve


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_training_stops_where_one_of_several_callbacks_says_so(solver):
    first, second = Told(stops_after=3), Told()
    one = MLPClassifier(solver=solver, callbacks=[first, second], random_state=0).fit(X, Y)
    assert one.n_iter_ == len(first.metrics) == len(second.metrics) == 3
    again = MLPClassifier(preset="sklearn", solver=solver, max_iter=3, random_state=0)
    assert_same(one, again.fit(X, Y))


def test_stopped_early_the_weights_are_the_best_so_far():
    told = Told(stops_after=4)
    one = MLPClassifier(callbacks=told, early_stopping=True, random_state=0)
    one.fit(X[SEEN], Y[SEEN], **VALIDATION)
    best = int(np.argmax(one.validation_scores_))
    assert_same(one, told.estimators[best])


def test_the_estimator_of_a_callback_stays_as_it_was_then():
    told = Told()
    one = MLPClassifier(callbacks=told, **SETTINGS).fit(X, Y)
    for epochs, then in enumerate(told.estimators, 1):
        assert then.loss_curve_ == one.loss_curve_[:epochs]
        assert then.t_ == epochs * len(X)
    np.testing.assert_array_equal(then.predict_proba(X), one.predict_proba(X))


def test_a_callback_can_save_from_where_training_goes_on(tmp_path):
    path = tmp_path / "model.safetensors"

    def save(estimator, metrics):
        if metrics["epoch"] == 2:
            estimator.save(path)

    settings = {"shuffle": False, "random_state": 0}
    MLPRegressor(callbacks=save, max_iter=3, **settings).fit(X, Y)
    resumed, whole = load(path), MLPRegressor(max_iter=2, **settings).fit(X, Y)
    assert_same(resumed.partial_fit(X, Y), whole.partial_fit(X, Y))


def test_in_partial_fit_every_call_is_epoch_1():
    told = Told()
    one = MLPRegressor(callbacks=told, random_state=0).partial_fit(X, Y).partial_fit(X, Y)
    assert [metrics["epoch"] for metrics in told.metrics] == [1, 1]
    assert [metrics["loss"] for metrics in told.metrics] == one.loss_curve_


def test_errors_of_callbacks_are_raised_by_fit():
    def fail(*_):
        raise LookupError("of the user's")

    with pytest.raises(LookupError, match="of the user's"):
        MLPRegressor(callbacks=fail).fit(X, Y)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([1], r"callbacks must be functions \(estimator, metrics\).*got 1"),
        (lambda *_: "no", "callbacks must return True to stop, or None; got 'no'"),
    ],
)
def test_wrong_callbacks_are_refused(callbacks, message):
    with pytest.raises(TypeError, match=message):
        MLPRegressor(callbacks=callbacks).fit(X, Y)


@pytest.mark.parametrize("settings", [{"callbacks": print}, {"progress": True}])
def test_what_lbfgs_makes_no_use_of_is_warned_about(settings):
    (name,) = settings
    estimator = MLPRegressor(solver="lbfgs", max_iter=5, **settings)
    with pytest.warns(UserWarning, match=f"{name} has no effect with solver='lbfgs'") as caught:
        estimator.fit(X, Y)
    assert caught[0].filename == __file__


def test_the_validation_loss_of_classes_is_the_log_loss():
    weight = np.arange(1, 1 + len(Y[UNSEEN]), dtype=float)
    settings = {"alpha": 10.0, **SETTINGS}
    for labels in (Y, Y == 0):
        rows = {"X_val": X[UNSEEN], "y_val": labels[UNSEEN], "sample_weight_val": weight}
        one = MLPClassifier(**settings).fit(X[SEEN], labels[SEEN], **rows)
        probabilities = one.predict_proba(X[UNSEEN])
        loss = log_loss(labels[UNSEEN], probabilities, sample_weight=weight)
        assert len(one.validation_loss_curve_) == 5
        assert one.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-12)


def test_the_validation_loss_of_numbers_is_half_the_squared_error():
    several = np.stack([Y, X[:, 0]], axis=1)
    for targets in (Y, several):
        rows = {"X_val": X[UNSEEN], "y_val": targets[UNSEEN]}
        one = MLPRegressor(**SETTINGS).fit(X[SEEN], targets[SEEN], **rows)
        loss = mean_squared_error(targets[UNSEEN], one.predict(X[UNSEEN])) / 2
        assert one.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-12)


def test_rows_that_are_set_aside_have_a_loss_and_without_rows_there_is_none():
    stopped = MLPClassifier(early_stopping=True, **SETTINGS).fit(X, Y)
    assert len(stopped.validation_loss_curve_) == 5
    assert MLPClassifier(**SETTINGS).fit(X, Y).validation_loss_curve_ is None


def test_the_picture_shows_the_curves():
    one = MLPClassifier(**SETTINGS).fit(X[SEEN], Y[SEEN], **VALIDATION)
    axes = one.plot_curves()
    (right,) = [other for other in axes.figure.axes if other is not axes]
    shown = [*axes.get_lines(), *right.get_lines()]
    curves = [one.loss_curve_, one.validation_loss_curve_, one.validation_scores_]
    for line, curve in zip(shown, curves, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
        np.testing.assert_array_equal(line.get_ydata(), curve)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["training loss", "validation loss", "validation accuracy"]
    plt.close(axes.figure)


def test_the_picture_is_drawn_where_it_is_wanted():
    figure, axes = plt.subplots()
    assert MLPRegressor(**SETTINGS).fit(X, Y).plot_curves(axes) is axes
    assert len(axes.get_lines()) == len(figure.axes) == 1
    plt.close(figure)


def test_without_epochs_there_is_no_picture():
    one = MLPRegressor(solver="lbfgs", max_iter=5).fit(X, Y)
    with pytest.raises(ValueError, match="solver='lbfgs' has none"):
        one.plot_curves()


def test_the_picture_asks_for_matplotlib(monkeypatch):
    one = MLPRegressor(**SETTINGS).fit(X, Y)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delitem(sys.modules, "jaxmlp.sklearn.curves", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'jaxmlp\[plot\]'"):
        one.plot_curves()


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"callbacks": Told(2)}])
def test_the_bar_counts_epochs_and_ends_with_them(settings, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    one = MLPClassifier(progress=True, **SETTINGS | {"max_iter": 14}, **settings).fit(X, Y)
    latest = sys.stderr.getvalue().split("\r")[-1]
    assert f"{one.n_iter_}/14" in latest
    assert f"loss={one.loss_curve_[-1]:.4g}" in latest
    assert latest.endswith("\n")


def test_without_being_asked_for_there_is_no_bar(capfd):
    MLPClassifier(**SETTINGS).fit(X, Y)
    assert capfd.readouterr() == ("", "")


def test_clones_keep_callbacks():
    assert clone(MLPClassifier(callbacks=[print])).callbacks == [print]
