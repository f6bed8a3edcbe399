"""Turns recorded parameters and rows into numbers by epoch: gradients, net inputs, errors."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..forward import intermediates, normalise
from ..inspection import Record, decide
from ..losses.loss_function import Criterion, make_loss
from ..network import (
    GATED_ACTIVATIONS,
    Activation,
    Batch,
    MLPConfig,
    Params,
    activate,
    as_activation,
)
from .encoding import gate_of, pack, pack_single
from .row_sample import Rows, float_type, targets_by_output

# Below this slope a unit passes on a twentieth of its gradient.
_FLAT = 0.05
_BINS = 40


def measure(
    records: Sequence[Record], config: MLPConfig, criterion: Criterion, rows: Rows
) -> dict[str, Any]:
    """Returns what the page shows of all epochs, and what it needs of the rows that it holds."""
    dtype = float_type(config)
    batch = Batch(jnp.asarray(rows.x, dtype), _as_targets(rows.y, dtype))
    # Functions of a run are compiled once, for all of its epochs.
    run = jax.jit(functools.partial(_measure_epoch, config, criterion))
    epochs = [jax.device_get(run(record.params, batch)) for record in records]
    layers = range(len(config.hidden_features) + 1)
    ranges = [_range([epoch["z"][layer] for epoch in epochs]) for layer in layers]
    shown = rows.shown
    own = [
        {"a": _stacked("a", layer, epochs, shown), "slope": _stacked("slope", layer, epochs, shown)}
        if isinstance(activation, Activation)
        else None
        for layer, activation in enumerate((*config.hidden_activations, config.output_activation))
    ]
    return {
        "gradientNorms": [[float(n) for n in epoch["gradient_norms"]] for epoch in epochs],
        "updateRatios": _update_ratios(records),
        "losses": [float(epoch["loss"]) for epoch in epochs],
        "histograms": [
            {
                "low": low,
                "high": high,
                "counts": [
                    np.histogram(
                        np.clip(_finite(epoch["z"][layer]), low, high), _BINS, (low, high)
                    )[0].tolist()
                    for epoch in epochs
                ],
            }
            for layer, (low, high) in enumerate(ranges)
        ],
        "dead": [[int(_flat(slope, 0.0, 1.0).sum()) for slope in e["slope"]] for e in epochs],
        "saturated": [
            [int((_flat(s, _FLAT, 0.95) & ~_flat(s, 0.0, 1.0)).sum()) for s in e["slope"]]
            for e in epochs
        ],
        "curves": [_curve(config, layer, epochs) for layer in layers],
        "own": own,
        "rowLosses": pack([epoch["row_losses"][shown] for epoch in epochs]),
        "outputGradients": pack([epoch["output_gradients"][shown] for epoch in epochs]),
        **_errors(config, rows, [np.asarray(epoch["a"][-1], np.float64) for epoch in epochs]),
    }


def _stacked(name: str, layer: int, epochs: list[Any], shown: np.ndarray) -> dict[str, Any]:
    """Packs what a layer of one's own function gave, of all epochs and the rows shown."""
    return pack([epoch[name][layer][shown] for epoch in epochs])


def _as_targets(y: np.ndarray, dtype: Any) -> Array:
    return jnp.asarray(y.astype(np.int32) if y.dtype.kind in "iub" else y.astype(dtype))


def _measure_epoch(
    config: MLPConfig, criterion: Criterion, params: Params, batch: Batch
) -> dict[str, Any]:
    layers = intermediates(params, batch.x, config=config)
    outputs = layers[-1].activation

    def total(outputs: Array) -> tuple[Array, Array]:
        losses = criterion(outputs, batch.y)
        return jnp.sum(losses), losses

    output_gradients, row_losses = jax.grad(total, has_aux=True)(outputs)
    loss_fn = make_loss(config, criterion)
    (loss, _), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params, batch, None)
    by_layer = (*gradients.hidden, gradients.output)
    dense = (*params.hidden, params.output)
    activations = (*config.hidden_activations, config.output_activation or "identity")
    normed = [
        normalise(each.norm, layer.net_input, config)
        for each, layer in zip(dense, layers, strict=True)
    ]
    slopes = [_slope(name, n) for name, n in zip(activations, normed, strict=True)]
    wide = [(layer.net_input, layer.activation, n) for layer, n in zip(layers, normed, strict=True)]
    z, a, fed = zip(*wide, strict=True)
    return {
        "gradient_norms": [_norm(layer) for layer in by_layer],
        "loss": loss,
        "row_losses": row_losses,
        "output_gradients": output_gradients,
        "z": list(z),
        "a": list(a),
        "fed": list(fed),
        "slope": slopes,
    }


def _slope(name: str | Activation, z: Array) -> Array:
    """da/dz by unit; of a gated activation that to its value half, of softmax that to its own z."""
    if name == "softmax":
        p = jax.nn.softmax(z, axis=-1)
        return p * (1 - p)
    if not isinstance(name, Activation) and name in GATED_ACTIVATIONS:
        return gate_of(name).function(jnp.split(z, 2, axis=-1)[1])
    return jax.jvp(lambda z: activate(name, z), (z,), (jnp.ones_like(z),))[1]


def _norm(tree: Any) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(a.astype(jnp.float32))) for a in jax.tree.leaves(tree)))


def _update_ratios(records: Sequence[Record]) -> list[list[float | None]]:
    """By epoch and layer, the length of the kernel's change by that of the kernel, per epoch."""

    def kernels(record: Record) -> list[np.ndarray]:
        layers = (*record.params.hidden, record.params.output)
        return [np.asarray(dense.kernel, np.float64) for dense in layers]

    ratios: list[list[float | None]] = [[None] * len(kernels(records[0]))]
    for before, after in itertools.pairwise(records):
        pairs = zip(kernels(before), kernels(after), strict=True)
        epochs = after.epoch - before.epoch
        sizes = [(np.linalg.norm(b - a), np.linalg.norm(a)) for a, b in pairs]
        ratios.append([float(d / n / epochs) if n > 0 else None for d, n in sizes])
    return ratios


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[np.isfinite(values)]


def _range(values: list[np.ndarray]) -> tuple[float, float]:
    low, high = np.quantile(_finite(np.stack(values)), (0.001, 0.999))
    margin = 0.05 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _flat(slope: np.ndarray, limit: float, share: float) -> np.ndarray:
    """Of each unit, whether the slope is at most a limit at this share of the rows."""
    return (np.abs(slope) <= limit).mean(axis=0) >= share


def _curve(config: MLPConfig, layer: int, epochs: list[Any]) -> dict[str, Any] | None:
    """The function of a layer over all net inputs that it was fed; none of softmax."""
    name = (*config.hidden_activations, config.output_activation or "identity")[layer]
    if name == "softmax":
        return None
    function = as_activation(name).function
    if not isinstance(name, Activation) and name in GATED_ACTIVATIONS:
        function = gate_of(name).function
    low, high = _range([epoch["fed"][layer] for epoch in epochs])
    z = np.linspace(min(low, -3.0), max(high, 3.0), 241, dtype=np.float32)
    return {"z": pack_single(z), "a": pack_single(function(jnp.asarray(z)))}


def _errors(config: MLPConfig, rows: Rows, outputs: list[np.ndarray]) -> dict[str, Any]:
    """Confusion and classes decided by epoch, or targets and outputs, of the rows shown."""
    if rows.classes is None:
        targets = targets_by_output(rows, config)[rows.shown]
        shown = [output[rows.shown, : targets.shape[1]] for output in outputs]
        return {"targets": pack_single(targets), "predictions": pack_single(shown)}
    count = len(rows.classes)
    decided = [decide(output, config) for output in outputs]
    matrices = []
    for classes in decided:
        matrix = np.zeros((count, count), int)
        np.add.at(matrix, (rows.y.astype(int), classes), 1)
        matrices.append(matrix.tolist())
    return {
        "confusion": matrices,
        "decided": pack_single([classes[rows.shown] for classes in decided]),
    }
