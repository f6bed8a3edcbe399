"""Outputs become classes and probabilities as the config means them."""

import numpy as np
import pytest

import jaxmlp
from jaxmlp.inspection import decide, probabilities_of


def config(outputs, activation):
    return jaxmlp.MLPConfig(in_features=2, out_features=outputs, output_activation=activation)


@pytest.mark.parametrize(
    ("activation", "outputs", "probability"),
    [
        # The logistic function of 0.4 and of -0.4.
        (None, [0.4, -0.4], [1 / (1 + np.exp(-0.4)), 1 / (1 + np.exp(0.4))]),
        ("sigmoid", [0.6, 0.4], [0.6, 0.4]),
    ],
)
def test_a_single_output_is_log_odds_or_a_probability(activation, outputs, probability):
    given, made = np.array(outputs)[:, None], config(1, activation)
    assert decide(given, made).tolist() == [1, 0]
    found = probabilities_of(given, made)
    # The logistic function is computed in float32.
    np.testing.assert_allclose(found[:, 1], probability, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-6)


def test_several_outputs_are_logits_or_probabilities():
    logits = np.array([[0.0, np.log(3.0)]])
    np.testing.assert_allclose(probabilities_of(logits, config(2, None)), [[0.25, 0.75]], rtol=1e-6)
    shares = np.array([[0.25, 0.75]])
    np.testing.assert_array_equal(probabilities_of(shares, config(2, "softmax")), shares)
    assert decide(logits, config(2, None)).tolist() == [1]
