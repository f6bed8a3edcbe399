"""Turns calls, one per node, into the nodes and initializers of a graph, in order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from .tensors import tensor_of


class NodeList:
    """Nodes of a graph in the making.

    Args:
        opset: Version of ONNX's operators.

    `scope` is the part of the network that comes next, and stands in front of its nodes' names.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.scope = ""
        self._names: set[str] = set()

    def add(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Appends a node and returns the name of its first output."""
        return self.add_all(op_type, *inputs, outputs=outputs, **attributes)[0]

    def add_all(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Appends a node and returns the names of its outputs."""
        name = self._fresh(f"{self.scope}/{op_type}" if self.scope else op_type)
        made = [name] if outputs == 1 else [f"{name}.{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, made, name=name, **attributes))
        return made

    def array(self, name: str, array: np.ndarray) -> str:
        """Puts an array of the network into the graph, under a name of its own."""
        self.initializers.append(tensor_of(name, array))
        return name

    def constant(self, value: float, dtype: str) -> str:
        """Puts a number of a formula into the graph, once, in the type in which it is used."""
        name = f"constants/{dtype}/{value!r}"
        if name not in self._names:
            self._names.add(name)
            # A norm's epsilon may be out of the range of float32, where it is infinite.
            with np.errstate(over="ignore"):
                self.initializers.append(tensor_of(name, np.array(value, dtype)))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Puts sizes or axes into the graph, once."""
        name = f"constants/int64/{[*values]}"
        if name not in self._names:
            self._names.add(name)
            self.initializers.append(tensor_of(name, np.array(values, np.int64)))
        return name

    def mean(self, of: str, axis: int, *, keepdims: bool) -> str:
        """Appends a mean over one axis, whose number has moved into an input with opset 18."""
        keep = int(keepdims)
        if self.opset < 18:
            return self.add("ReduceMean", of, axes=[axis], keepdims=keep)
        return self.add("ReduceMean", of, self.integers([axis]), keepdims=keep)

    def cast(self, of: str, dtype: int) -> str:
        """Appends a cast to one of ONNX's types."""
        return self.add("Cast", of, to=dtype)

    def rename(self, old: str, new: str) -> None:
        """Gives an output another name, wherever it is read."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    def _fresh(self, name: str) -> str:
        number, chosen = 1, name
        while chosen in self._names:
            number += 1
            chosen = f"{name}_{number}"
        self._names.add(chosen)
        return chosen
