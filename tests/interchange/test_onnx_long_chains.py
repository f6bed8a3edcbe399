"""Tests that reading a chain of operations without end takes time that its length bounds."""

import statistics
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from jaxmlp.interchange import from_onnx


def seconds_of_a_chain(path, length):
    """Of this thread's own, so that neither a busy machine nor a slow one counts."""
    nodes, x = [], "x"
    for number in range(length):
        a, b, c = (f"{letter}{number}" for letter in "abc")
        nodes.append(helper.make_node("Softplus", [x], [a]))
        nodes.append(helper.make_node("Tanh", [a], [b]))
        nodes.append(helper.make_node("Mul", [x, b], [c]))
        x = c
    nodes.append(helper.make_node("Identity", [x], ["z"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 2])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["b", 2])],
        [onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    path.write_bytes(model.SerializeToString())
    most = "at most 5000 operations; got more"
    begin = time.thread_time()
    with pytest.raises(ValueError, match=most if length > 5000 else "before the first"):
        from_onnx(path)
    return time.thread_time() - begin


def test_time_grows_no_faster_than_chains_and_ends_at_their_limit(tmp_path):
    path = tmp_path / "n.onnx"
    seconds_of_a_chain(path, 100)  # imports, and what is kept by the first call
    short = statistics.median(seconds_of_a_chain(path, 1_000) for _ in range(3))
    # Eight times as long: 5 to 8 times the seconds, since the limit comes first; with squares, 25.
    assert seconds_of_a_chain(path, 8_000) < 16 * short
