"""Tests that histograms of layers are those of z, a and dL/dz."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import losses
from jaxmlp.plot import plot_layers

CONFIG = jaxmlp.MLPConfig(
    in_features=3, hidden_features=(6, 5), out_features=2, kernel_init="he_normal"
)
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
GENERATOR = np.random.default_rng(0)
BATCH = jaxmlp.Batch(GENERATOR.normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2)
CRITERION = losses.softmax_cross_entropy


def draw(params=PARAMS, batch=BATCH, config=CONFIG, criterion=CRITERION, **settings):
    return plot_layers(params, batch, config=config, criterion=criterion, **settings)


def values(batch=BATCH):
    """z, a and |dL/dz| by layer, the last by automatic differentiation of added offsets."""
    layers = jaxmlp.intermediates(PARAMS, batch.x, config=CONFIG)

    def loss(offsets):
        h = batch.x
        for dense, offset in zip(PARAMS.hidden, offsets[:-1], strict=True):
            h = jax.nn.relu(h @ dense.kernel + dense.bias + offset)
        outputs = h @ PARAMS.output.kernel + PARAMS.output.bias + offsets[-1]
        return jaxmlp.weighted_mean(CRITERION(outputs, batch.y), batch.weight)

    gradients = jax.grad(loss)([jnp.zeros_like(layer.net_input) for layer in layers])
    return [
        (layer.net_input, layer.activation, jnp.abs(gradient))
        for layer, gradient in zip(layers, gradients, strict=True)
    ]


def shares(axis):
    (stairs,) = axis.patches
    heights, edges, _ = stairs.get_data()
    return heights, edges


def texts(axis):
    (text,) = axis.texts
    return text.get_text()


def test_bars_are_shares_of_the_values_of_each_layer():
    for row, parts in zip(draw(), values(), strict=True):
        for axis, part in zip(row[:2], parts[:2], strict=True):
            heights, edges = shares(axis)
            # Values are within float32 of an edge at times.
            assert np.isclose(heights.sum(), 1)
            below = np.mean(np.asarray(part)[..., None] < edges[1:-1], axis=(0, 1))
            np.testing.assert_allclose(np.cumsum(heights)[:-1], below, atol=0.01)


def test_sizes_of_gradients_are_on_one_logarithmic_axis():
    panels = draw()
    edges = shares(panels[0, 2])[1]
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))
    for axis, (*_, gradient) in zip(panels[:, 2], values(), strict=True):
        heights, own = shares(axis)
        assert axis.get_xscale() == "log"
        np.testing.assert_array_equal(own, edges)
        # Zeros have no place on the axis.
        assert np.isclose(heights.sum(), np.mean(gradient != 0))
        below = np.mean((gradient > 0) & (gradient < edges[25]))
        assert abs(heights[:25].sum() - below) < 0.01


def test_the_root_of_the_mean_square_and_the_share_of_zeros_are_told():
    for row, parts in zip(draw(), values(), strict=True):
        for axis, part in zip(row, parts, strict=True):
            rms, *zeros = texts(axis).splitlines()
            assert float(rms.removeprefix("rms ")) == pytest.approx(
                float(jnp.sqrt(jnp.mean(jnp.square(part)))),
                rel=0.06,  # of two digits
            )
            found = np.mean(np.asarray(part) == 0)
            assert zeros == ([f"{found:.0%} are 0"] if found else [])


def test_hidden_layers_have_the_same_axes():
    panels = draw()
    for column in (0, 1):
        assert panels[0, column].get_xlim() == panels[1, column].get_xlim()
        assert panels[2, column].get_xlim() != panels[1, column].get_xlim()


def test_titles_name_the_layer_and_its_function():
    titles = [[axis.get_title() for axis in row] for row in draw()]
    assert titles[0] == [
        "hidden[0]: net input z",
        "hidden[0]: activation a, relu",
        "hidden[0]: gradient |dL/dz|",
    ]
    assert titles[2][1] == "output: activation a = z"


def test_rows_of_weight_0_are_left_out():
    weight = np.float32([1] * 30 + [0] * 10)
    padded = BATCH._replace(x=BATCH.x * (1 + 99 * (weight == 0))[:, None], weight=weight)
    alone = jaxmlp.Batch(BATCH.x[:30], BATCH.y[:30])
    for one, other in zip(draw(batch=padded).flat, draw(batch=alone).flat, strict=True):
        # The mean over 40 rows, 10 of them 0, is rounded otherwise.
        np.testing.assert_allclose(shares(one)[1], shares(other)[1], rtol=1e-5)
        np.testing.assert_allclose(shares(one)[0], shares(other)[0], atol=0.01)


def test_layers_that_are_all_zero_are_drawn(tmp_path):
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    batch = BATCH._replace(y=np.full((40, 2), 0.5, np.float32))
    panels = draw(zeros, batch)
    assert texts(panels[0, 2]) == "rms 0\n100% are 0"
    panels[0, 0].get_figure().savefig(tmp_path / "layers.png")


@pytest.mark.parametrize("activation", ["geglu", "tanh"])
def test_norms_and_gates_are_drawn(activation, tmp_path):
    config = jaxmlp.MLPConfig(
        in_features=3,
        hidden_features=(4, 4),
        out_features=1,
        activation=activation,
        norm="rms",
        output_activation="sigmoid",
    )
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    batch = BATCH._replace(y=np.ones(40, np.float32))
    panels = draw(params, batch, config, losses.squared_error)
    assert panels[2, 1].get_title() == "output: activation a, sigmoid"
    panels[0, 0].get_figure().savefig(tmp_path / "layers.png")


class TestRefused:
    pytestmark = pytest.mark.bad_input

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"params": "text"}, TypeError, "params must be a jaxmlp.Params"),
            ({"batch": (BATCH.x, BATCH.y)}, TypeError, "needs a jaxmlp.Batch"),
            ({"config": 3}, TypeError, "config must be a jaxmlp.MLPConfig"),
            ({"criterion": "mse"}, TypeError, "criterion must be a function"),
            ({"axes": 3}, TypeError, r"axes must be an array of matplotlib Axes, shape \(3, 3\)"),
            (
                {"batch": BATCH._replace(weight=np.zeros(40, np.float32))},
                ValueError,
                "batch must have a row of weight above 0",
            ),
            (
                {"batch": BATCH._replace(x=np.full((40, 3), np.inf, np.float32))},
                ValueError,
                "batch and params must give finite numbers",
            ),
        ],
    )
    def test_an_argument(self, arguments, error, message):
        with pytest.raises(error, match=message):
            draw(**arguments)
