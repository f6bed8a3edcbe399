"""Tests that the curves of runs are the numbers of their histories."""

import jax
import numpy as np
import pytest
from fits import LINEAR, VALIDATION, fit, make_loader
from matplotlib.figure import Figure

import jaxmlp
from jaxmlp.plot import plot_history

HISTORY = {
    "accuracy": np.array([0.2, 0.5, 0.9]),
    "epoch": np.arange(3) + 4,
    "loss": np.array([3.0, 2.0, 1.0]),
    "validation_accuracy": np.array([0.1, 0.4, 0.8]),
    "validation_loss": np.array([3.5, 2.0, 2.5]),
}
RUN = jaxmlp.FitResult({}, HISTORY, None, 5, "epochs")


def make_members(history):
    count = len(next(iter(history.values())))
    zeros = np.zeros(count, int)
    return jaxmlp.MembersResult((), history, zeros, zeros, np.full(count, "epochs"), zeros)


def lines(axis):
    return {line.get_label(): line for line in axis.lines}


def test_each_metric_has_a_picture_and_the_loss_comes_first():
    assert [axis.get_ylabel() for axis in plot_history(RUN)] == ["loss", "accuracy"]


def test_lines_are_the_numbers_of_the_history_at_its_epochs():
    loss, accuracy = plot_history(RUN)
    for axis, name in ((loss, "loss"), (accuracy, "accuracy")):
        for label, prefix in (("training", ""), ("validation", "validation_")):
            shown = lines(axis)[label].get_xydata()
            np.testing.assert_array_equal(shown, np.c_[HISTORY["epoch"], HISTORY[prefix + name]])


def test_training_and_validation_differ_by_more_than_colour():
    axis = plot_history(RUN)[0]
    assert lines(axis)["training"].get_linestyle() != lines(axis)["validation"].get_linestyle()


def test_the_best_epoch_has_a_line_where_there_is_validation():
    assert lines(plot_history(RUN)[0])["best epoch, 5"].get_xdata() == [5, 5]
    alone = {name: HISTORY[name] for name in ("epoch", "loss")}
    (axis,) = plot_history(RUN._replace(history=alone))
    assert list(lines(axis)) == ["training"]


def test_without_a_finite_epoch_none_is_the_best():
    assert not [name for name in lines(plot_history(RUN._replace(best_epoch=-1))[0]) if "b" in name]


def test_metrics_are_drawn_in_the_order_in_which_they_are_asked_for():
    assert [a.get_ylabel() for a in plot_history(RUN, metrics=["accuracy"])] == ["accuracy"]
    both = plot_history(RUN, metrics=("accuracy", "loss"))
    assert [axis.get_ylabel() for axis in both] == ["accuracy", "loss"]


def test_a_run_of_one_epoch_is_to_be_seen():
    history = {"epoch": np.zeros(1, int), "loss": np.ones(1)}
    (axis,) = plot_history(RUN._replace(history=history))
    assert axis.lines[0].get_marker() == "o"


def test_the_median_is_drawn_while_half_of_the_members_run():
    losses = np.array([[4.0, 3.0, 2.0], [5.0, 1.0, np.nan], [6.0, np.nan, np.nan]])
    (axis,) = plot_history(make_members({"loss": losses}))
    *thin, median = axis.lines
    np.testing.assert_array_equal([line.get_ydata() for line in thin], losses)
    np.testing.assert_array_equal(median.get_ydata(), [5.0, 2.0, np.nan])
    assert median.get_linewidth() > 2 * thin[0].get_linewidth()
    assert axis.get_legend().get_texts()[0].get_text() == "training, median of 3 members"


def test_runs_of_ours_are_drawn_into_axes_of_yours(tmp_path):
    result = fit(**LINEAR, epochs=3, validation=VALIDATION)
    figure = Figure(layout="constrained")
    axes = figure.subplots(2, 1)
    assert plot_history(result, axes=axes[:1])[0] is axes[0]
    members = jaxmlp.fit_members(
        LINEAR["loss_fn"],
        LINEAR["optimizer"],
        lambda key: jaxmlp.init_params(LINEAR["loss_fn"].config, key=key),
        make_loader(),
        epochs=3,
        keys=jax.random.split(jax.random.key(0), 3),
    )
    (axis,) = plot_history(members, axes=axes[1])
    np.testing.assert_array_equal(axis.lines[2].get_ydata(), members.history["loss"][2])
    figure.savefig(tmp_path / "history.png")


class TestRefused:
    pytestmark = pytest.mark.bad_input

    def test_another_result(self):
        with pytest.raises(TypeError, match=r"result must be what .* returned; got a dict\."):
            plot_history(HISTORY)

    def test_an_estimator_is_told_its_own_picture(self):
        class Estimator:
            def plot_curves(self):
                """Draws."""

        with pytest.raises(TypeError, match=r"got a Estimator\..*estimator\.plot_curves\(\)"):
            plot_history(Estimator())

    def test_a_search_is_told_its_members(self):
        result = jaxmlp.SearchResult(
            {}, 0, {}, None, "loss", "min", make_members({"loss": np.ones((1, 1))})
        )
        with pytest.raises(TypeError, match=r"result\.members"):
            plot_history(result)

    def test_a_run_without_an_epoch(self):
        empty = RUN._replace(history={"epoch": np.zeros(0, int)})
        with pytest.raises(ValueError, match="result must have at least one epoch"):
            plot_history(empty)

    @pytest.mark.parametrize(
        ("metrics", "error", "message"),
        [
            (["r2"], ValueError, r"metrics must be names of \['loss', 'accuracy'\]; got 'r2'"),
            ("loss", TypeError, r"metrics must be a list of names.*got 'loss'"),
            (3, TypeError, r"metrics must be a list of names.*got 3"),
            ([], ValueError, "metrics must be at least one name"),
        ],
    )
    def test_metrics_that_there_are_not(self, metrics, error, message):
        with pytest.raises(error, match=message):
            plot_history(RUN, metrics=metrics)
