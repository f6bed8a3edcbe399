"""What an ONNX model computes: by the reference evaluator, and by onnxruntime at every level."""

import numpy as np
import onnxruntime
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

_LEVELS = onnxruntime.GraphOptimizationLevel
LEVELS = {
    "disabled": _LEVELS.ORT_DISABLE_ALL,
    "basic": _LEVELS.ORT_ENABLE_BASIC,
    "extended": _LEVELS.ORT_ENABLE_EXTENDED,
    "all": _LEVELS.ORT_ENABLE_ALL,
}


def by_reference(data, x):
    """Outputs by name, as NumPy computes them operator by operator."""
    model = ModelProto.FromString(data)
    # It takes exp of both branches of a case.
    with np.errstate(all="ignore"):
        outputs = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})
    return dict(zip([each.name for each in model.graph.output], outputs, strict=True))


def by_runtime(data, x, level="all"):
    """Outputs by name, as onnxruntime computes them at a level of optimisation."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: x})
    return dict(zip([each.name for each in session.get_outputs()], outputs, strict=True))


def by_all(data, x):
    """Who computes, and what, for the reference evaluator and every level."""
    yield "reference", by_reference(data, x)
    for level in LEVELS:
        yield level, by_runtime(data, x, level)
