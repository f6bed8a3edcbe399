"""Turns a checked graph into its values: each with the node that makes it, and with its inputs."""

import dataclasses
from typing import Any, NoReturn

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from ...storage import CheckpointError
from .sizes import Value, learn_sizes
from .tensors import FLOATS, NAMES, require_sound

MIN_READ_OPSET = 13
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
# Values of attributes by their kind; graphs, sparse tensors and types have no place in a network.
_ATTRIBUTES = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}
_KINDS = {
    AttributeProto.FLOAT: {"alpha", "beta", "gamma", "epsilon"},
    AttributeProto.FLOATS: {"offset", "scale"},
    AttributeProto.INT: {
        *("allowzero", "axis", "keepdims", "noop_with_empty_axes", "num_outputs", "stash_type"),
        *("to", "transA", "transB"),
    },
    AttributeProto.INTS: {"axes", "perm"},
    AttributeProto.STRING: {"approximate"},
}
_COMPARISONS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not"}


@dataclasses.dataclass(slots=True)
class Values:
    """A graph's rows that come in, how many axes they have, and its outputs by name."""

    rows: Value
    rank: int
    outputs: dict[str, Value]
    parts: dict[Value, list[Value]]

    def parts_of(self, whole: Value) -> list[Value]:
        """What `Split` and `Slice` take of a value."""
        return self.parts.get(whole, [])


def refuse(value: object, requirement: str, got: str, remedy: str) -> NoReturn:
    """Raises the error that names a node, what it must be, what was got and a remedy."""
    raise ValueError(f"{value} must {requirement}; got {got}. {remedy}")


def values_of(model: ModelProto) -> Values:
    """Checks a graph, and finds out which value is made from which.

    Raises:
        CheckpointError: It is no valid graph: of a name there are two, or none that a node reads,
            as where nodes are unsorted or in a circle; a tensor is damaged or elsewhere.
        ValueError: It has another number of inputs, or what no network has.
    """
    _check_opset(model)
    graph = model.graph
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        refuse(f"initializer {name!r}", "be dense", "a sparse tensor", "Write it out: numpy.zeros.")
    known: dict[str, Value] = {}
    for tensor in graph.initializer:
        value = Value("tensor", tensor.name, dtype=require_sound(tensor), tensor=tensor)
        learn_sizes(value)
        _add(known, tensor.name, value)
    rows, rank = _rows(graph, known)
    known[rows.name] = rows
    for number, node in enumerate(graph.node):
        _add_node(known, node, number)
    if not graph.output:
        raise CheckpointError("the graph must have an output; got none.")
    outputs = {}
    for output in graph.output:
        if output.name not in known:
            raise CheckpointError(f"output {output.name!r} must be made by a node; none makes it.")
        outputs[output.name] = known[output.name]
    parts: dict[Value, list[Value]] = {}
    for value in known.values():
        if value.kind in ("Split", "Slice") and value.given is not None:
            parts.setdefault(value.given, []).append(value)
    return Values(rows, rank, outputs, parts)


def _check_opset(model: ModelProto) -> None:
    opsets = {each.domain: each.version for each in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx"))
    newest = onnx.defs.onnx_opset_version()
    if opset is None:
        raise CheckpointError(
            "opset_import must tell the version of ONNX's operators; it does not."
        )
    if not MIN_READ_OPSET <= opset <= newest:
        refuse(
            "the opset", f"be {MIN_READ_OPSET} to {newest}", str(opset),
            "Convert the model: onnx.version_converter.convert_version(model, 18); or upgrade onnx."
        )  # fmt: skip


def _rows(graph: GraphProto, known: dict[str, Value]) -> tuple[Value, int]:
    """The one input that is no initializer, and how many axes it has."""
    names = [each.name for each in graph.input]
    if len(set(names)) < len(names):
        raise CheckpointError(f"inputs must have one name each; got {sorted(names)[:20]}.")
    inputs = [each for each in graph.input if each.name not in known]
    if len(inputs) != 1:
        got = ", ".join(repr(each.name) for each in inputs[:20]) or "none"
        remedy = "Join them into rows of one table, outside of the network."
        refuse("the graph", "have one input, its rows", got, remedy)
    (given,) = inputs
    kind = given.type.tensor_type
    dtype = NAMES.get(kind.elem_type)
    if not given.type.HasField("tensor_type") or dtype not in FLOATS:
        remedy = "Export the network with rows of float32 or float64."
        refuse(f"input {given.name!r}", f"be rows of one of {FLOATS}", f"{dtype}", remedy)
    axes = [axis.dim_value for axis in kind.shape.dim]
    rank = len(axes) if kind.HasField("shape") else 2
    if rank < 1:
        refuse(f"input {given.name!r}", "be rows of features", "one number", "Give it two axes.")
    # A batch of a fixed size is one of any: nodes that need its size are no layers.
    features = axes[-1] if axes and axes[-1] > 0 else None
    shape = (*(None,) * (rank - 1), features)
    return Value("input", given.name, dtype=dtype, shape=shape), rank


def _add(known: dict[str, Value], name: str, value: Value) -> None:
    if not name:
        raise CheckpointError(f"{value} must have a name; got ''.")
    if name in known:
        raise CheckpointError(f"{name!r} must name one thing in the graph; two have that name.")
    known[name] = value


def _add_node(known: dict[str, Value], node: NodeProto, number: int) -> None:
    title = node.name or (node.output[0] if node.output else "")
    label = f"node {title!r} ({node.op_type})"
    if node.domain not in _DOMAINS:
        refuse(
            label, "be one of ONNX's own operators", f"domain {node.domain!r}",
            "Export without functions and runtimes' own operators, as before any optimisation."
        )  # fmt: skip
    inputs: list[Value | None] = []
    for name in node.input:
        if name and name not in known:
            raise CheckpointError(
                f"{label} reads {name!r}, which nothing before it makes: nodes must be sorted, and "
                "in no circle."
            )
        inputs.append(known[name] if name else None)
    while inputs and inputs[-1] is None:
        inputs.pop()
    attributes = {each.name: _attribute(label, each) for each in node.attribute}
    if len(attributes) < len(node.attribute):
        raise CheckpointError(f"{label} must have each attribute once.")
    if node.op_type == "Split":
        attributes.setdefault("num_outputs", len(node.output))
    if node.op_type == "ReduceMean" and len(inputs) == 2 and "axes" not in attributes:
        # An input since opset 18; the formulas have the attribute.
        axes = inputs.pop()
        sizes = None if axes is None else axes.sizes
        attributes["axes"] = [] if sizes is None else [*sizes.ravel()]
    for index, name in enumerate(node.output):
        if not name:
            continue
        value = Value(node.op_type, title, number, index, tuple(inputs), attributes)
        if node.op_type == "Constant":
            _become_tensor(value)
        else:
            value.dtype = _dtype(value)
        learn_sizes(value)
        _add(known, name, _seen_through(value))


def _attribute(label: str, attribute: AttributeProto) -> Any:
    wanted = next((kind for kind, names in _KINDS.items() if attribute.name in names), None)
    if wanted not in (None, attribute.type):
        kind = AttributeProto.AttributeType.Name(wanted)
        raise CheckpointError(f"{label} must have {attribute.name!r} as {kind}; it has not.")
    if attribute.ref_attr_name or attribute.type not in _ATTRIBUTES:
        refuse(
            label, "have numbers, texts and tensors as attributes only", repr(attribute.name),
            "Nodes with graphs in them, as If and Loop, are no layers."
        )  # fmt: skip
    found = getattr(attribute, _ATTRIBUTES[attribute.type])
    if attribute.type == AttributeProto.STRING:
        return found.decode(errors="replace")
    if isinstance(found, TensorProto):
        require_sound(found)
        return found
    return found if isinstance(found, int | float) else list(found)


def _become_tensor(value: Value) -> None:
    """Makes a constant what an initializer is."""
    match value.attributes:
        case {"value": TensorProto() as tensor}:
            value.tensor = tensor
        case {"value_float": float(number)}:
            value.tensor = helper.make_tensor("", TensorProto.FLOAT, [], [number])
        case {"value_int": int(number)}:
            value.tensor = helper.make_tensor("", TensorProto.INT64, [], [number])
        case {"value_floats": [*numbers]}:
            value.tensor = helper.make_tensor("", TensorProto.FLOAT, [len(numbers)], numbers)
        case {"value_ints": [*numbers]}:
            value.tensor = helper.make_tensor("", TensorProto.INT64, [len(numbers)], numbers)
        case _:
            known = "value, value_float, value_floats, value_int, value_ints"
            remedy = "Write the constant as an initializer."
            refuse(value, f"have one of {known}", f"{[*value.attributes]}", remedy)
    value.kind, value.dtype = "tensor", require_sound(value.tensor)


def _dtype(value: Value) -> str | None:
    """Type of a value by the types of what it is made from, which must agree."""
    if value.kind == "Cast":
        return NAMES.get(value.attributes.get("to", 0))
    if value.kind in _COMPARISONS:
        return "bool"
    if value.kind in ("Shape", "ArgMax", "Size"):
        return "int64"
    if value.kind == "Scaler":
        return "float32"
    used = value.inputs[:1] if value.kind == "Pow" else value.inputs
    types = [each.dtype for each in used if each is not None and each.dtype in FLOATS]
    if len(set(types)) > 1:
        raise CheckpointError(f"{value} must have inputs of one type; got {types[:20]}.")
    if types:
        return types[0]
    others = [each.dtype for each in value.inputs if each is not None]
    return others[-1] if others else None


def _seen_through(value: Value) -> Value:
    """What a node that does nothing is given, in place of what it returns."""
    given = value.given
    if given is None or value.index:
        return value
    match value.kind:
        case "Dropout":
            training = value.inputs[2] if len(value.inputs) > 2 else None
            off = training is None or (
                training.sizes is not None and not any(training.sizes.ravel())
            )
            if not off:
                remedy = "Export the network for inference: module.eval() in PyTorch."
                refuse(value, "have training_mode off", "another", remedy)
            return given
        case "Identity":
            return given
        case "Cast" if value.dtype == given.dtype:
            return given
        case "Reshape" | "Flatten" if value.shape is not None and value.shape == given.shape:
            # Of one unknown axis at most, sizes that are told make sure of all.
            return given if value.shape.count(None) < 2 else value
    return value
