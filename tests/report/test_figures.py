"""Tests of curves and of the figure of regions: what is drawn, at which scale, in which colours."""

import itertools

import jax
import numpy as np
import optax
import pytest
from runs import MOONS, moons, moons_run, noisy_params, record

import jaxmlp
from jaxmlp import losses, metrics, report
from jaxmlp.inspection import plane_of_features, principal_plane
from jaxmlp.report.plane_figure import CLASS_COLOURS, CLASS_MARKERS, has_one_scale
from jaxmlp.report.records import take_curves
from jaxmlp.report.words import read_part

X, Y = moons(60)
NAMES = ["a", "b"]


def validated(epochs=6):
    recorder = jaxmlp.Recorder()
    loss_fn = jaxmlp.make_loss(
        MOONS, losses.softmax_cross_entropy, metrics={"accuracy": metrics.accuracy}
    )
    result = jaxmlp.fit(
        loss_fn,
        optax.adam(0.1),
        jaxmlp.init_params(MOONS, key=jax.random.key(0)),
        jaxmlp.DataLoader(X, Y, batch_size=20),
        epochs=epochs,
        key=jax.random.key(1),
        on_epoch=recorder,
        validation=(X[:20], Y[:20]),
    )
    return recorder, result


def test_curves_are_the_whole_history_of_a_result():
    recorder, result = validated()
    curves = take_curves(recorder.records, result, 3)
    np.testing.assert_array_equal(curves.epochs, [1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(curves.training, result.history["loss"])
    np.testing.assert_allclose(curves.validation, result.history["validation_loss"])
    assert curves.returned == 3
    (pair,) = curves.metrics.values()
    for values, name in zip(pair, ("accuracy", "validation_accuracy"), strict=True):
        np.testing.assert_allclose(values, result.history[name])


def test_without_a_result_curves_are_those_of_recorded_epochs():
    recorder, result = validated()
    curves = take_curves(recorder.records, None, None)
    np.testing.assert_array_equal(curves.epochs, [1, 2, 3, 4, 6])
    kept = [0, 1, 2, 3, 5]
    np.testing.assert_allclose(curves.validation, result.history["validation_loss"][kept])
    assert curves.returned is None


def test_without_validation_there_is_no_curve_of_it():
    curves = take_curves(moons_run()[0].records, None, None)
    assert curves.validation is None
    assert not curves.metrics


def test_long_histories_are_thinned_to_their_last_epoch():
    recorder, result = validated()
    history = {"epoch": np.arange(9000), "loss": np.arange(9000.0)}
    curves = take_curves(recorder.records, result._replace(history=history), None)
    assert 1500 < len(curves.epochs) <= 2000
    assert curves.epochs[-1] == 9000
    np.testing.assert_array_equal(curves.epochs - 1, curves.training)


def test_a_run_of_no_epoch_has_empty_curves():
    curves = take_curves(record(noisy_params(MOONS, 0)).records, None, None)
    assert len(curves.epochs) == len(curves.training) == 0


def test_the_page_marks_the_epoch_that_was_returned():
    recorder, result = validated()
    arguments = {"criterion": losses.softmax_cross_entropy}
    with_mark = report.Report(recorder, MOONS, X, Y, result=result, **arguments).html
    without = report.Report(recorder, MOONS, X, Y, **arguments).html
    assert '"name":"returned-mark"' in with_mark
    assert '"name":"returned-mark"' not in without


@pytest.mark.parametrize(("stretch", "same"), [(1, True), (3.9, True), (4.1, False), (100, False)])
def test_axes_have_one_scale_unless_that_would_flatten_the_picture(stretch, same):
    square = np.array([[0.0, 0.0], [1.0, 1.0]])
    plane = plane_of_features(square * [1, stretch], (0, 1), NAMES, None)
    assert has_one_scale(plane) == same


def test_the_one_scale_is_that_of_what_the_network_sees():
    square = np.array([[0.0, 0.0], [1.0, 1.0]])
    wide = square * [1, 100]
    statistics = jaxmlp.Standardization(wide.mean(axis=0), wide.std(axis=0))
    assert has_one_scale(plane_of_features(wide, (0, 1), NAMES, statistics))
    assert has_one_scale(principal_plane(square * [2, 1] + [[0, 0], [0, 1]], None))


def test_the_figure_of_regions_has_the_proportions_of_the_plane():
    page = report.Report(*moons_run(), criterion=losses.softmax_cross_entropy).html
    width, height = (
        int(page.split(f'"frame_{side}":')[1].split(",")[0].split("}")[0])
        for side in ("width", "height")
    )
    window = np.ptp(plane_of_features(moons()[0], (0, 1), NAMES, None).window(), axis=1)
    # The page's window is that of its sample of rows, the sides are whole pixels.
    assert width / height == pytest.approx(window[0] / window[1], rel=0.15)


# Machado, Oliveira and Fernandes 2009, table 1 at full severity: protanopia, deuteranopia,
# tritanopia; first, normal vision.
VISIONS = np.array(
    [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]],
    ]
)  # fmt: skip


def linear(colour):
    values = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear sRGB, white D65."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(matrix) @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one, other, visions=VISIONS):
    return min(np.linalg.norm(lab(v @ linear(one)) - lab(v @ linear(other))) for v in visions)


def test_the_first_classes_are_told_apart_with_any_colour_vision():
    assert min(itertools.starmap(distance, itertools.combinations(CLASS_COLOURS[:5], 2))) > 19


@pytest.mark.parametrize("sign", ["#0072B2", "#C25100", "#56B4E9", "#F0883E"])
def test_no_class_has_the_colour_of_a_weight_s_sign(sign):
    assert sign in read_part("style.css")
    assert min(distance(colour, sign, VISIONS[:1]) for colour in CLASS_COLOURS) > 19


def test_colour_and_shape_together_are_those_of_one_class_alone():
    pairs = {(n % len(CLASS_COLOURS), n % len(CLASS_MARKERS)) for n in range(56)}
    assert len(pairs) == 56
