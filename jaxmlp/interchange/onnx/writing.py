"""Turns a network, or an ensemble as one, into the bytes of an ONNX model."""

from typing import Any

import numpy as np
from onnx import ModelProto, helper

from ...network import MLPConfig, Params
from ..operations import (
    Activate,
    AddSkip,
    Affine,
    Cast,
    Gate,
    Normalise,
    Operation,
    Operations,
    Standardise,
    StartSkip,
    input_dtype,
    is_ensemble,
    member_operations,
    widened,
    with_types,
)
from .elementwise import activated
from .models import model_around, serialized
from .node_list import NodeList
from .tensors import TYPES

CONFIG = "jaxmlp.config"
# What a gate applies to its second half.
_GATES = {"geglu": "gelu", "glu": "sigmoid", "reglu": "relu", "swiglu": "silu"}


def bytes_of(config: MLPConfig, params: Params, opset: int) -> bytes:
    """Returns the model as it is in a file; equal networks give equal bytes.

    Args:
        config: The network.
        params: Its parameters, or those of an ensemble.
        opset: Version of ONNX's operators, 13 to 25.

    Raises:
        ValueError: It is larger than a file in this form can be; or see `member_operations`.
    """
    model = model_of(config, params, opset)
    return serialized(model, "params", "Give dtype='float16', or fewer members.")


def model_of(config: MLPConfig, params: Params, opset: int) -> ModelProto:
    """Returns the model of a network.

    What is multiplied is `x @ kernel` as `MatMul`, and what is added follows as `Add`: kernels stay
    (in, out), and with another shape of `x` the nodes take any number of batch axes, which `Gemm`
    does not.
    """
    members = [widened(each, ("bfloat16",)) for each in member_operations(config, params)]
    stacked = is_ensemble(params)
    operations = _stacked(members) if stacked else members[0]
    nodes = NodeList(opset)
    writer = _Writer(nodes, stacked=stacked, layers=len(config.hidden_features))
    name = writer.outputs("x", operations)
    dtype = _output_dtype(operations)
    if stacked:
        outputs = _moments(nodes, name, dtype)
        dtype = "float64" if dtype == "float64" else "float32"
    else:
        outputs = {_output_name(config): name}
    for wanted, made in outputs.items():
        nodes.rename(made, wanted)
    return model_around(
        nodes,
        [_rows("x", input_dtype(operations), config.in_features)],
        [_rows(wanted, dtype, config.out_features) for wanted in outputs],
        {CONFIG: config.to_json()},
    )


def append_network(nodes: NodeList, x: str, config: MLPConfig, params: Params) -> str:
    """Appends the nodes of one network, and returns the name of its outputs.

    Args:
        nodes: Where they go.
        x: Name of the rows, of the type in which the network takes them.
        config: The network.
        params: Its parameters.

    Raises:
        ValueError: See `member_operations`.
    """
    (operations,) = member_operations(config, params)
    operations = widened(operations, ("bfloat16",))
    return _Writer(nodes, stacked=False, layers=len(config.hidden_features)).outputs(x, operations)


def _rows(name: str, dtype: str, features: int) -> Any:
    return helper.make_tensor_value_info(name, TYPES[dtype], ["batch", features])


def _output_name(config: MLPConfig) -> str:
    match config.output_activation:
        case None:
            return "logits"
        case "softmax" | "sigmoid":
            return "probabilities"
    return "outputs"


def _output_dtype(operations: Operations) -> str:
    *_, (dtype, last) = with_types(operations)
    return last.dtype if isinstance(last, Cast) else dtype


def _stacked(members: list[Operations]) -> Operations:
    """The operations of all members at once: arrays have the member axis, then one for rows."""

    def join(arrays: tuple[Any, ...]) -> Any:
        if not isinstance(arrays[0], np.ndarray):
            return arrays[0]
        array = np.stack(arrays)
        return array[:, None] if array.ndim == 2 else array

    return tuple(
        type(each[0])(*(join(fields) for fields in zip(*each, strict=True)))
        for each in zip(*members, strict=True)
    )


def _moments(nodes: NodeList, outputs: str, dtype: str) -> dict[str, str]:
    """Mean over members, and the root of their mean squared deviation from it."""
    nodes.scope = "members"
    if dtype == "float16":
        outputs = nodes.cast(outputs, TYPES["float32"])
    mean = nodes.mean(outputs, 0, keepdims=False)
    centred = nodes.add("Sub", outputs, mean)
    variance = nodes.mean(nodes.add("Mul", centred, centred), 0, keepdims=False)
    return {"mean": mean, "deviation": nodes.add("Sqrt", variance)}


class _Writer:
    """Appends the nodes of operations; arrays have the names that `jaxmlp.save` gives them."""

    def __init__(self, nodes: NodeList, *, stacked: bool, layers: int) -> None:
        self.nodes, self.stacked, self.layers = nodes, stacked, layers
        self.layer = -1
        self.kept: list[str] = []

    def outputs(self, x: str, operations: Operations) -> str:
        if self.stacked:
            x = self.nodes.add("Unsqueeze", x, self.nodes.integers([0]))
        for dtype, operation in with_types(operations):
            x = self.output(x, operation, dtype)
        return x

    def output(self, h: str, operation: Operation, dtype: str) -> str:
        match operation:
            case Standardise():
                self.nodes.scope = "standardization"
                mean = self.array("mean", operation.mean, dtype)
                scale = self.array("scale", operation.scale, dtype)
                return self.nodes.add("Div", self.nodes.add("Sub", h, mean), scale)
            case Cast():
                return self.nodes.cast(h, TYPES[operation.dtype])
            case Affine():
                self.layer += 1
                last = self.layer == self.layers
                self.nodes.scope = "output" if last else f"hidden.{self.layer}"
                h = self.nodes.add("MatMul", h, self.array("kernel", operation.kernel, dtype))
                if operation.bias is None:
                    return h
                return self.nodes.add("Add", h, self.array("bias", operation.bias, dtype))
            case Normalise():
                return self.normalised(h, operation, dtype)
            case Activate():
                return activated(self.nodes, operation.name, h, dtype)
            case Gate():
                value, gate = self.halves(h)
                opened = activated(self.nodes, _GATES[operation.name], gate, dtype)
                return self.nodes.add("Mul", value, opened)
            case StartSkip():
                self.kept.append(h)
                return h
            case AddSkip():
                return self.nodes.add("Add", self.kept.pop(), h)
        return h  # a dropout

    def array(self, name: str, array: np.ndarray, dtype: str) -> str:
        """A parameter in its own type, and cast to that in which it is used."""
        name = self.nodes.array(f"{self.nodes.scope}.{name}", array)
        if name.endswith(".kernel"):
            self.width = array.shape[-1]
        return name if array.dtype.name == dtype else self.nodes.cast(name, TYPES[dtype])

    def halves(self, z: str) -> list[str]:
        half = self.nodes.integers([self.width // 2] * 2)
        return self.nodes.add_all("Split", z, half, outputs=2, axis=-1)

    def normalised(self, z: str, operation: Normalise, dtype: str) -> str:
        wide = "float64" if dtype == "float64" else "float32"
        nodes, z = self.nodes, z if wide == dtype else self.nodes.cast(z, TYPES[wide])
        assert operation.scale is not None
        scale = self.array("norm.scale", operation.scale, wide)
        bias = None
        if operation.bias is not None:
            bias = self.array("norm.bias", operation.bias, wide)
        # The operator computes in float32, and knows no members.
        whole = operation.kind == "layer" and nodes.opset >= 17 and wide == "float32"
        if whole and not self.stacked:
            inputs = (z, scale) if bias is None else (z, scale, bias)
            settings = {"axis": -1, "epsilon": operation.epsilon, "stash_type": 1}
            z = nodes.add("LayerNormalization", *inputs, **settings)
        else:
            if operation.kind == "layer":
                z = nodes.add("Sub", z, nodes.mean(z, -1, keepdims=True))
            square = nodes.mean(nodes.add("Mul", z, z), -1, keepdims=True)
            epsilon = nodes.constant(operation.epsilon, wide)
            z = nodes.add("Div", z, nodes.add("Sqrt", nodes.add("Add", square, epsilon)))
            z = nodes.add("Mul", z, scale)
            z = z if bias is None else nodes.add("Add", z, bias)
        return z if wide == dtype else nodes.cast(z, TYPES[dtype])
