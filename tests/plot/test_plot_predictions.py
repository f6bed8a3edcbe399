"""Tests that confusions and reliability diagrams show what was predicted and what happened."""

import jax
import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from jaxmlp import ensembles, metrics
from jaxmlp.plot import plot_calibration, plot_confusion

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(300, 4)).astype(np.float32) * 2
TARGETS = np.where(GENERATOR.random(300) < 0.5, LOGITS.argmax(axis=1), np.arange(300) % 4)
PROBABILITIES = np.asarray(jax.nn.softmax(LOGITS))


def texts_of(axis):
    return [text.get_text() for text in axis.texts]


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


class TestConfusion:
    def test_cells_hold_the_numbers_of_rows(self):
        expected = confusion_matrix(TARGETS, LOGITS.argmax(axis=1))
        axis = plot_confusion(LOGITS, TARGETS)
        assert texts_of(axis) == [
            f"{count}" if count else "" for count in expected.ravel() if count
        ]
        for text in axis.texts:
            column, row = text.get_position()
            assert text.get_text() == str(expected[row, column])

    @pytest.mark.parametrize("normalize", ["true", "pred", "all"])
    def test_shares_are_those_of_scikit_learn(self, normalize):
        expected = confusion_matrix(TARGETS, LOGITS.argmax(axis=1), normalize=normalize)
        axis = plot_confusion(LOGITS, TARGETS, normalize=normalize)
        np.testing.assert_allclose(axis.images[0].get_array(), expected)
        assert all(text.endswith("%") for text in texts_of(axis))
        # The largest share is told to a tenth of a percent, or to one percent from ten on.
        largest = axis.texts[int(np.argmax(expected[expected > 0]))].get_text()
        assert abs(float(largest[:-1]) / 100 - expected.max()) <= 0.005

    def test_colours_of_counts_are_shares_of_the_true_class(self):
        expected = confusion_matrix(TARGETS, LOGITS.argmax(axis=1), normalize="true")
        axis = plot_confusion(LOGITS, TARGETS)
        np.testing.assert_allclose(axis.images[0].get_array(), expected)
        assert axis.get_figure().axes[1].get_ylabel() == "share of true class"

    def test_weights_count_and_one_output_tells_two_classes(self):
        outputs, targets = np.array([[1.0], [-1.0], [2.0]]), np.array([1, 0, 0])
        axis = plot_confusion(outputs, targets, weight=np.array([1.5, 2.0, 0.25]))
        assert texts_of(axis) == ["2", "0.25", "1.5"]

    def test_classes_have_names(self):
        axis = plot_confusion(LOGITS, TARGETS, class_names=["a", "_b", "$c", "long name"])
        for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
            assert [text.get_text() for text in labels] == ["a", "_b", r"\$c", "long name"]
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted class", "true class")

    def test_many_classes_have_no_numbers(self, tmp_path):
        axis = plot_confusion(np.eye(60), np.arange(60))
        assert not axis.texts
        assert len(axis.get_xticks()) < 10
        axis.get_figure().savefig(tmp_path / "confusion.png")

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"targets": TARGETS + 1}, ValueError, r"targets integers in \[0, 4\)"),
            ({"targets": TARGETS[:3]}, ValueError, "targets must have shape"),
            ({"targets": "text"}, TypeError, "targets must be an array of real numbers"),
            ({"outputs": LOGITS * np.nan}, ValueError, "outputs must be no NaN"),
            ({"outputs": TARGETS}, ValueError, r"outputs must have shape .*jax\.nn\.one_hot"),
            ({"outputs": None}, TypeError, "outputs must be an array of real numbers"),
            ({"weight": np.zeros(300)}, ValueError, "outputs must have at least one row of weight"),
            ({"normalize": "rows"}, ValueError, "normalize must be one of .*; got 'rows'"),
            ({"normalize": 1}, TypeError, "normalize must be a name"),
            ({"class_names": ["a"]}, ValueError, "class_names must be 4 names"),
            ({"ax": "text"}, TypeError, "ax must be matplotlib Axes"),
        ],
    )
    def test_an_argument_is_refused(self, arguments, error, message):
        given = {"outputs": LOGITS, "targets": TARGETS} | arguments
        with pytest.raises(error, match=message):
            plot_confusion(given.pop("outputs"), given.pop("targets"), **given)


class TestCalibration:
    @pytest.mark.parametrize("bins", [1, 7, 15])
    def test_the_error_is_that_of_the_metric(self, bins):
        axis = plot_calibration(PROBABILITIES, TARGETS, bins=bins)
        expected = metrics.calibration_error(bins)(np.log(PROBABILITIES), TARGETS)
        assert legend(axis)[-1] == f"calibration error {expected:.3f}"

    def test_points_of_a_class_are_those_of_scikit_learn(self):
        axis = plot_calibration(PROBABILITIES, TARGETS, class_number=2, bins=10)
        share, mean = calibration_curve(TARGETS == 2, PROBABILITIES[:, 2], n_bins=10)
        np.testing.assert_allclose(axis.lines[-1].get_xydata(), np.c_[mean, share], atol=1e-6)
        assert axis.get_xlabel() == "predicted probability of class 2"

    def test_points_of_the_confidence_are_shares_that_are_right(self):
        axis = plot_calibration(PROBABILITIES, TARGETS, bins=10)
        right = PROBABILITIES.argmax(axis=1) == TARGETS
        share, mean = calibration_curve(right, PROBABILITIES.max(axis=1), n_bins=10)
        np.testing.assert_allclose(axis.lines[-1].get_xydata(), np.c_[mean, share], atol=1e-6)

    @pytest.mark.parametrize("shape", [(300,), (300, 1)])
    def test_one_probability_is_that_of_class_1(self, shape):
        one = PROBABILITIES[:, 1] / (PROBABILITIES[:, 1] + PROBABILITIES[:, 0])
        both = np.stack([1 - one, one], axis=1)
        axes = [
            plot_calibration(p, TARGETS % 2, class_number=1) for p in (one.reshape(shape), both)
        ]
        first, second = (axis.lines[-1].get_xydata() for axis in axes)
        np.testing.assert_allclose(first, second, atol=1e-7)

    def test_lines_are_wilson_s_intervals(self):
        probabilities = np.repeat([0.3, 0.9], [10, 40])
        targets = np.repeat([1, 0, 1, 0], [4, 6, 30, 10])
        axis = plot_calibration(probabilities, targets, class_number=1, bins=10)
        segments = axis.collections[0].get_segments()
        for segment, (right, count) in zip(segments, [(4, 10), (30, 40)], strict=True):
            interval = binomtest(right, count).proportion_ci(method="wilson")
            np.testing.assert_allclose(segment[:, 1], [interval.low, interval.high], rtol=1e-6)

    def test_steps_are_shares_of_rows(self):
        axis = plot_calibration(PROBABILITIES, TARGETS, bins=8)
        heights, edges, _ = axis.patches[0].get_data()
        counts, _ = np.histogram(PROBABILITIES.max(axis=1), edges)
        np.testing.assert_allclose(heights, counts / 300)

    def test_a_second_one_is_drawn_beside_the_first(self, tmp_path):
        axis = plot_calibration(PROBABILITIES, TARGETS, label="one $")
        members = np.stack([LOGITS, LOGITS[::-1]])
        again = plot_calibration(
            ensembles.mean_probabilities(members), TARGETS, label="two", ax=axis
        )
        assert again is axis
        assert [text.split(":")[0] for text in legend(axis)] == [
            *("perfectly calibrated", r"one \$", "two"),
        ]
        axis.get_figure().savefig(tmp_path / "calibration.png")

    @pytest.mark.bad_input
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"probabilities": LOGITS}, ValueError, r"probabilities must be .*jax\.nn\.softmax"),
            ({"probabilities": PROBABILITIES[:, :3]}, ValueError, "sum over the classes is 1"),
            (
                {"probabilities": PROBABILITIES * np.nan},
                ValueError,
                "probabilities must be numbers",
            ),
            ({"probabilities": PROBABILITIES[None]}, ValueError, "mean_probabilities"),
            ({"probabilities": PROBABILITIES[:0]}, ValueError, "at least one row"),
            ({"probabilities": "text"}, TypeError, "probabilities must be an array of real"),
            (
                {"targets": TARGETS + 1},
                ValueError,
                r"targets must be classes, integers in \[0, 4\)",
            ),
            ({"targets": TARGETS[:9]}, ValueError, r"targets must have shape \(300,\)"),
            ({"class_number": 4}, ValueError, "class_number must be an int .* below 4; got 4"),
            ({"class_number": "a"}, TypeError, "class_number must be an int"),
            ({"bins": 0}, ValueError, "bins must be an int of at least 1"),
            ({"label": 3}, TypeError, "label must be a text"),
            ({"ax": 3}, TypeError, "ax must be matplotlib Axes"),
        ],
    )
    def test_an_argument_is_refused(self, arguments, error, message):
        given = {"probabilities": PROBABILITIES, "targets": TARGETS} | arguments
        with pytest.raises(error, match=message):
            plot_calibration(given.pop("probabilities"), given.pop("targets"), **given)
