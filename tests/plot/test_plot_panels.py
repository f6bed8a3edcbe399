"""Tests that pictures are drawn where they are asked for, and change nothing else."""

import subprocess
import sys
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import jaxmlp
from jaxmlp import plot

CONFIG = jaxmlp.MLPConfig(in_features=2, hidden_features=(3,), out_features=2)
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
X = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
Y = np.arange(20) % 2
RUN = jaxmlp.FitResult({}, {"epoch": np.arange(2), "loss": np.ones(2)}, None, 1, "epochs")
PROBABILITIES = np.full((20, 2), 0.5)

ONE = {
    plot.plot_calibration: lambda **ax: plot.plot_calibration(PROBABILITIES, Y, **ax),
    plot.plot_confusion: lambda **ax: plot.plot_confusion(PROBABILITIES, Y, **ax),
    plot.plot_decision_regions: lambda **ax: plot.plot_decision_regions(
        PARAMS, X, Y, config=CONFIG, **ax
    ),
}
MANY = {
    plot.plot_history: (lambda **axes: plot.plot_history(RUN, **axes), (1,)),
    plot.plot_layers: (
        lambda **axes: plot.plot_layers(
            PARAMS,
            jaxmlp.Batch(X, Y),
            config=CONFIG,
            criterion=jaxmlp.losses.softmax_cross_entropy,
            **axes,
        ),
        (2, 3),
    ),
    plot.plot_weights: (lambda **axes: plot.plot_weights(PARAMS, **axes), (2, 2)),
}
DRAW = [*ONE.values(), *(draw for draw, _ in MANY.values())]


def name_of(function):
    return getattr(function, "__name__", None)


def figure_of(axes):
    return np.atleast_1d(axes).flat[0].figure.figure


@pytest.mark.parametrize("function", ONE, ids=name_of)
def test_one_picture_is_drawn_into_the_axes_given(function):
    axis = Figure(layout="constrained").subfigures(1, 2)[1].subplots()
    assert ONE[function](ax=axis) is axis
    assert axis.has_data()


@pytest.mark.parametrize("function", MANY, ids=name_of)
def test_pictures_are_drawn_into_the_axes_given(function):
    draw, shape = MANY[function]
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    axes = Figure(layout="constrained").subplots(rows, columns, squeeze=False)
    drawn = draw(axes=axes)
    assert drawn.shape == shape
    assert all(one is other for one, other in zip(drawn.flat, axes.flat, strict=True))
    assert all(axis.has_data() for axis in drawn.flat)


@pytest.mark.parametrize("function", MANY, ids=name_of)
def test_a_wrong_number_of_axes_is_refused(function):
    draw, shape = MANY[function]
    with pytest.raises(ValueError, match=rf"axes must have shape \({shape[0]},.*got shape \(7,\)"):
        draw(axes=Figure().subplots(1, 7))


@pytest.mark.parametrize("draw", DRAW)
def test_no_setting_of_matplotlib_is_changed(draw, tmp_path):
    before = dict(matplotlib.rcParams)
    figure_of(draw()).savefig(tmp_path / "picture.png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("draw", DRAW)
def test_two_calls_share_no_figure(draw):
    assert figure_of(draw()) is not figure_of(draw())


def test_lines_are_light_in_a_dark_style():
    with matplotlib.rc_context({"text.color": "white"}):
        axis = ONE[plot.plot_decision_regions]()
    rings = axis.collections[-1]
    np.testing.assert_array_equal(rings.get_edgecolor()[0], [1, 1, 1, 1])


def test_pyplot_is_not_imported():
    script = "import sys, jaxmlp.plot; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_every_picture_is_looked_at_here_or_is_that_of_a_search():
    assert {f.__name__ for f in (*ONE, *MANY)} | {"plot_search"} == set(plot.__all__)
    assert len(list(Path(plot.__file__).parent.glob("*.py"))) > len(plot.__all__)
