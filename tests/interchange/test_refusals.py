"""Lists of operations that are no MLP of ours are refused by operation, with what could be done."""

import numpy as np
import pytest

from jaxmlp.interchange.operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Dropout,
    Gate,
    Normalise,
    Standardise,
    StartSkip,
)
from jaxmlp.interchange.recognition import network_of


def affine(fan_in, fan_out, *, bias=True, dtype=np.float32, label=None):
    kernel = np.ones((fan_in, fan_out), dtype)
    return Affine(kernel, np.ones(fan_out, dtype) if bias else None, label)


def norm(features, kind="layer", *, epsilon=1e-5, bias=False, dtype=np.float32):
    shift = np.ones(features, dtype) if bias else None
    return Normalise(kind, np.ones(features, dtype), shift, epsilon, "norm")


RELU, LAST = Activate("relu", "relu"), affine(3, 1, label="last")
FIRST = affine(2, 3, label="first")
STATISTICS = np.ones(2, np.float32)
CASES = {
    "no dense layer": ([], "operations must have a dense layer; got 0 without one"),
    "an activation before the first": (
        [RELU, LAST],
        r"operation 0 \(relu\), the activation 'relu', must stand after a dense layer.*it before",
    ),
    "a norm after the activation": (
        [FIRST, RELU, norm(3), LAST],
        r"operation 2 \(norm\), a norm 'layer' of epsilon 1e-05, must stand where an MLP has one"
        r".*got it after operation 1 \(relu\).*Import what is before and after it apart",
    ),
    "two activations": (
        [FIRST, RELU, Activate("tanh"), LAST],
        r"operation 2, the activation 'tanh', must stand where .* after operation 1 \(relu\)",
    ),
    "a norm after the output": (
        [FIRST, RELU, LAST, norm(1)],
        r"operation 3 \(norm\).*must stand in a hidden layer.*after the last, operation 2 \(last\)",
    ),
    "a gate after the output": (
        [FIRST, RELU, affine(3, 2), Gate("glu")],
        r"operation 3, the gate 'glu', must stand in a hidden layer",
    ),
    "a dropout of the inputs": (
        [Dropout(0.5, "drop"), FIRST, RELU, LAST],
        r"operation 0 \(drop\), a dropout of rate 0.5, must stand after .*Give dropout_rate=\.\.\.",
    ),
    "a dropout of the outputs": (
        [FIRST, RELU, LAST, Dropout(0.5)],
        r"operation 3, a dropout of rate 0.5, must stand in a hidden layer.*Give dropout_rate=",
    ),
    "dropouts of two rates": (
        [FIRST, Dropout(0.5), affine(3, 3), Dropout(0.1), LAST],
        r"operation 1, .*rate of the dropouts of all hidden layers; got the rates \[0.5, 0.1\]",
    ),
    "a dropout in one layer only": (
        [FIRST, Dropout(0.5), affine(3, 3), RELU, LAST],
        r"operation 1, .* got the rates \[0.5, 0.0\]\. Give dropout_rate=",
    ),
    "widths that do not meet": (
        [FIRST, RELU, affine(4, 1, label="last")],
        r"operation 2 \(last\), a dense layer of 4 to 1 features, must take the 3 features it is "
        r"given; got a kernel of shape \(4, 1\)",
    ),
    "a kernel of three axes": (
        [Affine(np.ones((1, 2, 3), np.float32), None)],
        r"operation 0, .* must have a kernel of two axes; got shape \(1, 2, 3\)",
    ),
    "a bias of another length": (
        [Affine(np.ones((2, 3), np.float32), np.ones(2, np.float32))],
        r"operation 0, .* must have a bias of shape \(3,\); got \(2,\)",
    ),
    "a norm over other features": (
        [FIRST, norm(2), LAST],
        r"operation 1 \(norm\), .* must have a scale of shape \(3,\); got \(2,\)",
    ),
    "half a gate": (
        [FIRST, Gate("glu"), LAST],
        r"operation 1, the gate 'glu', must be given an even number of features.*; got 3",
    ),
    "a norm in one layer only": (
        [FIRST, norm(3), affine(3, 3, label="second"), LAST],
        r"operation 2 \(second\), .* must be followed by a norm, as operation 1 \(norm\)",
    ),
    "two epsilons": (
        [FIRST, norm(3), affine(3, 3), norm(3, epsilon=1e-3), LAST],
        r"operation 3 \(norm\), .* must be the norm 'layer' of epsilon 1e-05.*'layer' of epsilon "
        r"0.001\. Networks of ours have one norm and epsilon",
    ),
    "an RMS norm with a bias": (
        [FIRST, norm(3, "rms", bias=True), LAST],
        r"operation 1 \(norm\), .* must have no bias; got one\. RMS norms of ours have a scale",
    ),
    "an unknown activation": (
        [FIRST, Activate("snake"), LAST],
        r"operation 1, the activation 'snake', must be one of celu, .*; got 'snake'\. Functions",
    ),
    "softmax in a hidden layer": (
        [FIRST, Activate("softmax"), LAST],
        r"operation 1, the activation 'softmax', must be one of celu",
    ),
    "a gate as an activation": (
        [FIRST, Activate("glu"), affine(3, 1)],
        r"operation 1, the activation 'glu', must be one of",
    ),
    "a skip over the first layer": (
        [StartSkip(), affine(3, 3), AddSkip(), LAST],
        r"operation 0, the start of a skip, must stand after the first hidden layer; got it before",
    ),
    "a skip over one layer of two": (
        [FIRST, StartSkip(), affine(3, 3), AddSkip(), affine(3, 3, label="third"), LAST],
        r"operation 4 \(third\), .* must be inside a skip, as there is operation 1.*over none",
    ),
    "a skip that does not end": (
        [FIRST, StartSkip(), affine(3, 3), LAST],
        "operation 1, the start of a skip, must have a start and a sum around one hidden layer",
    ),
    "a skip that starts before an activation": (
        [FIRST, StartSkip(), RELU, affine(3, 3), AddSkip(), LAST],
        r"operation 1, .* must start right before a dense layer; got operation 2 \(relu\)",
    ),
    "a skip that starts at the end": (
        [FIRST, StartSkip()],
        "operation 1, the start of a skip, must start right before a dense layer; got the end",
    ),
    "a skip between widths": (
        [FIRST, StartSkip(), affine(3, 4), AddSkip(), affine(4, 1)],
        "operation 3, the sum of a skip, must add features of one width; got 3 and 4",
    ),
    "two types": (
        [FIRST, affine(3, 1, dtype=np.float16, label="last")],
        r"operation 1 \(last\), .* must have arrays of float32, the type of operation 0 \(first\)"
        r".* got float16\. Convert the network to one type",
    ),
    "integers": (
        [affine(2, 1, dtype=np.int32)],
        r"operation 0, .* must have arrays of one of .*'float64'\); got int32",
    ),
    "a cast between layers": (
        [FIRST, Cast("float16", "cast"), RELU, affine(3, 3), LAST],
        r"operation 1 \(cast\), a cast to float16, must stand before the first or after the last",
    ),
    "two casts of rows": (
        [Cast("float16"), Cast("float32", "cast"), FIRST, LAST],
        r"operation 1 \(cast\), .* must be the only one before the first dense .*operation 0",
    ),
    "outputs of another type": (
        [FIRST, LAST, Cast("float16")],
        "operation 2, a cast to float16, must leave outputs in float32.*; got float16. Cast what",
    ),
    "a standardisation in between": (
        [FIRST, Standardise(STATISTICS, STATISTICS), LAST],
        "operation 1, a standardisation, must come first; got it after others",
    ),
    "statistics of other features": (
        [Standardise(np.ones(3, np.float32), np.ones(3, np.float32)), FIRST, LAST],
        r"operation 0, a standardisation, must have a mean of shape \(2,\); got \(3,\)",
    ),
    "statistics that are rounded": (
        [Standardise(STATISTICS / np.float64(3), STATISTICS), Cast("float32"), FIRST, LAST],
        "operation 0, .* must have a mean that float32 holds; got float64. Round it to float32",
    ),
    "a cast before the statistics": (
        [Cast("float16"), Standardise(STATISTICS, STATISTICS), Cast("float32"), FIRST, LAST],
        "operation 0, a cast to float16, must come after the standardisation; got it before. Cast",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_by_operation(name):
    operations, message = CASES[name]
    with pytest.raises(ValueError, match=message):
        network_of(operations)


@pytest.mark.bad_input
def test_what_is_no_operation_is_refused():
    with pytest.raises(TypeError, match="operations must hold operations; got 'relu' at 1"):
        network_of([FIRST, "relu", LAST])


def test_identities_and_dropouts_of_rate_0_may_stand_anywhere():
    idle = [Activate("identity"), Dropout(0.0)]
    config, _ = network_of([*idle, FIRST, *idle, norm(3), *idle, RELU, *idle, LAST, *idle])
    assert (config.activation, config.dropout_rate, config.output_activation) == ("relu", 0.0, None)


def test_a_norm_without_a_scale_gets_one_of_ones():
    _, params = network_of([FIRST, Normalise("layer", None, None, 1e-5), LAST])
    np.testing.assert_array_equal(params.hidden[0].norm.scale, [1, 1, 1])
    np.testing.assert_array_equal(params.hidden[0].norm.bias, [0, 0, 0])
