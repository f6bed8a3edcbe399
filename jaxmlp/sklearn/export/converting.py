"""Turns a fitted estimator into a part of the ONNX model that skl2onnx writes.

It is imported by what only skl2onnx calls, so that it is there.
"""

from typing import Any

from onnx import TensorProto, helper
from sklearn.utils.validation import check_is_fitted

from ...interchange.onnx import MIN_OPSET, NodeList
from .models import append_estimator, classes_of
from .prediction_nodes import Predicted
from .table_inputs import InputType, TableInput, refuse

# Of operators that later versions only widened.
_VERSIONS = {"LabelEncoder": 2, "ZipMap": 1}
_ZIPMAP = {"zipmap": [True, False, "columns"]}
_INPUT_TYPES: dict[str, InputType] = {
    "BooleanTensorType": "bool",
    "DoubleTensorType": "float64",
    "FloatTensorType": "float32",
    "Int32TensorType": "int32",
    "Int64TensorType": "int64",
    "StringTensorType": "string",
}


def register(kind: type, *, is_classifier: bool) -> None:
    """Tells skl2onnx which options a class of estimators has, unless somebody has done so."""
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map

    if kind not in sklearn_operator_name_map:
        update_registered_converter(
            kind,
            f"Jaxmlp{kind.__name__}",
            leave_shapes,
            convert,
            parser=_parse,
            options=_ZIPMAP if is_classifier else {},
        )


def declare_outputs(scope: Any, estimator: Any, inputs: Any) -> list[Any]:
    """Returns skl2onnx's variables of what an estimator gives.

    Args:
        scope: Where names and options are known.
        estimator: A fitted one.
        inputs: Variables of what it is given.

    Raises:
        NotFittedError: It is not fitted.
    """
    from skl2onnx.common import data_types as types

    check_is_fitted(estimator, "coefs_")
    is_double = any(isinstance(each.type, types.DoubleTensorType) for each in inputs)
    floats = types.DoubleTensorType if is_double else types.FloatTensorType

    def declare(name: str, kind: Any) -> Any:
        return scope.declare_local_variable(name, kind)

    targets = estimator.n_outputs_
    if not hasattr(estimator, "classes_"):
        declared = [declare("variable", floats([None, targets]))]
        if estimator._head.loss == "gaussian":
            declared.append(declare("std", floats([None, targets])))
        elif estimator._head.loss == "quantile":
            several = [] if targets == 1 else [targets]
            levels = estimator._head.outputs_per_target
            declared.append(declare("quantiles", floats([None, *several, levels])))
        return declared
    classes = classes_of(estimator)
    label_type = types.StringTensorType if classes.dtype.kind in "OUT" else types.Int64TensorType
    by_label = estimator._label_binarizer.y_type_.startswith("multilabel")
    label = label_type([None, targets] if by_label else [None])
    wanted = scope.get_options(estimator, {"zipmap": True})["zipmap"]
    if wanted == "columns":
        letter = "s" if label_type is types.StringTensorType else "i"
        declared = [declare("output_label", label)]
        return [*declared, *(declare(f"{letter}{each}", floats([None])) for each in classes)]
    if wanted:
        kind = types.SequenceType(types.DictionaryType(label_type([]), types.FloatTensorType([])))
        return [declare("output_label", label), declare("output_probability", kind)]
    probabilities = floats([None, max(2, targets)])
    return [declare("label", label), declare("probabilities", probabilities)]


def leave_shapes(operator: Any) -> None:
    """Leaves the shapes of outputs as they were declared."""
    del operator


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Appends the nodes of an estimator to a model of skl2onnx.

    Args:
        scope: Where names and options are known.
        operator: The estimator with its inputs and outputs.
        container: Where nodes go.

    Raises:
        ValueError: The opset is below 13, or see `append_estimator`.
    """
    estimator, opset = operator.raw_operator, container.target_opset_onnx
    if opset < MIN_OPSET:
        remedy = f"Give target_opset={MIN_OPSET}, or leave it out."
        refuse("target_opset", f"be at least {MIN_OPSET}", f"{opset}", remedy)
    nodes = NodeList(opset)
    made = append_estimator(nodes, estimator, _inputs_of(operator))
    nodes.scope = "outputs"
    results = [made[name] for name in made]
    if hasattr(estimator, "classes_"):
        options = scope.get_options(estimator, {"zipmap": True})
        if options["zipmap"] is True:
            _require_last(operator)
        results = _mapped(nodes, results, classes_of(estimator), options["zipmap"])
    _emit(scope, container, nodes, _as_declared(nodes, results, operator.outputs))


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declares an estimator that is registered, as skl2onnx does one that is not."""
    del custom_parsers
    from skl2onnx._supported_operators import sklearn_operator_name_map

    operator = scope.declare_local_operator(sklearn_operator_name_map[type(model)], model)
    operator.inputs = inputs
    operator.outputs.extend(declare_outputs(scope, model, inputs))
    return operator.outputs


def _inputs_of(operator: Any) -> list[TableInput]:
    """The inputs of an estimator in the order of its fit."""
    estimator, variables = operator.raw_operator, [*operator.inputs]
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if sorted(names) == sorted(each.raw_name for each in variables):
        variables.sort(key=lambda each: names.index(each.raw_name))
    inputs = []
    for each in variables:
        kind = type(each.type).__name__
        if kind not in _INPUT_TYPES:
            known = ", ".join(_INPUT_TYPES)
            remedy = "Say so in initial_types."
            refuse(f"input {each.raw_name!r}", f"be one of {known}", kind, remedy)
        shape = each.type.shape
        width = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else None
        if width is None:
            width = estimator.n_features_in_ if len(variables) == 1 else 1
        inputs.append(TableInput(each.full_name, width, _INPUT_TYPES[kind]))
    if (got := sum(each.width for each in inputs)) != estimator.n_features_in_:
        remedy = "Give initial_types the shapes that the table had in training."
        requirement = f"have {estimator.n_features_in_} columns in all"
        refuse(f"inputs of {type(estimator).__name__}", requirement, f"{got}", remedy)
    return inputs


def _mapped(
    nodes: NodeList, results: list[Predicted], classes: Any, zipmap: Any
) -> list[Predicted]:
    """A label, and probabilities as the option has them."""
    label, probabilities = results
    if zipmap == "columns":
        columns = []
        for place in range(len(classes)):
            taken = nodes.add("Gather", probabilities.name, nodes.integers([place]), axis=1)
            taken = nodes.add("Squeeze", taken, nodes.integers([1]))
            columns.append(probabilities._replace(name=taken, shape=()))
        return [label, *columns]
    if not zipmap:
        return results
    # It takes nothing but float32.
    name = probabilities.name
    if probabilities.dtype != "float32":
        name = nodes.cast(name, TensorProto.FLOAT)
    keys: dict[str, Any] = (
        {"classlabels_int64s": [int(each) for each in classes]}
        if (classes.dtype.kind == "i")
        else {"classlabels_strings": [str(each).encode() for each in classes]}
    )
    return [label, Predicted(nodes.add("ZipMap", name, domain="ai.onnx.ml", **keys), "map", ())]


def _require_last(operator: Any) -> None:
    """Refuses maps of probabilities that other nodes are to take, which none can."""
    if not operator.outputs[1].is_leaf:
        refuse(
            f"option zipmap of {type(operator.raw_operator).__name__}",
            "be False or 'columns' inside another estimator",
            "True",
            "Give options={'zipmap': False}.",
        )


def _as_declared(nodes: NodeList, results: list[Predicted], declared: Any) -> dict[str, str]:
    """Names of tensors of the types that were declared, and of what they become."""
    names = {}
    for each, variable in zip(results, declared, strict=True):
        name, kind = each.name, _INPUT_TYPES.get(type(variable.type).__name__)
        if kind in ("float32", "float64") and kind != each.dtype:
            wide = kind == "float64"
            name = nodes.cast(name, TensorProto.DOUBLE if wide else TensorProto.FLOAT)
        names[name] = variable.full_name
    return names


def _emit(scope: Any, container: Any, nodes: NodeList, outputs: dict[str, str]) -> None:
    """Gives arrays and nodes to skl2onnx, under names that it knows to be new."""
    names = dict(outputs)
    for tensor in nodes.initializers:
        names[tensor.name] = scope.get_unique_variable_name(tensor.name)
        container.add_initializer(names[tensor.name], tensor.data_type, [*tensor.dims], tensor)
    for node in nodes.nodes:
        for name in node.output:
            if name not in names:
                names[name] = scope.get_unique_variable_name(name)
        container.add_node(
            node.op_type,
            [names.get(name, name) for name in node.input],
            [names[name] for name in node.output],
            op_domain=node.domain,
            op_version=_VERSIONS.get(node.op_type),
            name=scope.get_unique_operator_name(node.op_type),
            **{each.name: helper.get_attribute_value(each) for each in node.attribute},
        )
