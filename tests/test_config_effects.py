"""Tests that `jaxmlp.MLPConfig` refuses numbers out of range and options without an effect."""

import math

import pytest

from jaxmlp import MLPConfig


def config_with(**fields):
    """A config with one hidden layer, but for the given fields."""
    return MLPConfig(
        **{"in_features": 3, "hidden_features": (8,), "out_features": 2, **fields}  # type: ignore
    )


@pytest.mark.bad_input
@pytest.mark.parametrize("names", [("tanh",), ("tanh", "relu", "relu"), ()])
def test_there_must_be_one_activation_name_per_hidden_layer(names):
    message = f"one name per hidden layer; got {len(names)} names .* for 2 hidden layers"
    with pytest.raises(ValueError, match=message):
        config_with(hidden_features=(8, 4), activation=names)


@pytest.mark.bad_input
def test_an_unknown_activation_is_named_by_its_index():
    with pytest.raises(ValueError, match=r"activation\[1\] must be one of .*; got 'Tanh'"):
        config_with(hidden_features=(8, 4), activation=("tanh", "Tanh"))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan, math.inf])
def test_a_dropout_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match=rf"dropout_rate must be in \[0, 1\); got {rate}"):
        config_with(dropout_rate=rate)


@pytest.mark.parametrize("rate", [0.0, 0.5, math.nextafter(1, 0)])
def test_a_dropout_rate_in_range_is_accepted(rate):
    assert config_with(dropout_rate=rate).dropout_rate == rate


@pytest.mark.bad_input
def test_an_int_is_a_number():
    assert config_with(dropout_rate=0) == config_with(dropout_rate=0.0)


@pytest.mark.parametrize("scale", [-1e-9, math.nan, math.inf])
def test_an_output_kernel_scale_out_of_range_is_refused(scale):
    message = f"output_kernel_scale must be finite and at least 0; got {scale}"
    with pytest.raises(ValueError, match=message):
        config_with(output_kernel_scale=scale)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("field", "requirement"),
    [("dropout_rate", r"in \[0, 1\)"), ("output_kernel_scale", "finite and at least 0")],
)
@pytest.mark.parametrize("value", [True, "0.5", None])
def test_a_number_must_be_a_number(field, requirement, value):
    with pytest.raises(TypeError, match=f"{field} must be a number {requirement}; got {value!r}"):
        config_with(**{field: value})


@pytest.mark.bad_input
@pytest.mark.parametrize("field", ["residual", "use_bias"])
@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_a_switch_must_be_true_or_false(field, value):
    with pytest.raises(TypeError, match=f"{field} must be True or False; got {value!r}"):
        config_with(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dropout_rate", 0.5),
        ("norm", "layer"),
    ],
)
def test_an_option_for_hidden_layers_is_refused_without_them(field, value):
    message = (
        rf"{field} acts on hidden layers, but hidden_features is \(\).*; got {field}={value!r}"
    )
    with pytest.raises(ValueError, match=message):
        config_with(hidden_features=(), **{field: value})


@pytest.mark.parametrize("epsilon", [0.0, -1e-5, math.nan, math.inf])
def test_a_norm_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(ValueError, match=f"norm_epsilon must be finite and above 0; got {epsilon}"):
        config_with(norm="rms", norm_epsilon=epsilon)


@pytest.mark.parametrize("widths", [(), (8,)])
def test_a_norm_epsilon_is_refused_without_a_norm(widths):
    message = "norm_epsilon acts on norms, but norm is None; .*; got norm_epsilon=0.001"
    with pytest.raises(ValueError, match=message):
        config_with(hidden_features=widths, norm_epsilon=1e-3)


def test_mup_is_refused_without_hidden_layers():
    with pytest.raises(ValueError, match="mup_base_width acts on hidden layers"):
        config_with(hidden_features=(), kernel_init="mup", mup_base_width=8)


@pytest.mark.parametrize("widths", [(), (8,), (8, 8)])
def test_an_activation_is_a_setting_of_networks_of_any_depth(widths):
    assert config_with(hidden_features=widths, activation="tanh").activation == "tanh"


def test_an_empty_tuple_of_activations_fits_a_linear_model():
    assert config_with(hidden_features=(), activation=()).hidden_activations == ()


@pytest.mark.parametrize("widths", [(), (8,), (8, 4), (8, 8, 4)])
def test_residual_needs_two_hidden_layers_of_one_width(widths):
    message = "residual needs at least two hidden layers, all of one width.*; got hidden_features="
    with pytest.raises(ValueError, match=message):
        config_with(hidden_features=widths, residual=True)


def test_residual_is_accepted_for_layers_of_one_width():
    assert config_with(hidden_features=(8, 8, 8), residual=True).residual


@pytest.mark.parametrize(
    "fields",
    [{"kernel_init": "mup"}, {"mup_base_width": 8}, {"kernel_init": "torch", "mup_base_width": 8}],
)
def test_mup_and_its_base_width_come_together(fields):
    message = "mup_base_width must be given with kernel_init='mup' and only then; got kernel_init="
    with pytest.raises(ValueError, match=message):
        config_with(**fields)


@pytest.mark.bad_input
@pytest.mark.parametrize(("width", "error"), [(0, ValueError), (8.0, TypeError), (True, TypeError)])
def test_the_mup_base_width_must_be_a_width(width, error):
    with pytest.raises(error, match=f"mup_base_width must be an int of at least 1; got {width}"):
        config_with(kernel_init="mup", mup_base_width=width)
