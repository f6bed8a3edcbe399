"""Turns nodes, and what goes in and comes out, into the bytes of an ONNX model."""

from collections.abc import Mapping, Sequence

from onnx import ModelProto, ValueInfoProto, helper

from ...checks import __version__
from .node_list import NodeList

MIN_OPSET, MAX_OPSET = 13, 25
# Of the operators for tables; every runtime that knows the opsets above knows it.
_ML_DOMAIN, _ML_OPSET = "ai.onnx.ml", 2
MAX_BYTES = (1 << 31) - 1


def model_around(
    nodes: NodeList,
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    properties: Mapping[str, str],
) -> ModelProto:
    """Returns the model that nodes make.

    Args:
        nodes: Its nodes and arrays.
        inputs: What goes in.
        outputs: What comes out.
        properties: Texts that the model holds beside.
    """
    graph = helper.make_graph(nodes.nodes, "jaxmlp", inputs, outputs, nodes.initializers)
    opsets = [helper.make_opsetid("", nodes.opset)]
    if any(node.domain == _ML_DOMAIN for node in nodes.nodes):
        opsets.append(helper.make_opsetid(_ML_DOMAIN, _ML_OPSET))
    model = helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="jaxmlp",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(properties))
    return model


def serialized(model: ModelProto, subject: str, remedy: str) -> bytes:
    """Returns a model as it is in a file; equal ones give equal bytes.

    Args:
        model: The model.
        subject: What has its arrays, for errors.
        remedy: How they become fewer.

    Raises:
        ValueError: It is larger than a file in this form can be.
    """
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    # Node and names come beside the arrays.
    if size + (1 << 20) > MAX_BYTES:
        raise ValueError(
            f"{subject} must have less than 2 GiB, which an ONNX file of one piece holds; got "
            f"{size} bytes. {remedy}"
        )
    return model.SerializeToString(deterministic=True)
