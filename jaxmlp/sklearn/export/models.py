"""Turns a fitted estimator into an ONNX model, or into nodes of one."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from ...interchange.onnx import NodeList, append_network, model_around, serialized
from ...network import Activation
from .member_nodes import MemberNodes
from .prediction_nodes import Predicted, PredictionNodes
from .prepared_nodes import TableNodes
from .table_inputs import TableInput, inputs_of, refuse

ELEMENT_TYPES = {
    "bool": TensorProto.BOOL,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}


def bytes_of_estimator(estimator: Any, opset: int) -> bytes:
    """Returns the model of an estimator as it is in a file; equal ones give equal bytes.

    Args:
        estimator: A fitted one.
        opset: Version of ONNX's operators, 13 to 25.

    Raises:
        ValueError: See `append_estimator` and `inputs_of`; or two tensors have one name.
    """
    inputs, nodes = inputs_of(estimator), NodeList(opset)
    made = append_estimator(nodes, estimator, inputs)
    for wanted, each in made.items():
        nodes.rename(each.name, wanted)
    _require_apart(inputs, nodes)
    model = model_around(
        nodes,
        [_told(each.name, each.dtype, (each.width,)) for each in inputs],
        [_told(wanted, each.dtype, each.shape) for wanted, each in made.items()],
        {"jaxmlp.estimator": type(estimator).__name__},
    )
    return serialized(model, "estimator", "Fit it with fewer networks or units.")


def append_estimator(
    nodes: NodeList, estimator: Any, inputs: Sequence[TableInput]
) -> dict[str, Predicted]:
    """Appends the nodes that compute what an estimator predicts.

    Args:
        nodes: Where they go.
        estimator: A fitted one.
        inputs: Tensors of all columns of its table, in the order of the fit.

    Returns:
        "label" and "probabilities" of a classifier; of a regressor "variable", of loss="gaussian"
        "std" beside, and of loss="quantile" "quantiles".

    Raises:
        ValueError: ONNX cannot express a part, which the message names.
    """
    table = TableNodes(nodes, inputs)
    if estimator.preset_ == "sklearn":
        outputs, dtype = _network_outputs(nodes, estimator, table)
        predictions = PredictionNodes(nodes, estimator, dtype)
        named = predictions.of_network(outputs)
    else:
        params = estimator._temper(estimator.members_.params)
        dtype = params.output.kernel.dtype.name
        rows = table.rows(estimator.preparation_, dtype)
        recipe, bins = estimator.recipe_, estimator.members_.bins
        outputs = MemberNodes(nodes, recipe.network, params, bins).outputs(rows)
        predictions = PredictionNodes(nodes, estimator, dtype)
        named, dtype = predictions.of_members(outputs), "float64"
    if "probabilities" in named:
        classes = classes_of(estimator)
        return predictions.classified(named["probabilities"], dtype, classes)
    return predictions.numbers(named, dtype)


def _network_outputs(nodes: NodeList, estimator: Any, table: TableNodes) -> tuple[str, str]:
    """The outputs of one network, and their type."""
    if isinstance(estimator.activation, Activation):
        refuse(
            f"estimator {type(estimator).__name__}",
            "have an activation of ours",
            f"{estimator.activation.name!r}, a function of your own",
            "It predicts, and writes itself to a file by save, which names the function.",
        )
    dtype = estimator.coefs_[0].dtype
    if estimator.preparation_ is None:
        x = table.matrix(dtype.name)
    else:
        x = table.prepared_matrix(estimator.preparation_)
        x = x if dtype == np.float64 else nodes.cast(x, ELEMENT_TYPES[dtype.name])
    with jax.enable_x64(dtype == np.float64):
        config, params = estimator._config(dtype), estimator._temper(estimator._params(dtype))
        return append_network(nodes, x, config, params), dtype.name


def classes_of(estimator: Any) -> np.ndarray:
    """Classes as int64, or as the strings that they are; bools and whole floats are numbers."""
    classes = estimator.classes_
    if classes.dtype.kind in "OUT":
        return classes
    if classes.dtype.kind == "u" and classes.max() > np.iinfo(np.int64).max:
        remedy = "Make strings of the classes, and fit again."
        refuse("estimator", "have classes that int64 holds", f"{classes.max()}", remedy)
    return classes.astype(np.int64)


def _require_apart(inputs: Sequence[TableInput], nodes: NodeList) -> None:
    """Refuses a column that has the name of another tensor of the model."""
    inside = {name for node in nodes.nodes for name in node.output}
    inside |= {tensor.name for tensor in nodes.initializers}
    for each in inputs:
        if each.name in inside:
            refuse(
                f"column {each.name!r} of X",
                "have another name than what the model computes",
                "the same",
                "Rename the column, and fit again.",
            )


def _told(name: str, dtype: str, shape: tuple[int, ...]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, ELEMENT_TYPES[dtype], ["batch", *shape])
