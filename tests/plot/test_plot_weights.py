"""Tests that cells are the kernels and biases, where they belong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.plot import plot_weights

CONFIG = jaxmlp.MLPConfig(in_features=3, hidden_features=(4, 20), out_features=2)
PARAMS = jaxmlp.init_params(CONFIG, key=jax.random.key(0))
LAYERS = (*PARAMS.hidden, PARAMS.output)


def names(axis, which):
    return [text.get_text() for text in getattr(axis, f"get_{which}ticklabels")()]


def test_a_cell_is_the_weight_from_an_input_to_a_unit_and_biases_are_below():
    for (top, bottom), dense in zip(plot_weights(PARAMS).T, LAYERS, strict=True):
        np.testing.assert_allclose(top.images[0].get_array(), dense.kernel)
        np.testing.assert_allclose(bottom.images[0].get_array(), dense.bias[None])
        # The first input is above.
        assert top.get_ylim()[0] > top.get_ylim()[1]


def test_white_is_0_and_a_layer_has_one_scale():
    for (top, bottom), dense in zip(plot_weights(PARAMS).T, LAYERS, strict=True):
        largest = max(float(jnp.abs(part).max()) for part in (dense.kernel, dense.bias))
        for axis in (top, bottom):
            np.testing.assert_allclose(axis.images[0].get_clim(), (-largest, largest))


def test_small_layers_have_their_numbers_on_the_cells():
    first, second, _ = plot_weights(PARAMS).T
    shown = [text.get_text() for text in first[0].texts]
    assert shown == [f"{value:.2g}" for value in np.asarray(PARAMS.hidden[0].kernel).ravel()]
    assert [text.get_text() for text in first[1].texts] == [
        f"{value:.2g}" for value in np.asarray(PARAMS.hidden[0].bias)
    ]
    assert not second[0].texts
    assert not second[1].texts


def test_layers_inputs_and_outputs_have_names():
    panels = plot_weights(PARAMS, feature_names=["a", "$b$", "c"], output_names=["no", "yes"])
    assert [axis.get_title() for axis in panels[0]] == ["hidden[0]", "hidden[1]", "output"]
    assert names(panels[0, 0], "y") == ["a", r"\$b\$", "c"]
    assert names(panels[1, 2], "x") == ["no", "yes"]
    assert [axis.get_ylabel() for axis in panels[0]] == [
        *("input", "unit of hidden[0]", "unit of hidden[1]"),
    ]


def test_it_is_said_where_inputs_are_standardised():
    x = np.random.default_rng(0).normal(size=(5, 3))
    panels = plot_weights(jaxmlp.with_standardization(PARAMS, x))
    assert panels[0, 0].get_ylabel() == "input, standardised"


def test_many_names_are_left_out():
    config = jaxmlp.MLPConfig(in_features=40, out_features=1)
    params = jaxmlp.init_params(config, key=jax.random.key(0))
    panels = plot_weights(params, feature_names=[f"pixel {number}" for number in range(40)])
    assert len(panels[0, 0].get_yticks()) < 10


def test_a_bias_that_there_is_not_leaves_its_axes_empty(tmp_path):
    config = jaxmlp.MLPConfig(in_features=2, out_features=2, use_bias=False)
    ((top,), (bottom,)) = plot_weights(jaxmlp.init_params(config, key=jax.random.key(0)))
    assert not bottom.axison
    assert top.get_xlabel() == "output"
    top.get_figure().savefig(tmp_path / "weights.png")


def test_weights_that_are_all_0_are_white():
    top = plot_weights(jax.tree.map(jnp.zeros_like, PARAMS))[0, 0]
    # The middle of RdBu.
    np.testing.assert_allclose(top.images[0].to_rgba(0.0)[:3], (0.97, 0.97, 0.97), atol=0.01)


class TestRefused:
    pytestmark = pytest.mark.bad_input

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"params": [1]}, TypeError, "params must be a jaxmlp.Params; got a list"),
            (
                {"params": jax.tree.map(lambda a: a[None], PARAMS)},
                ValueError,
                r"params must be those of one network.*result\.member\(number\)",
            ),
            (
                {"params": jax.tree.map(lambda a: a * np.float32(np.nan), PARAMS)},
                ValueError,
                "params must be finite",
            ),
            ({"feature_names": ["a"]}, ValueError, "feature_names must be 3 names.*got 1"),
            ({"output_names": 3}, TypeError, "output_names must be a list of 2 names; got 3"),
            ({"axes": "text"}, TypeError, r"axes must be an array .* shape \(2, 3\)"),
        ],
    )
    def test_an_argument(self, arguments, error, message):
        given = {"params": PARAMS} | arguments
        with pytest.raises(error, match=message):
            plot_weights(given.pop("params"), **given)
