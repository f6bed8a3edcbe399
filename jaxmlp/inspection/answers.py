"""Turns outputs of a network into classes and probabilities, as its config means them."""

import jax
import numpy as np
from jaxtyping import Float, Int

from ..network import MLPConfig


def even_odds(config: MLPConfig) -> float:
    """Returns where class 1 begins, of a single output."""
    return 0.5 if config.output_activation == "sigmoid" else 0.0


def decide(
    outputs: Float[np.ndarray, "*batch outputs"], config: MLPConfig
) -> Int[np.ndarray, "*batch"]:
    """Returns the class that each row is taken for."""
    if config.out_features == 1:
        return (outputs[..., 0] > even_odds(config)).astype(np.int64)
    return outputs.argmax(axis=-1)


def probabilities_of(
    outputs: Float[np.ndarray, "*batch outputs"], config: MLPConfig
) -> Float[np.ndarray, "*batch classes"]:
    """Returns the probability of each class, of a single output that of class 0 first."""
    if config.out_features == 1:
        one = outputs if even_odds(config) else np.asarray(jax.nn.sigmoid(outputs))
        return np.concatenate([1 - one, one], axis=-1)
    if config.output_activation in ("softmax", "sigmoid"):
        return outputs
    return np.asarray(jax.nn.softmax(outputs, axis=-1))
