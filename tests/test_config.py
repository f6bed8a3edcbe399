"""Tests of `jaxmlp.MLPConfig`: what it accepts, what it refuses, and JSON there and back."""

import dataclasses
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmlp import MLPConfig
from jaxmlp.network import ELEMENTWISE_ACTIVATIONS, GATED_ACTIVATIONS, INITS_WITH_GAIN, KERNEL_INITS

WIDTHS = st.integers(1, 4096)
ACTIVATION_NAMES = st.sampled_from((*ELEMENTWISE_ACTIVATIONS, *GATED_ACTIVATIONS))
DTYPES = st.sampled_from(("bfloat16", "float16", "float32", "float64"))


@st.composite
def valid_fields(draw):
    """The fields of any valid config. Tests build it, since type checkers draw random numbers."""
    depth = draw(st.integers(0, 4))
    residual = depth > 1 and draw(st.booleans())
    if residual:
        hidden = (draw(WIDTHS),) * depth
    else:
        hidden = tuple(draw(st.lists(WIDTHS, min_size=depth, max_size=depth)))
    fields = {
        "in_features": draw(WIDTHS),
        "hidden_features": hidden,
        "out_features": draw(WIDTHS),
        "output_activation": draw(
            st.none() | st.sampled_from((*ELEMENTWISE_ACTIVATIONS, "softmax"))
        ),
        "residual": residual,
        "use_bias": draw(st.booleans()),
        "output_kernel_scale": draw(st.floats(0, 1e30)),
        "param_dtype": draw(DTYPES),
        "compute_dtype": draw(st.none() | DTYPES),
    }
    allowed_inits = [name for name in KERNEL_INITS if depth or name != "mup"]
    fields["kernel_init"] = draw(st.sampled_from(allowed_inits))
    if fields["kernel_init"] == "mup":
        fields["mup_base_width"] = draw(WIDTHS)
    if depth:
        per_layer = st.lists(ACTIVATION_NAMES, min_size=depth, max_size=depth).map(tuple)
        fields["activation"] = draw(ACTIVATION_NAMES | per_layer)
        fields["dropout_rate"] = draw(st.floats(0, 1, exclude_max=True))
        if norm := draw(st.sampled_from((None, "layer", "rms"))):
            fields |= {"norm": norm, "norm_epsilon": draw(st.floats(1e-12, 1.0))}
        if fields["kernel_init"] in INITS_WITH_GAIN:
            fields["hidden_gain"] = draw(st.none() | st.floats(0, 1e30, exclude_min=True))
    return fields


def config_with(**fields):
    """A config with one hidden layer, but for the given fields."""
    return MLPConfig(
        **{"in_features": 3, "hidden_features": (8,), "out_features": 2, **fields}  # type: ignore
    )


def test_only_the_lengths_of_input_and_output_are_required():
    required = [
        field.name
        for field in dataclasses.fields(MLPConfig)
        if field.default is dataclasses.MISSING
    ]
    assert required == ["in_features", "out_features"]


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("hidden_features", ()),
        ("activation", "relu"),
        ("output_activation", None),
        ("dropout_rate", 0.0),
        ("norm", None),
        ("norm_epsilon", 1e-5),
        ("residual", False),
        ("use_bias", True),
        ("kernel_init", "rich"),
        ("output_kernel_scale", 1.0),
        ("hidden_gain", None),
        ("mup_base_width", None),
        ("param_dtype", "float32"),
        ("compute_dtype", None),
    ],
)
def test_the_default_is_the_documented_one(field, default):
    assert getattr(MLPConfig(in_features=3, out_features=2), field) == default


def test_fields_cannot_be_reassigned():
    config = config_with()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.in_features = 4  # type: ignore


@pytest.mark.bad_input
def test_fields_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        MLPConfig(3, (8,), 2)  # type: ignore


@settings(derandomize=True, deadline=None)
@given(valid_fields())
def test_a_config_survives_json(fields):
    config = MLPConfig(**fields)
    assert MLPConfig.from_json(config.to_json()) == config


@settings(derandomize=True, deadline=None)
@given(valid_fields())
def test_json_restores_the_type_of_every_field(fields):
    config = MLPConfig(**fields)
    restored = MLPConfig.from_json(config.to_json())
    assert [type(value) for value in dataclasses.astuple(restored)] == [
        type(value) for value in dataclasses.astuple(config)
    ]


@settings(derandomize=True, deadline=None)
@given(valid_fields())
def test_equal_configs_have_equal_hashes(fields):
    config = MLPConfig(**fields)
    assert hash(dataclasses.replace(config)) == hash(config)


@pytest.mark.parametrize(
    "change",
    [
        {"in_features": 4},
        {"hidden_features": (8, 8)},
        {"activation": "tanh"},
        {"dropout_rate": 0.5},
        {"kernel_init": "torch"},
        {"compute_dtype": "bfloat16"},
    ],
)
def test_configs_that_differ_in_a_field_are_not_equal(change):
    assert config_with(**change) != config_with()


def test_json_names_every_field():
    written = json.loads(config_with().to_json())
    assert list(written) == [field.name for field in dataclasses.fields(MLPConfig)]


def test_json_may_leave_out_fields_that_have_a_default():
    text = '{"in_features": 3, "hidden_features": [8], "out_features": 2}'
    assert MLPConfig.from_json(text) == config_with()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("in_features: 3", "must be a JSON object; Expecting value"),
        ("", "must be a JSON object; Expecting value"),
        ("[3, 2]", r"must be a JSON object; got '\[3, 2\]'"),
        ("3", "must be a JSON object; got '3'"),
        ("null", "must be a JSON object; got 'null'"),
        ('{"in_features": 3}', r"needs the fields \['out_features'\]; got \['in_features'\]"),
        ("{}", r"needs the fields \['in_features', 'out_features'\]; got \[\]"),
        (
            '{"in_features": 3, "out_features": 2, "widths": [8]}',
            r"got the unknown \['widths'\]. Was it written by a newer jaxmlp\?",
        ),
    ],
)
def test_text_that_is_no_config_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        MLPConfig.from_json(text)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("member", "error", "message"),
    [
        ('"in_features": 3.0', TypeError, "in_features must be an int of at least 1; got 3.0"),
        ('"in_features": [3]', TypeError, r"in_features must be an int of at least 1; got \(3,\)"),
        ('"in_features": 3, "dropout_rate": NaN', ValueError, r"dropout_rate must be in \[0, 1\)"),
        ('"in_features": 3, "norm": "batch"', ValueError, "norm must be one of"),
    ],
)
def test_a_bad_value_in_json_is_refused_as_in_python(member, error, message):
    with pytest.raises(error, match=message):
        MLPConfig.from_json(f'{{"out_features": 2, "hidden_features": [8], {member}}}')


@pytest.mark.bad_input
@pytest.mark.parametrize("field", ["in_features", "out_features", "hidden_features[0]"])
@pytest.mark.parametrize(
    ("width", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (True, TypeError),
        (3.0, TypeError),
        ("3", TypeError),
        (None, TypeError),
        (np.int64(3), TypeError),
    ],
)
def test_a_width_must_be_an_int_of_at_least_1(field, width, error):
    message = re.escape(f"{field} must be an int of at least 1; got {width!r}.")
    name, _, index = field.partition("[")
    with pytest.raises(error, match=message):
        config_with(**{name: (width,) if index else width})


@pytest.mark.bad_input
def test_the_wrong_width_is_named_by_its_index():
    with pytest.raises(ValueError, match=r"hidden_features\[2\] must be .* got -5"):
        config_with(hidden_features=(8, 8, -5))


@pytest.mark.bad_input
@pytest.mark.parametrize("widths", [[8, 8], 8, None, "88"])
def test_hidden_features_must_be_a_tuple(widths):
    message = r"hidden_features must be a tuple of ints .* so that the config can be hashed; got "
    with pytest.raises(TypeError, match=message + re.escape(repr(widths))):
        config_with(hidden_features=widths)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("activation", "'swiglu'"),
        ("output_activation", "'softmax'"),
        ("norm", "'rms'"),
        ("kernel_init", "'orthogonal'"),
        ("param_dtype", "'bfloat16'"),
        ("compute_dtype", "'bfloat16'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(field, known):
    with pytest.raises(ValueError, match=f"{field} must be one of .*{known}.*; got 'Relu'"):
        config_with(**{field: "Relu"})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "field",
    ["activation", "output_activation", "norm", "kernel_init", "param_dtype", "compute_dtype"],
)
@pytest.mark.parametrize("value", [3, ["relu"], np.float32, max])
def test_a_name_must_be_a_string(field, value):
    message = f"{field} must be a name( or a tuple of names, so that the config can be hashed)?"
    with pytest.raises(TypeError, match=f"{message}; got {re.escape(repr(value))}"):
        config_with(**{field: value})


@pytest.mark.bad_input
@pytest.mark.parametrize("field", ["activation", "kernel_init", "param_dtype"])
def test_a_field_that_always_has_a_name_cannot_be_none(field):
    with pytest.raises(ValueError, match=f"{field} must be one of .*; got None"):
        config_with(**{field: None})


@pytest.mark.bad_input
@pytest.mark.parametrize("name", GATED_ACTIVATIONS)
def test_the_output_cannot_be_gated(name):
    with pytest.raises(ValueError, match=f"output_activation must be one of .*; got '{name}'"):
        config_with(output_activation=name)


@pytest.mark.bad_input
def test_softmax_is_for_the_output_only():
    with pytest.raises(ValueError, match=r"^activation must be one of .*; got 'softmax'"):
        config_with(activation="softmax")


def test_one_activation_name_stands_for_every_hidden_layer():
    config = config_with(hidden_features=(8, 4), activation="tanh")
    assert config.hidden_activations == ("tanh", "tanh")


def test_activations_may_be_named_per_hidden_layer():
    config = config_with(hidden_features=(8, 4), activation=("tanh", "swiglu"))
    assert config.hidden_activations == ("tanh", "swiglu")


def test_a_linear_model_has_no_hidden_activations():
    assert MLPConfig(in_features=3, out_features=2).hidden_activations == ()
