"""A network as an ONNX model, and the network that an ONNX model computes.

In reading order: `tensors` (arrays in a model's form, and back). Writing: `node_list` (nodes, one
after the other), `elementwise` (activations as nodes), `models` (nodes as a model), `writing` (a
network as a model). Reading: `wire` (bytes into a model of a known size); `sizes`, `folding` and
`values` (what its nodes make, each from what); `matching` and `templates` (formulas as others write
them); `layers` and `chains` (a model as a list of operations); `own_models` (a model that was
written here).
"""

from .chains import operations_in
from .elementwise import activated
from .models import MAX_OPSET, MIN_OPSET, model_around, serialized
from .node_list import NodeList
from .own_models import network_in
from .tensors import TYPES
from .wire import parse
from .writing import append_network, bytes_of

__all__ = [
    "MAX_OPSET",
    "MIN_OPSET",
    "TYPES",
    "NodeList",
    "activated",
    "append_network",
    "bytes_of",
    "model_around",
    "network_in",
    "operations_in",
    "parse",
    "serialized",
]
