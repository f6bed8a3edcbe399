"""Turns arrays and settings into JSON that a page reads: numbers as base64 of their bytes."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..inspection import Record, even_odds
from ..network import ACTIVATIONS, GATED_ACTIVATIONS, Activation, MLPConfig, Params, names_of


def as_json(value: Any) -> str:
    """Returns JSON that may stand in a script element: no text in it can end that."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def pack(values: Any) -> dict[str, Any]:
    """Returns numbers as little-endian bytes, in single precision where that holds them exactly."""
    wide = np.asarray(values, np.float64)
    with np.errstate(over="ignore"):
        single = wide.astype("<f4")
    exact = np.array_equal(single.astype(np.float64), wide, equal_nan=True)
    array = single if exact else wide.astype("<f8")
    return {
        "bits": 8 * array.itemsize,
        "shape": list(array.shape),
        "bytes": base64.b64encode(array.tobytes()).decode(),
    }


def pack_single(values: Any) -> dict[str, Any]:
    """Returns numbers in single precision, which is enough for what is only looked at."""
    return pack(np.asarray(values, np.float32))


def describe_network(config: MLPConfig) -> dict[str, Any]:
    """Returns what the page needs of a config to compute the network."""
    widths = (*config.hidden_features, config.out_features)
    names = (*names_of(config.hidden_activations), names_of(config.output_activation) or "identity")
    given = (*config.hidden_activations, config.output_activation)
    last = len(widths) - 1
    layers = [
        {
            "units": width,
            "activation": name,
            "gated": name in GATED_ACTIVATIONS,
            "own": isinstance(each, Activation),
            "norm": config.norm if index < last else None,
            "residual": config.residual and 0 < index < last,
        }
        for index, (width, name, each) in enumerate(zip(widths, names, given, strict=True))
    ]
    return {
        "inFeatures": config.in_features,
        "layers": layers,
        "computeDtype": config.compute_dtype or config.param_dtype,
        "dropout": config.dropout_rate,
        "probabilities": _probabilities(config),
        "normEpsilon": config.norm_epsilon,
    }


def _probabilities(config: MLPConfig) -> str:
    """What makes outputs the probabilities of classes, as `probabilities_of` does."""
    if config.out_features == 1:
        return "one" if even_odds(config) else "sigmoid"
    return "given" if config.output_activation in ("softmax", "sigmoid") else "softmax"


def pack_parameters(records: Sequence[Record]) -> list[list[dict[str, Any]]]:
    """Returns, by epoch and layer, what is there of kernel, bias, norm scale and norm bias."""

    def pack_layers(params: Params) -> list[dict[str, Any]]:
        layers = []
        for dense in (*params.hidden, params.output):
            parts: dict[str, Any] = {"kernel": dense.kernel, "bias": dense.bias}
            if dense.norm is not None:
                parts |= {"scale": dense.norm.scale, "shift": dense.norm.bias}
            layers.append({name: pack(a) for name, a in parts.items() if a is not None})
        return layers

    return [pack_layers(record.params) for record in records]


def gate_of(name: str) -> Activation:
    """Returns the function that a gated activation applies to its gate half."""
    gates = {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu"}
    return ACTIVATIONS[gates[name]]
