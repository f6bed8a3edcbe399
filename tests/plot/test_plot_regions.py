"""Tests that regions, boundaries and marks are those of the network."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from matplotlib.image import AxesImage

import jaxmlp
from jaxmlp.plot import plot_decision_regions
from jaxmlp.plot.names import class_color

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 2)).astype(np.float32)
X4 = GENERATOR.normal(size=(60, 4)).astype(np.float32) * np.float32([1, 5, 0.1, 2]) + 3


def make(**settings):
    config = jaxmlp.MLPConfig(
        **{"in_features": 2, "out_features": 2, "kernel_init": "he_normal"} | settings
    )
    return config, jaxmlp.init_params(config, key=jax.random.key(3))


def one_output(kernel, bias, **settings):
    """A perceptron: one output, by its numbers."""
    config = jaxmlp.MLPConfig(in_features=len(kernel), out_features=1, **settings)
    kernel = jnp.asarray(kernel, jnp.float32)[:, None]
    return config, jaxmlp.Params((), jaxmlp.Dense(kernel, jnp.full(1, bias, jnp.float32)))


def labels(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def grid_of(axis):
    """Colours, without their strengths, and places of the image's pixels."""
    (image,) = (artist for artist in axis.get_children() if isinstance(artist, AxesImage))
    colors = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    rows, columns = colors.shape[:2]
    u = left + (np.arange(columns) + 0.5) * (right - left) / columns
    v = low + (np.arange(rows) + 0.5) * (high - low) / rows
    return colors, u, v


def contours(axis):
    return [artist for artist in axis.get_children() if isinstance(artist, ContourSet)]


def vertices(contour):
    return np.concatenate([path.vertices for path in contour.get_paths()])


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_pixel_has_the_colour_of_the_class_that_is_predicted_there(classes):
    config, params = make(out_features=classes, hidden_features=(8,))
    y = np.arange(60) % classes
    colors, u, v = grid_of(plot_decision_regions(params, X, y, config=config))
    points = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2).astype(np.float32)
    outputs = np.sort(jaxmlp.apply(params, points, config=config), axis=-1)
    decided = np.asarray(jaxmlp.apply(params, points, config=config)).argmax(axis=-1)
    expected = np.array([class_color(number) for number in range(classes)])[decided]
    # Where two classes are equal to rounding, either is right.
    clear = outputs[:, -1] - outputs[:, -2] > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_allclose(colors[..., :3].reshape(-1, 3)[clear], expected[clear])


def test_a_region_is_stronger_where_its_class_is_more_probable():
    config, params = one_output([1.0, 0.0], 0.0)
    colors, u, _ = grid_of(plot_decision_regions(params, X, X[:, 0] > 0, config=config))
    strength = colors[0, :, 3]
    probability = 1 / (1 + np.exp(-np.abs(u)))
    # Even odds are weakest, certainty strongest, linearly in the probability.
    assert np.corrcoef(strength, probability)[0, 1] > 1 - 1e-6
    assert strength.min() >= 0.1


@pytest.mark.parametrize(
    ("settings", "bias"), [({}, -0.5), ({"output_activation": "sigmoid"}, -0.5)]
)
def test_the_boundary_of_one_output_is_at_even_odds(settings, bias):
    config, params = one_output([1.0, 2.0], bias, **settings)
    axis = plot_decision_regions(params, X, (X @ [1, 2]) > 0.5, config=config)
    (boundary,) = contours(axis)
    # x[0] + 2 x[1] = 0.5, between places of a grid of 256 over about 5; sigmoid bends a little.
    np.testing.assert_allclose(vertices(boundary) @ [1, 2], 0.5, atol=1e-3)
    assert "wrong" not in " ".join(labels(axis))


def test_boundaries_are_where_the_two_best_classes_tie():
    config, params = make(out_features=3, hidden_features=(8,))
    axis = plot_decision_regions(params, X, np.arange(60) % 3, config=config)
    for boundary in contours(axis):
        points = vertices(boundary).astype(np.float32)
        outputs = np.sort(jaxmlp.apply(params, points, config=config), axis=-1)
        # Linear between places of the grid, 0.02 apart, which bends where a third class joins.
        np.testing.assert_allclose(outputs[:, -1], outputs[:, -2], atol=0.02)


@pytest.mark.parametrize("layer", [0, 1])
def test_zero_lines_are_where_a_unit_has_no_net_input(layer):
    config, params = make(hidden_features=(5, 4), activation="tanh")
    y = np.arange(60) % 2
    without = plot_decision_regions(params, X, y, config=config)
    axis = plot_decision_regions(params, X, y, config=config, zero_lines=layer)
    lines = contours(axis)[len(contours(without)) :]
    assert 1 <= len(lines) <= (5, 4)[layer]
    for line in lines:
        points = vertices(line).astype(np.float32)
        net_input = jaxmlp.intermediates(params, points, config=config)[layer].net_input
        assert np.abs(net_input).max(axis=0).min() < 5e-3
    assert labels(axis)[-1] == f"z = 0 of hidden[{layer}]"


def test_rows_stand_at_their_inputs_in_the_colour_of_their_class():
    config, params = make()
    y = np.arange(60) % 2
    axis = plot_decision_regions(params, X, y, config=config, class_names=["no", "$ or $"])
    for number, points in enumerate(axis.collections[-3:-1]):
        np.testing.assert_array_equal(points.get_offsets(), X[y == number])
        assert to_rgb(points.get_facecolor()[0]) == class_color(number)
    assert labels(axis)[:2] == ["no", r"\$ or \$"]


def test_rows_that_the_network_gets_wrong_have_rings():
    config, params = one_output([1.0, 0.0, 3.0, 0.0], 0.0)
    y = X4[:, 0] > 3
    wrong = (np.asarray(jaxmlp.apply(params, X4, config=config))[:, 0] > 0) != y
    axis = plot_decision_regions(params, X4, y, config=config, features=(0, 2))
    rings = axis.collections[-1]
    np.testing.assert_allclose(rings.get_offsets(), X4[wrong][:, [0, 2]])
    assert labels(axis)[-1] == f"wrong: {wrong.sum()} of 60 rows"


def test_the_other_inputs_are_at_their_medians():
    config, params = one_output([1.0, 0.7, -1.0, 0.2], 0.3)
    frame = pd.DataFrame(X4, columns=["a", "b", "c", "d"])
    middle = np.median(X4, axis=0)
    shifted = params._replace(output=params.output._replace(bias=-middle @ params.output.kernel))
    y = np.arange(60) % 2
    axis = plot_decision_regions(shifted, frame, y, config=config, features=("d", "b"))
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("d", "b")
    assert axis.get_title() == "the other 2 inputs at their medians"
    (boundary,) = contours(axis)
    offsets = vertices(boundary) - middle[[3, 1]]
    np.testing.assert_allclose(offsets @ [0.2, 0.7], 0, atol=1e-3)


@pytest.mark.parametrize("standardised", [False, True])
def test_the_principal_plane_is_that_of_what_the_network_sees(standardised):
    config, params = make(in_features=4, hidden_features=(6,))
    if standardised:
        params = jaxmlp.with_standardization(params, X4)
    y = np.arange(60) % 2
    axis = plot_decision_regions(params, X4, y, config=config)
    seen = X4.astype(np.float64)
    if standardised:
        seen = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    left, sizes, _ = np.linalg.svd(seen - seen.mean(axis=0), full_matrices=False)
    scores = (left * sizes)[:, :2]
    places = np.concatenate([points.get_offsets()[:] for points in axis.collections[-3:-1]])
    order = np.argsort(y, kind="stable")
    # Signs are ours; standardised in float32.
    np.testing.assert_allclose(np.abs(places), np.abs(scores[order]), rtol=1e-4, atol=1e-4)
    share = (sizes[:2] ** 2).sum() / (sizes**2).sum()
    assert f"{share:.0%} of the variance" in axis.get_title()
    assert ("standardised" in axis.get_title()) == standardised


def test_a_place_of_the_principal_plane_is_the_input_that_projects_to_it():
    config, params = make(in_features=4, hidden_features=(6,), out_features=1)
    params = jaxmlp.with_standardization(params, X4)
    # Two directions alone, so that the plane holds every row.
    flat = X4[:, :2] @ np.float32([[1, 0, 2, 1], [0, 1, 1, -1]])
    params = jaxmlp.with_standardization(params, flat)
    y = np.asarray(jaxmlp.apply(params, flat, config=config))[:, 0] > 0
    axis = plot_decision_regions(params, flat, y, config=config)
    colors, u, v = grid_of(axis)
    for number in (False, True):
        points = axis.collections[-2 + number].get_offsets()
        columns, rows = (
            np.abs(points[:, [k]] - side).argmin(axis=1) for k, side in ((0, u), (1, v))
        )
        agree = np.isclose(colors[rows, columns, :3], class_color(int(number))).all(axis=1)
        # A pixel at the boundary is of either class.
        assert agree.mean() > 0.9


def test_regions_of_many_classes_have_names():
    config, params = make(out_features=6, hidden_features=(8,))
    axis = plot_decision_regions(params, X, np.arange(60) % 6, config=config)
    colors, u, v = grid_of(axis)
    assert len(axis.texts) > 1
    for text in axis.texts:
        x, y = text.get_position()
        column, row = np.abs(u - x).argmin(), np.abs(v - y).argmin()
        np.testing.assert_allclose(colors[row, column, :3], class_color(int(text.get_text())))


@pytest.mark.parametrize("activation", ["swiglu", "relu"])
def test_norms_gates_and_residuals_are_drawn(activation, tmp_path):
    config, params = make(
        hidden_features=(4, 4), activation=activation, norm="layer", residual=True
    )
    axis = plot_decision_regions(params, X, np.arange(60) % 2, config=config, zero_lines=1)
    axis.get_figure().savefig(tmp_path / "regions.png")


class TestRefused:
    pytestmark = pytest.mark.bad_input

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"y": X[:, 0]}, ValueError, r"y must be classes of the network, integers in \[0, 2\)"),
            ({"y": np.full(60, 2)}, ValueError, r"integers in \[0, 2\); got numbers from 2 to 2"),
            ({"y": np.zeros(3)}, ValueError, r"one class per row of x, shape \(60,\); got \(3,\)"),
            ({"y": "text"}, TypeError, "y must be an array of real numbers"),
            ({"x": X[:, None]}, ValueError, r"x must have shape \(rows, 2\)"),
            ({"x": X4}, ValueError, r"x has 4 features .* x.shape=\(60, 4\)"),
            ({"params": X}, TypeError, r"params must be a jaxmlp.Params.*result.params"),
            ({"config": None}, TypeError, "config must be a jaxmlp.MLPConfig"),
            ({"zero_lines": 1}, ValueError, "zero_lines must be an int .* below 1; got 1"),
            ({"zero_lines": True}, TypeError, "zero_lines must be an int"),
            ({"features": (0, 0)}, ValueError, "features must be two different ones"),
            ({"features": (0, 2)}, ValueError, "features must be an int .* below 2; got 2"),
            ({"features": ("x[0]", "b")}, ValueError, r"features must be names of .*; got 'b'"),
            ({"features": "ab"}, TypeError, "features must be two numbers or names"),
            ({"features": (0,)}, TypeError, "features must be two numbers or names"),
            (
                {"feature_names": ["a"]},
                ValueError,
                "feature_names must be 2 names, one each; got 1",
            ),
            ({"class_names": "ab"}, TypeError, "class_names must be a list of 2 names; got 'ab'"),
            ({"ax": 3}, TypeError, "ax must be matplotlib Axes"),
        ],
    )
    def test_an_argument(self, arguments, error, message):
        config, params = make(hidden_features=(3,))
        given = {"params": params, "x": X, "y": np.arange(60) % 2, "config": config} | arguments
        with pytest.raises(error, match=message):
            plot_decision_regions(given.pop("params"), given.pop("x"), given.pop("y"), **given)

    def test_a_network_of_one_input(self):
        config, params = one_output([1.0], 0.0)
        with pytest.raises(ValueError, match="needs a network of at least two inputs"):
            plot_decision_regions(params, X[:, :1], X[:, 0] > 0, config=config)

    def test_zero_lines_without_a_hidden_layer(self):
        config, params = one_output([1.0, 1.0], 0.0)
        with pytest.raises(ValueError, match="zero_lines needs a hidden layer"):
            plot_decision_regions(params, X, X[:, 0] > 0, config=config, zero_lines=0)

    def test_rows_that_are_all_the_same(self):
        config, params = make(in_features=4)
        with pytest.raises(ValueError, match="x must have rows that differ"):
            plot_decision_regions(params, np.ones((5, 4)), np.zeros(5, int), config=config)

    def test_parameters_that_are_not_finite(self):
        config, params = one_output([np.nan, 1.0], 0.0)
        with pytest.raises(ValueError, match="params must give finite outputs"):
            plot_decision_regions(params, X, X[:, 0] > 0, config=config)

    def test_parameters_of_members(self):
        config, params = make()
        members = jax.tree.map(lambda a: jnp.stack([a, a]), params)
        with pytest.raises(ValueError, match=r"params must be those of one .*member\(number\)"):
            plot_decision_regions(members, X, X[:, 0] > 0, config=config)
