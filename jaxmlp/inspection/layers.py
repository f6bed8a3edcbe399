"""Turns a config into a table of its layers, parameters, bytes and arithmetic."""

import math

import jax
import jax.numpy as jnp

from ..init import init_params
from ..network import Dense, MLPConfig, names_of, require_config


def summary(config: MLPConfig) -> None:
    """Prints one line per layer: shape, activation, parameters, bytes, FLOPs per row.

    FLOPs count the forward pass of one row: 2 per kernel entry (a multiplication and an addition)
    and 1 per bias entry; norms and activations are left out. A training step takes about three
    times as many.

    Args:
        config: The network.

    Example:
        >>> summary(MLPConfig(in_features=64, hidden_features=(128,), out_features=10))
        layer      kernel     activation  parameters   bytes  FLOPs/row
        hidden[0]  (64, 128)  relu             8,320  33,280     16,512
        output     (128, 10)  identity         1,290   5,160      2,570
        total                                  9,610  38,440     19,082
    """
    require_config(config)
    shapes = jax.eval_shape(lambda key: init_params(config, key=key), jax.random.key(0))
    names = [f"hidden[{index}]" for index in range(len(shapes.hidden))] + ["output"]
    activations = names_of((*config.hidden_activations, config.output_activation or "identity"))
    header = ["layer", "kernel", "activation", "parameters", "bytes", "FLOPs/row"]
    rows = [header]
    totals = [0, 0, 0]
    for name, dense, activation in zip(
        names, (*shapes.hidden, shapes.output), activations, strict=True
    ):
        counts = _counts(dense)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        steps = [activation] if dense.norm is None else [f"{config.norm} norm", activation]
        rows.append([name, str(dense.kernel.shape), ", ".join(steps), *map("{:,}".format, counts)])
    rows.append(["total", "", "", *map("{:,}".format, totals)])
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        left = [text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True)]
        right = [text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)]
        print("  ".join(left + right))


def _counts(dense: Dense) -> tuple[int, int, int]:
    """Parameters, bytes and FLOPs per row of one layer."""
    leaves = jax.tree.leaves(dense)
    parameters = sum(math.prod(leaf.shape) for leaf in leaves)
    size = sum(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in leaves)
    bias = 0 if dense.bias is None else dense.bias.shape[0]
    return parameters, size, 2 * math.prod(dense.kernel.shape) + bias
