"""Turns a model that was written here into just that network, initialisation settings and all."""

from typing import Any

import ml_dtypes
import numpy as np
from onnx import ModelProto

from ...network import MLPConfig, Params
from ...storage import CheckpointError, choose_config, differences, params_skeleton, restore_by_path
from .models import MAX_OPSET, MIN_OPSET
from .tensors import array_of
from .writing import CONFIG, model_of


def network_in(model: ModelProto) -> tuple[MLPConfig, Params] | None:
    """Returns the network that a model's metadata name, if the model is what we write of it.

    What was changed since, nodes or shapes, is read as anybody's model: metadata are believed only
    where writing the network again gives the graph, node for node and bit for bit.

    Args:
        model: A parsed model, of which nothing is believed.

    Returns:
        The config and the parameters; `None`, if it was not written here or has been changed.

    Raises:
        CheckpointError: Its config cannot be used.
        ValueError: It has 64-bit arrays while JAX has 64-bit types switched off.
    """
    stored = next((each.value for each in model.metadata_props if each.key == CONFIG), None)
    opset = next((each.version for each in model.opset_import if not each.domain), 0)
    if stored is None or not MIN_OPSET <= opset <= MAX_OPSET:
        return None
    config = choose_config("its metadata", stored, None)
    named = {t.name: t for t in model.graph.initializer if not t.name.startswith("constants/")}
    arrays: dict[str, Any] = {name: array_of(tensor) for name, tensor in named.items()}
    kernel = arrays.get("output.kernel")
    if kernel is not None and kernel.ndim == 3:
        # Vectors of members have an axis for rows.
        arrays = {name: _without_rows(name, array) for name, array in arrays.items()}
    try:
        skeleton = params_skeleton(config, arrays)
    except CheckpointError:
        return None
    arrays = {name: _narrowed(array, config) for name, array in arrays.items()}
    if differences(skeleton, arrays):
        return None
    params = restore_by_path(skeleton, arrays)
    written = model_of(config, params, opset)
    is_same = written.graph.node == model.graph.node and (
        list(written.graph.initializer) == list(model.graph.initializer)
    )
    is_same = is_same and list(written.graph.output) == list(model.graph.output)
    is_same = is_same and list(written.graph.input) == list(model.graph.input)
    return (config, params) if is_same else None


def _without_rows(name: str, array: np.ndarray) -> np.ndarray:
    is_vector = not name.endswith(".kernel") and array.ndim == 3 and array.shape[1] == 1
    return array[:, 0] if is_vector else array


def _narrowed(array: np.ndarray, config: MLPConfig) -> np.ndarray:
    """Parameters of bfloat16 are written as float32, which holds all of their numbers."""
    if config.param_dtype != "bfloat16" or array.dtype != np.float32:
        return array
    narrow = array.astype(ml_dtypes.bfloat16)
    return narrow if np.array_equal(narrow.astype(np.float32), array, equal_nan=True) else array
